// The list of toys: search, filters, pages. What is asked for stands in the address, so that it can be kept and gone back to.
import {announce, el, field, heading, problem, select, table, when} from "./dom.js";
import {api, query as withQuery} from "./api.js";
import {deviceLink} from "./events.js";

const PAGE = 50;
const states = {"": "Any", enabled: "Enabled", disabled: "Disabled", bound: "With a child", unbound: "Without a child"};
const presence = {"": "Any", yes: "Online", no: "Offline"};

export function badge(device) {
    if (!device.enabled) return el("span", {class: "badge bad"}, "disabled");
    if (device.online) return el("span", {class: "badge good"}, "online");
    return el("span", {class: "badge plain"}, device.claimed ? "offline" : "never claimed");
}

const row = (device) => [deviceLink(device.device_id), badge(device), device.child_id ?? "–", device.firmware_version ?? "–",
    when(device.seen) ?? "never"];

const hrefOf = (asked) => `#/${withQuery("devices", asked)}`;

function form(asked) {
    const q = el("input", {name: "q", type: "search", value: asked.q, maxlength: "64", autocomplete: "off", spellcheck: "false",
        autocapitalize: "none"});
    const state = select("state", states, asked.state);
    const online = select("online", presence, asked.online);
    const go = () => { location.hash = hrefOf({q: q.value.trim(), state: state.value, online: online.value}); };
    state.addEventListener("change", go);
    online.addEventListener("change", go);
    return el("form", {role: "search", class: "filters", onsubmit: (event) => { event.preventDefault(); go(); }},
        field("Id", q), field("State", state), field("Connection", online), el("button", {class: "main"}, "Search"));
}

export async function devices(main, {query, signal}) {
    const asked = Object.fromEntries(["q", "state", "online", "after"].map((name) => [name, query.get(name) ?? ""]));
    const found = el("div", {class: "card list", "aria-busy": "true"}, el("p", {class: "quiet"}, "Looking…"));
    main.append(heading("Devices"), form(asked), found);
    try {
        const page = await api("GET", withQuery("devices", {...asked, limit: PAGE}), {signal});
        const told = page.devices.length ? `${page.devices.length} ${page.devices.length === 1 ? "toy" : "toys"}${page.next ? ", and there are more" : ""}` : "No toy is like this.";
        found.replaceChildren(
            el("p", {class: "quiet", id: "found"}, told),
            page.devices.length ? table("Devices", ["Id", "State", "Child", "Firmware", "Seen"], page.devices.map(row)) : "",
            el("nav", {class: "buttons", "aria-label": "Pages of the list"},
                asked.after && el("a", {class: "button", href: hrefOf({...asked, after: ""})}, "First page"),
                page.next && el("a", {class: "button", href: hrefOf({...asked, after: page.next})}, "Next page")));
        announce(told);
    } catch (error) {
        if (!signal.aborted) found.replaceChildren(problem(error));
    }
    found.removeAttribute("aria-busy");
}
