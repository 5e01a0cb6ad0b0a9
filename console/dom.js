// Elements from data. Text is only ever set as text: nothing in the console parses HTML.

// el("p", {class: "quiet", onclick: f}, "text", child, null): null and false are left out, of attributes as well.
export function el(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
        if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
        else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child != null && child !== false));
    return node;
}

export const heading = (text) => el("h1", {tabindex: "-1"}, text);

export function button(text, onclick, kind = "") {
    return el("button", {type: "button", class: kind, onclick}, text);
}

// A label with its field; the field's id is its name.
export function field(label, input, hint) {
    input.id = `field-${input.name}`;
    if (hint) input.setAttribute("aria-describedby", `${input.id}-hint`);
    return el("div", {class: "field"}, el("label", {for: input.id}, label), input,
        hint && el("p", {class: "hint", id: `${input.id}-hint`}, hint));
}

export function select(name, options, value) {
    const node = el("select", {name}, Object.entries(options).map(([key, text]) => el("option", {value: key}, text)));
    node.value = value in options ? value : Object.keys(options)[0];
    return node;
}

// rows: of cells, each a string or a node; the first one of a row is its heading.
export function table(caption, columns, rows) {
    return el("div", {class: "scroll"}, el("table", {},
        el("caption", {class: "unseen"}, caption),
        el("thead", {}, el("tr", {}, columns.map((text) => el("th", {scope: "col"}, text)))),
        el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) =>
            i ? el("td", {}, cell) : el("th", {scope: "row"}, cell)))))));
}

// pairs of [name, value]; what is null is shown as a dash.
export function facts(pairs) {
    return el("dl", {class: "facts"}, pairs.map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, value ?? "–"))));
}

const relative = new Intl.RelativeTimeFormat("en", {numeric: "auto"});
const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

// A moment, as a date's string or in milliseconds, told from now; the exact one is in its title.
export function when(moment) {
    if (moment == null) return null;
    const date = new Date(moment);
    const s = (date.getTime() - Date.now()) / 1000;
    const [unit, length] = steps.find(([, l]) => Math.abs(s) >= l) ?? steps.at(-1);
    return el("time", {datetime: date.toISOString(), title: date.toLocaleString()},
        relative.format(Math.round(s / length), unit));
}

// Told to screen readers. The same words again are new words.
export function announce(text) {
    const node = document.getElementById("announce");
    node.textContent = node.textContent === text ? `${text}\u00a0` : text;
}

// What went wrong, for all: visible where it happened, and announced.
export function problem(error) {
    return el("p", {class: "problem", role: "alert"}, error.message ?? String(error));
}

// text is read out with the title.
function dialog(title, text, more, buttons) {
    const node = el("dialog", {"aria-labelledby": "dialog-title", "aria-describedby": "dialog-text"},
        el("form", {method: "dialog"}, el("h2", {id: "dialog-title"}, title), el("p", {id: "dialog-text"}, text), more,
            el("p", {class: "buttons"}, buttons)));
    document.body.append(node);
    node.showModal();
    return new Promise((resolve) => node.addEventListener("close", () => {
        resolve(node.returnValue);
        node.remove();
    }));
}

// True when the person confirmed. Escape, and what has the focus at first, mean no.
export async function confirm(title, text, action) {
    const answer = await dialog(title, text, null, [
        el("button", {value: "no", autofocus: true}, "Cancel"),
        el("button", {value: "yes", class: "danger"}, action),
    ]);
    return answer === "yes";
}

// A secret that is shown this once. It leaves the page with the dialog.
export async function reveal(title, text, secret) {
    const copy = button("Copy", async () => {
        copy.textContent = await navigator.clipboard.writeText(secret).then(() => "Copied", () => "Not copied: mark it");
    });
    await dialog(title, text, el("p", {}, el("code", {class: "secret"}, secret)),
        [copy, el("button", {value: "done", class: "main", autofocus: true}, "Done")]);
}
