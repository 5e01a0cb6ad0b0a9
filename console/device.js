// One toy: what it is, what may be done to it, what it told, and what became of it.
import {el, facts, heading, problem, table, when} from "./dom.js";
import {api, device as path, may, query} from "./api.js";
import {actions} from "./actions.js";
import {badge} from "./devices.js";
import {detailOf, kindOf} from "./events.js";
import {live} from "./sse.js";
import {messages} from "./messages.js";
import {telemetry} from "./telemetry.js";

const EVENTS = 20;

const section = (title, ...children) => el("section", {class: "card"}, el("h2", {}, title), children);

function binding(device) {
    return facts([
        ["Child", device.child_id ?? "none"],
        ["Firmware", device.firmware_version],
        ["Claimed", when(device.claimed) ?? "never"],
        ["Seen", when(device.seen) ?? "never"],
        ["Registered", when(device.created)],
        ["Secret", `number ${device.secret_rev}`],
    ]);
}

function duration(from, to) {
    const s = Math.max(0, Math.round((new Date(to ?? Date.now()) - new Date(from)) / 1000));
    return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

function sessionTable(sessions) {
    if (!sessions.length) return el("p", {class: "quiet"}, "None yet.");
    return table("Sessions", ["Began", "Lasted", "Messages", "Ended"], sessions.map((s) =>
        [when(s.began), duration(s.began, s.ended), String(s.messages), s.ended ? s.reason : el("span", {class: "badge good"}, "online")]));
}

function eventTable(events) {
    if (!events.length) return el("p", {class: "quiet"}, "None yet.");
    return table("Last events", ["Event", "When", "By", "Details"], events.map((e) =>
        [el("span", {class: `badge ${kindOf(e.event)}`}, e.event), when(e.at_ms), e.actor, detailOf(e)]));
}

// Fills the node with what a request brings, and says what went wrong instead.
async function fill(node, ask, show) {
    try {
        node.replaceChildren(show(await ask()));
    } catch (error) {
        if (error.name !== "AbortError") node.replaceChildren(problem(error));
    }
}

export async function devicePage(main, {who, argument: id, signal}) {
    const state = el("p", {class: "state"});
    const about = el("div", {});
    const sessions = el("div", {});
    const events = el("div", {});
    const get = (...rest) => api("GET", path(id, ...rest), {signal});
    const chart = telemetry(id, signal);
    const talk = messages(id, who, signal);
    main.append(el("p", {class: "back"}, el("a", {href: "#/devices"}, "Devices")), heading(id), state,
        section("Binding", about), actions(id, who, () => refresh()), talk.node, chart.node,
        section("Sessions", sessions));
    if (may(who, "operator")) main.append(section("Last events", events));

    async function refresh() {
        await Promise.all([
            fill(about, () => get(), (device) => {
                state.replaceChildren(badge(device));
                main.dispatchEvent(new CustomEvent("device", {detail: device}));
                return binding(device);
            }),
            fill(sessions, () => get("sessions"), (answer) => sessionTable(answer.sessions)),
            may(who, "operator") && fill(events, () => api("GET", query("audit", {device_id: id, limit: EVENTS}), {signal}),
                (answer) => eventTable(answer.events.reverse())),
            talk.refresh(), chart.refresh(),
        ]);
    }
    // What happened to this toy has changed something of it.
    live.addEventListener("audit", ({detail}) => detail.device_id === id && refresh(), {signal});
    await refresh();
}
