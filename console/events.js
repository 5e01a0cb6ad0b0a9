// Events of the audit trail in a reader's words.
import {el, when} from "./dom.js";

const SHOWN = 20;

// {"reason":"x","by":2} → reason x, by 2
export function detailOf(event) {
    try {
        return Object.entries(JSON.parse(event.detail || "{}"))
            .map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
    } catch {
        return event.detail;
    }
}

export const kindOf = (name) => /refused|disabled|revoked|forgotten|cloned|failed|removed|alert/.test(name) ? "bad"
    : /accepted|enabled|added/.test(name) ? "good" : "plain";

export const deviceLink = (id) => id && el("a", {href: `#/device/${encodeURIComponent(id)}`}, id);

// A list of the newest first; add(event) puts one in front.
export function eventList() {
    const node = el("ol", {class: "events"});
    const nothing = el("li", {class: "quiet"}, "Nothing yet.");
    node.append(nothing);
    return {
        node,
        add(event) {
            nothing.remove();
            node.prepend(el("li", {}, el("span", {class: `badge ${kindOf(event.event)}`}, event.event), " ",
                deviceLink(event.device_id), el("span", {class: "quiet"}, " ", detailOf(event), " ", when(event.at_ms))));
            while (node.children.length > SHOWN) node.lastChild.remove();
        },
    };
}
