// What a toy measured, over time: one chart for each of its numbers.
import {el, field, problem, select} from "./dom.js";
import {api, device as path, query} from "./api.js";
import {chart} from "./charts.js";

const spans = {3600: "Last hour", 86400: "Last day", 604800: "Last week", 2592000: "Last 30 days"};
const units = {battery: "%", rssi: " dBm", heap: " B", temperature: " °C"};

// Returns {node, refresh}.
export function telemetry(id, signal) {
    const span = select("span", spans, "86400");
    const plots = el("div", {class: "charts"});
    let ended = new AbortController(); // of the charts that are shown
    async function refresh() {
        try {
            const {points} = await api("GET", query(path(id, "telemetry"), {since_s: span.value}), {signal});
            ended.abort();
            ended = new AbortController();
            signal.addEventListener("abort", () => ended.abort(), {once: true});
            plots.replaceChildren(...draw(points, ended.signal));
        } catch (error) {
            if (error.name !== "AbortError") plots.replaceChildren(problem(error));
        }
    }
    span.addEventListener("change", refresh);
    return {node: el("section", {class: "card"}, el("h2", {}, "Telemetry"), field("Span", span), plots), refresh};
}

function draw(points, signal) {
    const names = [...new Set(points.flatMap((p) => Object.keys(p.values)))].sort();
    if (!names.length) return [el("p", {class: "quiet"}, "It has told nothing in this time.")];
    const times = points.map((p) => p.at);
    return names.map((name, i) => {
        const plot = chart({title: name, signal, format: (n) => `${Math.round(n * 10) / 10}${units[name] ?? ""}`,
            series: [{label: name, color: `--c${i % 3 + 1}`, fill: true}]});
        plot.set([times, points.map((p) => p.values[name] ?? null)]);
        return plot.node;
    });
}
