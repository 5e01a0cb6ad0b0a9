// The fleet at a glance: what the server tells each second, as numbers and over the last minutes.
import {el, heading} from "./dom.js";
import {may} from "./api.js";
import {chart} from "./charts.js";
import {eventList} from "./events.js";
import {live} from "./sse.js";

const whole = (n) => Math.round(n).toLocaleString("en");
const rate = (n) => (n >= 100 || Number.isInteger(n) ? whole(n) : n.toFixed(1));
const millis = (n) => (n >= 1000 ? `${(n / 1000).toFixed(1)} s` : n >= 10 ? `${Math.round(n)} ms` : `${n.toFixed(1)} ms`);

// name of a state's member → how it is shown
const figures = [
    {key: "online", name: "Online now", unit: "toys", format: whole},
    {key: "claims", name: "Claims", unit: "per second", format: rate},
    {key: "messages", name: "Messages", unit: "per second", format: rate},
    {key: "refusals", name: "Refusals", unit: "per second", format: rate},
    {key: "latency", name: "Reply time", unit: "half are faster", format: millis},
];

function tile({key, name, unit, format}) {
    const value = el("dd", {id: `tile-${key}`}, "–");
    const node = el("div", {class: "tile card"}, el("dt", {}, name), value, el("dd", {class: "unit"}, unit));
    return {node, set(state) {
        node.hidden = !(key in state); // a token for some toys is told of those alone
        value.textContent = state[key] == null ? "–" : format(state[key]);
    }};
}

const charts = (signal) => [
    {title: "Online", series: [{key: "online", label: "toys", color: "--c1", fill: true}], format: whole, whole: true},
    {title: "Traffic per second", format: rate, series: [
        {key: "messages", label: "messages", color: "--c2", fill: true}, {key: "claims", label: "claims", color: "--c1"}]},
    {title: "Refusals per second", series: [{key: "refusals", label: "refusals", color: "--c3", fill: true}], format: rate},
    {title: "Reply time", format: millis, series: [
        {key: "latency", label: "half", color: "--c2"}, {key: "latency99", label: "99 of 100", color: "--c3"}]},
].map((what) => ({...what, ...chart({...what, signal})}));

export function glance(main, {who, signal}) {
    const tiles = figures.map(tile);
    const plots = charts(signal);
    const events = may(who, "operator") && eventList();
    function draw() {
        const newest = live.states.at(-1);
        if (!newest) return;
        for (const t of tiles) t.set(newest);
        const times = live.states.map((s) => s.at);
        for (const plot of plots) plot.node.hidden = !plot.series.some(({key}) => key in newest);
        for (const plot of plots) plot.set([times, ...plot.series.map(({key}) => live.states.map((s) => s[key] ?? null))]);
    }
    main.append(heading("Fleet at a glance"),
        el("dl", {class: "tiles"}, tiles.map((t) => t.node)),
        el("div", {class: "charts"}, plots.map((p) => p.node)),
        events && el("section", {class: "card"}, el("h2", {}, "As it happens"), events.node));
    live.addEventListener("state", draw, {signal});
    draw();
    if (!events) return;
    for (const event of live.events) events.add(event);
    live.addEventListener("audit", ({detail}) => events.add(detail), {signal});
}
