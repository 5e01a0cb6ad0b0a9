// The list of toys: search, filters, pages. What is asked for stands in the address, so that it can be kept and gone back to.
import {announce, el, field, heading, problem, select, table, when} from "./dom.js";
import {api, gather, query as withQuery} from "./api.js";
import {deviceLink} from "./events.js";

const PAGE = 50;
const states = {"": "Any", claimed: "Claimed", lapsed: "Lapsed", unclaimed: "Never claimed", disabled: "Disabled"};
const presence = {"": "Any", true: "Online", false: "Offline"};

export function badge(device) {
    if (!device.enabled) return el("span", {class: "badge bad"}, "disabled");
    if (device.online) return el("span", {class: "badge good"}, "online");
    return el("span", {class: "badge plain"}, device.state === "claimed" ? "offline" : states[device.state].toLowerCase());
}

const row = (device) => [deviceLink(device.device_id), badge(device), device.child_id ?? "–", device.firmware_version ?? "–",
    when(device.last_seen) ?? "never"];

const hrefOf = (asked) => `#/${withQuery("devices", asked)}`;

const text = (name, value) => el("input", {name, type: "search", value, maxlength: "64", autocomplete: "off", spellcheck: "false",
    autocapitalize: "none"});

function form(asked) {
    const q = text("q", asked.q);
    const part = text("part", asked.part);
    const state = select("state", states, asked.state);
    const online = select("online", presence, asked.online);
    const go = () => {
        location.hash = hrefOf({q: q.value.trim(), part: part.value.trim(), state: state.value, online: online.value});
    };
    state.addEventListener("change", go);
    online.addEventListener("change", go);
    return el("form", {role: "search", class: "filters", onsubmit: (event) => { event.preventDefault(); go(); }},
        field("Id begins with", q), field("Id or firmware has", part), field("State", state), field("Connection", online),
        el("button", {class: "main"}, "Search"));
}

// A page of those that are like what is asked for. The server looks at so many at a time, and says where to go on.
const ask = (asked, signal) => gather(PAGE, asked.after, async (after, limit) => {
    const {devices, next} = await api("GET", withQuery("devices", {...asked, after, limit}), {signal});
    return {found: devices, next};
});

const tell = (count, next) => `${count || "No"} ${count === 1 ? "toy" : "toys"}${next ? ", and there may be more" : ""}`;

export async function devices(main, {query, signal}) {
    const asked = Object.fromEntries(["q", "part", "state", "online", "after"].map((name) => [name, query.get(name) ?? ""]));
    const found = el("div", {class: "card list", "aria-busy": "true"}, el("p", {class: "quiet"}, "Looking…"));
    main.append(heading("Devices"), form(asked), found);
    try {
        const {found: toys, next} = await ask(asked, signal);
        const told = tell(toys.length, next);
        found.replaceChildren(
            el("p", {class: "quiet", id: "found"}, told),
            toys.length ? table("Devices", ["Id", "State", "Child", "Firmware", "Seen"], toys.map(row)) : "",
            el("nav", {class: "buttons", "aria-label": "Pages of the list"},
                asked.after && el("a", {class: "button", href: hrefOf({...asked, after: ""})}, "First page"),
                next && el("a", {class: "button", href: hrefOf({...asked, after: next})}, "Next page")));
        announce(told);
    } catch (error) {
        if (!signal.aborted) found.replaceChildren(problem(error));
    }
    found.removeAttribute("aria-busy");
}
