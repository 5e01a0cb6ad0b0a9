// What the server tells as it happens: one stream for the whole page, kept while somebody is signed in.
// Events: "state" and "audit" (detail: what came), "link" (detail: whether the stream is open), "ended": whose stream it was may
// not go on.

const HISTORY = 600; // states, one a second
const EVENTS = 50;
const AGAIN = 2000; // milliseconds

class Live extends EventTarget {
    states = [];
    events = [];
    open = false;
    #source = null;

    start() {
        this.stop();
        this.#connect();
    }

    #connect() {
        const source = this.#source = new EventSource("/api/v1/admin/events");
        source.addEventListener("open", () => this.#link(true));
        source.addEventListener("error", () => { // the browser tries again by itself, unless it was refused, as by a server that goes away
            this.#link(false);
            if (this.refused) setTimeout(() => this.#source === source && this.#connect(), AGAIN);
        });
        source.addEventListener("end", (event) => {
            if (!["token_ended", "signed_out"].includes(JSON.parse(event.data).reason)) return;
            this.stop();
            this.dispatchEvent(new Event("ended"));
        });
        source.addEventListener("state", (event) => this.#keep("state", this.states, HISTORY, JSON.parse(event.data)));
        source.addEventListener("audit", (event) => this.#keep("audit", this.events, EVENTS, JSON.parse(event.data)));
    }

    stop() {
        this.#source?.close();
        this.#source = null;
        this.states = [];
        this.events = [];
        this.open = false;
    }

    get refused() { return this.#source?.readyState === EventSource.CLOSED; }

    #link(open) {
        this.open = open;
        this.dispatchEvent(new CustomEvent("link", {detail: open}));
    }

    #keep(name, list, max, what) {
        list.push(what);
        if (list.length > max) list.shift();
        this.dispatchEvent(new CustomEvent(name, {detail: what}));
    }
}

export const live = new Live();
