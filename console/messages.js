// Messages to a toy: one more, and how many wait.
import {announce, button, confirm, el, field, problem, table, when} from "./dom.js";
import {api, device as path, may} from "./api.js";

function waitingTable(waiting) {
    if (!waiting.length) return el("p", {class: "quiet"}, "None waits.");
    return table("Messages that wait", ["Id", "Kind", "Bytes", "Queued", "Expires"], waiting.map((m) =>
        [m.id, m.kind, String(m.bytes), when(m.queued), when(m.expires)]));
}

// Returns {node, refresh}.
export function messages(id, who, signal) {
    const list = el("div", {});
    const trouble = el("div", {});
    const words = el("input", {name: "words", required: true, maxlength: "1024", autocomplete: "off"});
    const clear = button("Withdraw all", () => attempt(async () => {
        if (!(await confirm(`Withdraw the messages for ${id}`, "What the toy has not got yet is erased.", "Withdraw"))) return;
        const {cleared} = await api("DELETE", path(id, "messages"));
        announce(cleared === 1 ? "One message is withdrawn." : `${cleared} messages are withdrawn.`);
    }), "danger");

    async function attempt(what) {
        trouble.replaceChildren();
        try {
            await what();
            await refresh();
        } catch (error) {
            if (error.name !== "AbortError") trouble.replaceChildren(problem(error));
        }
    }
    async function refresh() {
        const waiting = (await api("GET", path(id, "messages"), {signal})).messages;
        list.replaceChildren(waitingTable(waiting));
        clear.hidden = !waiting.length;
    }
    const go = el("button", {class: "main"}, "Send");
    const send = async (event) => {
        event.preventDefault();
        go.disabled = true; // once said is once heard
        await attempt(async () => {
            const {id: number} = await api("POST", path(id, "messages"), {body: {text: words.value}});
            words.value = "";
            announce(`Message ${number} is on its way to ${id}; it waits until the toy has it.`);
        });
        go.disabled = false;
    };
    const node = el("section", {class: "card"}, el("h2", {}, "Messages"),
        may(who, "operator") && el("form", {class: "say", onsubmit: send},
            field("Say to the toy", words), go),
        trouble, list, may(who, "operator") && el("p", {class: "buttons"}, clear));
    return {node, refresh: () => attempt(async () => {})};
}
