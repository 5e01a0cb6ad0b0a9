// What may be done to a toy, by who may do it. What cannot be taken back is asked for twice; every result is announced.
import {announce, button, confirm, el, problem, reveal} from "./dom.js";
import {api, device as path, may} from "./api.js";

// ask: the question before it is done; when: of which toys; secret: the answer has one, shown once
const all = [
    {verb: "enable", role: "operator", name: "Enable", when: (d) => !d.enabled, done: "is enabled"},
    {verb: "disable", role: "operator", name: "Disable", when: (d) => d.enabled, done: "is disabled",
        ask: "Its session is closed at once, and it is kept out until it is enabled again."},
    {verb: "release", role: "operator", name: "Release", when: (d) => d.child_id, done: "is released", danger: true,
        ask: "Its binding ends, and its tokens, waiting messages and history are erased. A toy that is online claims again by itself: disable it first to keep it out."},
    {verb: "revoke", role: "operator", name: "Revoke tokens", when: (d) => d.claimed, done: "has to claim again",
        ask: "Its session is closed, and it has to claim again with its secret."},
    {verb: "rotate-secret", role: "owner", name: "Rotate secret", when: () => true, done: "has a new secret", danger: true, secret: true,
        ask: "The secret inside the toy stops working at once, and its tokens too. The toy is locked out until it has been given the new one."},
];

async function run(id, action) {
    if (action.ask && !(await confirm(`${action.name}: ${id}`, action.ask, action.name))) return false;
    const answer = await api("POST", path(id, action.verb));
    announce(`${id} ${action.done}.`);
    if (action.secret)
        await reveal(`The new secret of ${id}`, "It is shown this once; nobody can look it up later.", answer.oob_secret);
    return true;
}

// Returns {node, offer}: offer(device) shows what makes sense now. changed() is called after each that was done.
export function actions(id, who, changed) {
    const allowed = all.filter(({role}) => may(who, role));
    if (!allowed.length) return {node: "", offer() {}};
    const trouble = el("div", {});
    const buttons = allowed.map((action) => button(action.name, () => press(action), action.danger ? "danger" : ""));

    async function press(action) {
        trouble.replaceChildren();
        for (const b of buttons) b.disabled = true;
        try {
            if (await run(id, action)) await changed();
        } catch (error) {
            trouble.replaceChildren(problem(error));
        }
        for (const b of buttons) b.disabled = false;
        const own = buttons[allowed.indexOf(action)];
        (own.hidden ? buttons.find((b) => !b.hidden) : own)?.focus(); // what had it may be gone
    }
    return {
        node: el("section", {class: "card"}, el("h2", {}, "Actions"), el("p", {class: "buttons"}, buttons), trouble),
        offer: (device) => allowed.forEach((action, i) => { buttons[i].hidden = !action.when(device); }),
    };
}
