// What a toy measured, over time: one chart for each of its numbers.
import {el, field, problem, select} from "./dom.js";
import {api, device as path, query} from "./api.js";
import {chart} from "./charts.js";

const spans = {3600: "Last hour", 86400: "Last day", 604800: "Last week", 2592000: "Last 30 days"};
const ROWS = 2000;
const names = {battery: ["Battery", " %"], rssi: ["Signal", " dBm"], heap: ["Free memory", " B"], heap_min: ["Least free memory", " B"],
    uptime_s: ["Time since its start", " s"], temperature: ["Temperature", " °C"]};

// Returns {node, refresh}.
export function telemetry(id, signal) {
    const span = select("span", spans, "86400");
    const plots = el("div", {class: "charts"});
    let ended = new AbortController(); // of the charts that are shown
    async function refresh() {
        try {
            const from = Math.floor(Date.now() / 1000) - span.value;
            const told = await api("GET", query(path(id, "telemetry"), {from, limit: ROWS}), {signal});
            ended.abort();
            ended = new AbortController();
            signal.addEventListener("abort", () => ended.abort(), {once: true});
            plots.replaceChildren(...draw(told, ended.signal));
        } catch (error) {
            if (error.name !== "AbortError") plots.replaceChildren(problem(error));
        }
    }
    span.addEventListener("change", refresh);
    return {node: el("section", {class: "card"}, el("h2", {}, "Telemetry"), el("div", {class: "filters narrow"}, field("Span", span)), plots), refresh};
}

// told: a column of moments, "at", and one of each number; null where it was not told.
function draw({at, ...told}, signal) {
    const columns = Object.entries(told).filter(([, column]) => Array.isArray(column) && column.some((value) => value !== null));
    if (!columns.length) return [el("p", {class: "quiet"}, "It has told nothing in this time.")];
    return columns.map(([name, column], i) => {
        const [title, unit] = names[name] ?? [name, ""];
        const plot = chart({title, signal, level: 3, format: (n) => `${(Math.round(n * 10) / 10).toLocaleString("en")}${unit}`,
            series: [{label: "last", color: `--c${i % 3 + 1}`, fill: column.every((value) => value >= 0)}]});
        const known = at.map((_, row) => row).filter((row) => column[row] !== null); // not each report has each number
        plot.set([at, column].map((values) => known.map((row) => values[row])));
        return plot.node;
    });
}
