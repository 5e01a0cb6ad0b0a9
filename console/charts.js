// Charts over time by uPlot, each with its words: what it shows is told in a sentence and, on demand, in a table.
import {el, table} from "./dom.js";

const uPlot = globalThis.uPlot; // vendor/uPlot.iife.min.js; missing when it was built without npm: the tables stand open then
const dark = matchMedia("(prefers-color-scheme: dark)");
const HEIGHT = 150;
const ROWS = 10; // of the table
const STEPS = [...Array(8).keys()].flatMap((n) => [1, 2, 5].map((step) => step * 10 ** n)); // between two marks of what is counted

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A moment on an axis that is so many seconds long.
function short(seconds, length) {
    const date = new Date(seconds * 1000);
    if (length > 3 * 86400) return date.toLocaleDateString([], {day: "numeric", month: "short"});
    return date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: length < 300 ? "2-digit" : undefined});
}

function axis(more) {
    return {stroke: token("--quiet"), font: "12px system-ui, sans-serif", grid: {stroke: token("--line"), width: 1},
        ticks: {show: false}, ...more};
}

// From zero up, and with room around what is below it.
function range(low, high) {
    if (low == null) return [0, 1];
    const room = Math.max((high - low) * 0.1, 1);
    return low < 0 ? [low - room, high + room] : [0, Math.max(high * 1.1, 1)];
}

function options(width, series, format, whole) {
    return {
        width, height: HEIGHT, legend: {show: false}, padding: [8, 20, 0, 0],
        cursor: {y: false, drag: {x: false, y: false}, points: {size: 7}},
        scales: {y: {range: (_, low, high) => range(low, high)}},
        axes: [axis({size: 28, space: 80, values: (plot, marks) => marks.map((at) => short(at, marks.at(-1) - marks[0]))}), axis({size: 62, values: (_, marks) => marks.map(format), ...(whole && {incrs: STEPS})})],
        series: [{}, ...series.map(({color, fill}) => ({
            stroke: token(color), width: 2, points: {show: false}, fill: fill ? token(`${color}-soft`) : undefined}))],
    };
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

function sentence(title, data, series, format) {
    const told = series.map(({label}, i) => {
        const values = data[i + 1].filter((v) => v != null);
        if (!values.length) return `${label}: nothing yet`;
        const [low, high] = [Math.min(...values), Math.max(...values)];
        return `${label}: ${format(values.at(-1))} now, between ${format(low)} and ${format(high)}`;
    });
    return `${title}. ${told.join(". ")}.`;
}

// At most ROWS of the columns, evenly chosen, the newest first.
function sample(data) {
    const count = data[0].length;
    const step = Math.max(1, Math.ceil(count / ROWS));
    const at = [];
    for (let i = count - 1; i >= 0; i -= step) at.push(i);
    return at;
}

// series: [{label, color: the name of a custom property, fill}]; format: a number's words; whole: there are no halves of it; level: of its
// heading.
// Returns {node, set}: set([times in seconds, values…]) draws. signal ends it.
export function chart({title, series, format = String, whole = false, signal, level = 2}) {
    const canvas = el("div", {class: "plot", role: "img"});
    const values = series.map(() => el("b", {}));
    const legend = el("p", {class: "legend"}, series.map(({label, color}, i) =>
        el("span", {class: color.slice(2)}, `${label} `, values[i])));
    const rows = el("div", {});
    const details = el("details", {open: !uPlot, ontoggle: () => tell()}, el("summary", {}, "As a table",
        el("span", {class: "unseen"}, `: ${title}`)), rows);
    const node = el("figure", {class: "chart card", "aria-label": title}, el("figcaption", {}, el(`h${level}`, {}, title), legend), canvas, details);
    const words = (value) => (value == null ? "–" : format(value));
    let data = [[], ...series.map(() => [])];
    let plot = null;

    function draw() {
        if (!uPlot) return;
        plot?.destroy();
        plot = canvas.clientWidth ? new uPlot(options(canvas.clientWidth, series, format, whole), data, canvas) : null;
    }
    function tell() {
        canvas.setAttribute("aria-label", sentence(title, data, series, format));
        series.forEach((_, i) => { values[i].textContent = words(data[i + 1].at(-1)); });
        if (!details.open) return;
        rows.replaceChildren(table(title, ["Time", ...series.map(({label}) => label)], sample(data).map((at) =>
            [clock(data[0][at]), ...series.map((_, i) => words(data[i + 1][at]))])));
    }
    const size = new ResizeObserver(() => {
        if (plot) plot.setSize({width: canvas.clientWidth, height: HEIGHT});
        else draw();
    });
    size.observe(canvas);
    dark.addEventListener("change", draw, {signal});
    signal.addEventListener("abort", () => {
        size.disconnect();
        plot?.destroy();
    });
    tell();
    return {
        node,
        set(next) {
            data = next;
            plot?.setData(data);
            tell();
        },
    };
}
