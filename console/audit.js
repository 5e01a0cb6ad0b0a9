// The audit trail: what was done, by whom, and whether it stands as it was written.
import {announce, button, el, field, heading, problem, table} from "./dom.js";
import {api, gather, query as withQuery} from "./api.js";
import {detailOf, deviceLink, kindOf} from "./events.js";

const PAGE = 50;
const SEARCHED = 1000; // events that are looked at in one go, for one kind

function verdictOf(v) {
    if (!v.whole)
        return el("p", {class: "verdict bad", role: "alert"}, el("b", {}, `Not intact: event ${v.event}. `), `${v.fault}.`);
    return el("p", {class: "verdict good"}, el("b", {}, "Intact. "),
        `${v.events} events recomputed, up to number ${v.last}; ${v.heads} signed ${v.heads === 1 ? "head matches" : "heads match"}; `,
        v.unsigned ? `${v.unsigned} are newer than the last head, which nothing proves yet.` : "every event is covered by one.");
}

function verification() {
    const result = el("div", {id: "verdict"});
    const check = button("Verify the trail", async () => {
        check.disabled = true;
        result.replaceChildren(el("p", {class: "quiet"}, "Recomputing…"));
        try {
            const verdict = verdictOf(await api("GET", "audit/verify"));
            result.replaceChildren(verdict);
            announce(verdict.textContent);
        } catch (error) {
            result.replaceChildren(problem(error));
        }
        check.disabled = false;
        check.focus();
    }, "main");
    return el("section", {class: "card"}, el("h2", {}, "Verification"),
        el("p", {}, "Each event carries a hash of itself and the one before it; signed heads hold the end fast. ",
            "Verifying recomputes all of it."), el("p", {class: "buttons"}, check), result);
}

const hrefOf = (asked) => `#/${withQuery("audit", asked)}`;

function form(asked) {
    const text = (name) => el("input", {name, type: "search", value: asked[name], maxlength: "64", autocomplete: "off",
        spellcheck: "false", autocapitalize: "none"});
    const [device, event] = ["device", "event"].map(text);
    const go = (e) => {
        e.preventDefault();
        location.hash = hrefOf({device: device.value.trim(), event: event.value.trim()});
    };
    return el("form", {role: "search", class: "filters", onsubmit: go},
        field("Toy", device), field("Event begins with", event), el("button", {class: "main"}, "Show"));
}

const row = (e) => [String(e.n), el("span", {class: `badge ${kindOf(e.event)}`}, e.event), deviceLink(e.device_id) || "–",
    el("time", {datetime: new Date(e.at_ms).toISOString()}, new Date(e.at_ms).toLocaleString()), e.actor, detailOf(e)];

// Events before a number, the newest first. Of one toy the server goes back by itself; the whole trail it tells forwards only.
async function piece({device, before}, limit, signal) {
    if (device) {
        const answer = await api("GET", withQuery("audit", {device, before, limit}), {signal});
        return {events: answer.events.sort((a, b) => b.n - a.n), next: answer.before};
    }
    const after = before ? Math.max(0, before - 1 - limit) : "";
    const answer = await api("GET", withQuery("audit", {after, limit}), {signal});
    const events = answer.events.filter(({n}) => !before || n < before).reverse();
    const next = before ? after + 1 : events.at(-1)?.n ?? 1;
    return {events, next: next > 1 ? next : null};
}

const ask = (asked, signal) => gather(PAGE, asked.before ? Number(asked.before) : "", async (before, count) => {
    const {events, next} = await piece({...asked, before}, asked.event ? SEARCHED : count, signal);
    const found = events.filter(({event}) => event.startsWith(asked.event));
    if (found.length <= count) return {found, next};
    return {found: found.slice(0, count), next: found[count - 1].n};
});

export async function audit(main, {query, signal}) {
    const asked = Object.fromEntries(["device", "event", "before"].map((name) => [name, query.get(name) ?? ""]));
    const found = el("div", {class: "card wide", "aria-busy": "true"}, el("p", {class: "quiet"}, "Looking…"));
    main.append(heading("Audit trail"), verification(), form(asked), found);
    try {
        const {found: events, next} = await ask(asked, signal);
        const told = `${events.length || "No"} ${events.length === 1 ? "event" : "events, the newest first"}`;
        found.replaceChildren(
            el("p", {class: "quiet", id: "found"}, told),
            events.length ? table("Events", ["Number", "Event", "Toy", "When", "By", "Details"], events.map(row)) : "",
            el("nav", {class: "buttons", "aria-label": "Pages of the trail"},
                asked.before && el("a", {class: "button", href: hrefOf({...asked, before: ""})}, "Newest"),
                next && el("a", {class: "button", href: hrefOf({...asked, before: next})}, "Older")));
        announce(told);
    } catch (error) {
        if (!signal.aborted) found.replaceChildren(problem(error));
    }
    found.removeAttribute("aria-busy");
}
