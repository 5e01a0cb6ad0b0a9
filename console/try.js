// "Try it": a toy in the page, step by step, with what goes over the wire. Nothing of it is kept when the page is left.
import {announce, button, confirm, el, field, heading, problem} from "./dom.js";
import {api, device as path, may} from "./api.js";
import {Toy, randomHex} from "./toy.js";

const SECRET = "[0-9A-Fa-f]{64}";
const ID = "[A-Za-z0-9_\\-]{1,64}";

const steps = {
    register: "Register the toy: the server makes its secret",
    claim: "Claim: the toy proves that it knows its secret, and gets tokens",
    connect: "Connect: a WebSocket with the access token",
    talk: "Talk: an echo of what was heard, then the answer as it is made",
};

function stepList() {
    const items = Object.fromEntries(Object.entries(steps).map(([key, text]) => [key, el("li", {"data-step": key}, text)]));
    return {
        node: el("ol", {class: "steps", "aria-label": "Steps"}, Object.values(items)),
        // state: "now", "done" or "failed"
        set(key, state) {
            items[key].dataset.state = state;
            items[key].toggleAttribute("aria-current", false);
            if (state === "now") items[key].setAttribute("aria-current", "step");
        },
        hide(key) { items[key].hidden = true; },
        reset() { for (const item of Object.values(items)) delete item.dataset.state; },
    };
}

// What went over the wire, the newest last.
function wireLog() {
    const node = el("ol", {class: "wire", "aria-label": "Over the wire", tabindex: "0"});
    return {
        node,
        add({way, what, body}) {
            node.append(el("li", {class: way}, el("span", {class: "what"}, way === "out" ? "→ " : "← ",
                el("span", {class: "unseen"}, way === "out" ? "sent: " : "received: "), what),
            body && el("pre", {}, JSON.stringify(body, null, 1).replace(/\n */g, " "))));
            node.scrollTop = node.scrollHeight;
        },
        clear: () => node.replaceChildren(),
    };
}

// The conversation. A reply's parts join into one bubble, which a screen reader is told once it is whole.
function conversation() {
    const node = el("ol", {class: "talk", role: "log", "aria-label": "Conversation", tabindex: "0"});
    const bubbles = new Map(); // by seq
    const add = (kind, name, text) => {
        const words = el("span", {}, text);
        const bubble = el("li", {class: kind}, el("b", {}, name), words);
        node.append(bubble);
        node.scrollTop = node.scrollHeight;
        return {bubble, words};
    };
    return {
        node,
        clear: () => node.replaceChildren(),
        echo: ({text}) => add("child", "You", text),
        message: ({text}) => add("toy", "Message", text ?? "(data)"),
        refused: ({detail, code}) => add("trouble", "Server", detail ?? code),
        reply({seq, text, done}) {
            if (!bubbles.has(seq)) {
                if (done && !text) return;
                bubbles.set(seq, add("toy", "Teddy", ""));
            }
            const {bubble, words} = bubbles.get(seq);
            bubble.setAttribute("aria-busy", String(!done));
            words.append(text);
            if (done) bubbles.delete(seq);
            node.scrollTop = node.scrollHeight;
        },
    };
}

// The fields that say which toy. An owner may have one made.
function whichToy(canMake) {
    const make = el("input", {name: "make", type: "checkbox", checked: canMake});
    const id = el("input", {name: "device", required: true, pattern: ID, value: canMake ? `try-${randomHex(3)}` : "", autocomplete: "off",
        spellcheck: "false", autocapitalize: "none"});
    const child = el("input", {name: "child", required: true, pattern: ID, value: "try-child", autocomplete: "off", spellcheck: "false",
        autocapitalize: "none"});
    const secret = el("input", {name: "secret", type: "password", required: true, pattern: SECRET, autocomplete: "off"});
    const hidden = field("Secret", secret, "64 hex digits. It is used here to sign, and is sent nowhere.");
    const sync = () => {
        hidden.hidden = make.checked;
        secret.required = !make.checked;
    };
    make.addEventListener("change", sync);
    make.id = "field-make";
    sync();
    const node = el("div", {},
        canMake && el("p", {class: "check"}, make, el("label", {for: make.id}, "Make a new toy for this")),
        el("div", {class: "filters"}, field("Toy", id), field("Child", child), hidden));
    return {node, get: () => ({make: make.checked, id: id.value, child: child.value, secret: secret.value})};
}

