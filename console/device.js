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

function about(device) {
    const {session, tokens} = device;
    return facts([
        ["Child", device.child_id ?? "none"],
        ["Firmware", device.firmware_version],
        ["Claimed", when(device.claimed) ?? "never"],
        ["Seen", when(device.last_seen) ?? "never"],
        ["Registered", when(device.created)],
        ["Secret", `number ${device.secret_rev}`],
        ["Tokens", tokens ? el("span", {}, "until ", when(tokens.refresh_expires)) : "none"],
        ["Answered by", device.processor ?? "the usual"],
        session && ["From", session.address],
    ].filter(Boolean));
}

function duration(from, to) {
    const s = Math.max(0, Math.round((new Date(to ?? Date.now()) - new Date(from)) / 1000));
    return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

// The one that is open, then those before it.
function sessionTable(live, past) {
    const rows = past.map((s) => [when(s.opened), duration(s.opened, s.closed), `${s.received} in, ${s.sent} out`,
        [s.close, s.reason].filter(Boolean).join(" ") || "–"]);
    if (live) rows.unshift([when(live.since), duration(live.since), `${live.received} in, ${live.sent} out`,
        el("span", {class: "badge good"}, "online")]);
    return rows.length ? table("Sessions", ["Began", "Lasted", "Messages", "Ended"], rows) : el("p", {class: "quiet"}, "None yet.");
}

function eventTable(events) {
    if (!events.length) return el("p", {class: "quiet"}, "None yet.");
    return table("Last events", ["Event", "When", "By", "Details"], events.map((e) =>
        [el("span", {class: `badge ${kindOf(e.event)}`}, e.event), when(e.at_ms), e.actor, detailOf(e)]));
}

// Fills the node with what a request brings, and says what went wrong instead.
async function fill(node, ask) {
    try {
        node.replaceChildren(await ask());
    } catch (error) {
        if (error.name !== "AbortError") node.replaceChildren(problem(error));
    }
}

export async function devicePage(main, {who, argument: id, signal}) {
    const state = el("p", {class: "state"});
    const [binding, sessions, events] = [1, 2, 3].map(() => el("div", {}));
    const get = (...rest) => api("GET", path(id, ...rest), {signal});
    const chart = telemetry(id, signal);
    const talk = messages(id, who, signal);
    const acts = actions(id, who, () => refresh());
    const body = el("div", {hidden: true}, section("Binding", binding), el("div", {class: "two"}, acts.node, talk.node), chart.node,
        section("Sessions", sessions), may(who, "operator") && section("Last events", events));
    main.append(el("p", {class: "back"}, el("a", {href: "#/devices"}, "Devices")), heading(id), state, body);

    async function refresh() {
        const device = await get(); // when there is none, this alone says so
        body.hidden = false;
        state.replaceChildren(badge(device));
        binding.replaceChildren(about(device));
        acts.offer(device);
        await Promise.all([
            fill(sessions, async () => sessionTable(device.session, (await get("sessions")).sessions)),
            may(who, "operator") && fill(events, async () => eventTable(
                (await api("GET", query("audit", {device: id, limit: EVENTS}), {signal})).events.sort((a, b) => b.n - a.n))),
            talk.refresh(), chart.refresh(),
        ]);
    }
    // What happened to this toy has changed something of it; it may even be gone.
    live.addEventListener("audit", ({detail}) => detail.device_id === id && refresh().catch((error) => {
        if (!signal.aborted) state.replaceChildren(problem(error));
    }), {signal});
    await refresh();
}