export function tryIt(main, {who, signal}) {
    const canMake = may(who, "owner") && !who.prefix;
    const which = whichToy(canMake);
    const step = stepList();
    const wire = wireLog();
    const talk = conversation();
    const trouble = el("div", {});
    const words = el("input", {name: "words", required: true, maxlength: "1000", autocomplete: "off"});
    const start = el("button", {class: "main"}, "Start");
    const stop = button("Disconnect", () => toy.close());
    const remove = button("Remove this toy", removeIt, "danger");
    const speak = el("form", {class: "say", hidden: true, onsubmit: say}, field("Say something", words), el("button", {class: "main"}, "Say"));
    let toy = null;
    let made = null; // {id, secret} of the toy that was made here
    stop.hidden = remove.hidden = true;
    if (!canMake) step.hide("register");

    // One step: shown as it goes on, and as failed when it throws.
    async function during(key, what) {
        step.set(key, "now");
        try {
            await what();
            step.set(key, "done");
        } catch (error) {
            step.set(key, "failed");
            throw error;
        }
    }
    async function register(asked) {
        wire.add({way: "out", what: "POST /api/v1/admin/devices", body: {device_id: asked.id}});
        const answer = await api("POST", "devices", {body: {device_id: asked.id}});
        wire.add({way: "in", what: "201", body: {...answer, oob_secret: "(hidden)"}});
        made = {id: asked.id, secret: answer.oob_secret};
    }
    function meet(asked) {
        toy = new Toy(asked.id, asked.child, asked.secret);
        toy.addEventListener("wire", ({detail}) => wire.add(detail));
        for (const name of ["echo", "reply", "message", "refused"]) toy.addEventListener(name, ({detail}) => talk[name](detail));
        toy.addEventListener("reply", ({detail}) => detail.done && step.set("talk", "done"));
        toy.addEventListener("closed", ({detail}) => parted(detail));
    }
    async function begin(event) {
        event.preventDefault();
        const asked = which.get();
        start.disabled = true;
        for (const part of [trouble, wire.node, talk.node]) part.replaceChildren();
        step.reset();
        try {
            if (asked.make) {
                if (made?.id !== asked.id) await during("register", () => register(asked));
                asked.secret = made.secret;
            }
            meet(asked);
            await during("claim", () => toy.claim());
            await during("connect", () => toy.connect());
            step.set("talk", "now");
            speak.hidden = stop.hidden = false;
            setup.hidden = true;
            announce("The toy is online. Say something.");
            words.focus();
        } catch (error) {
            trouble.replaceChildren(problem(error));
        }
        remove.hidden = !made;
        start.disabled = false;
    }
    function say(event) {
        event.preventDefault();
        toy.battery -= 1;
        toy.say(words.value);
        toy.measure();
        words.value = "";
    }
    function parted({code, reason}) {
        speak.hidden = stop.hidden = true;
        setup.hidden = false;
        if (signal.aborted) return;
        announce(code === 1000 ? "The toy is offline." : `The server closed the session: ${reason || code}.`);
    }
    async function removeIt() {
        if (!(await confirm(`Remove ${made.id}`, "The toy, and all that is kept about it, is erased.", "Remove"))) return;
        try {
            await api("DELETE", path(made.id));
            announce(`${made.id} is removed.`);
            made = null;
            remove.hidden = true;
            start.focus();
        } catch (error) {
            trouble.replaceChildren(problem(error));
        }
    }

    const setup = el("form", {onsubmit: begin}, which.node, el("p", {class: "buttons"}, start));
    signal.addEventListener("abort", () => toy?.close());
    main.append(heading("Try it"),
        el("p", {}, "A toy made of this page: it claims, connects and talks as a real one does. See the whole path without hardware."),
        el("div", {class: "two"},
            el("section", {class: "card"}, el("h2", {}, "The toy"), step.node, setup, trouble, talk.node, speak,
                el("p", {class: "buttons"}, stop, remove)),
            el("section", {class: "card"}, el("h2", {}, "Over the wire"), el("p", {class: "hint"}, "Secrets and tokens are hidden."), wire.node)));
}
