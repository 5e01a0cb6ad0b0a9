// What the server tells as it happens: one stream for the whole page, kept while somebody is signed in and looks at it. A browser has
// six connections to a server: pages that nobody looks at would keep them all, and the next one would wait for ever.
// Events: "state" and "audit" (detail: what came), "link" (detail: whether the stream is open), "ended": whose stream it was may
// not go on.
import {query} from "./api.js";

const HISTORY = 600; // states, one a second
const EVENTS = 50;
const AGAIN = 2000; // milliseconds
const SILENCE = 10000; // milliseconds, after which the server, or the way to it, is taken for gone
const GAP = 3; // seconds between two states, from which on a chart shows that nothing is known

class Live extends EventTarget {
    states = [];
    events = [];
    open = false;
    #on = false; // somebody is signed in
    #source = null;
    #last = ""; // number of the newest event of the trail
    #silence = 0; // timer

    constructor() {
        super();
        document.addEventListener("visibilitychange", () => this.#on && this.#look());
    }

    start() {
        this.stop();
        this.#on = true;
        this.#look();
    }

    #look() {
        this.#close();
        if (!document.hidden) this.#connect();
    }

    #close() {
        clearTimeout(this.#silence);
        this.#source?.close();
        this.#source = null;
        this.open = false;
    }

    #connect() {
        const source = this.#source = new EventSource(query("/api/v1/admin/events", {after: this.#last}));
        source.addEventListener("open", () => this.#link(true));
        source.addEventListener("error", () => { // the browser tries again by itself, unless it was refused, as by a server that goes away
            this.#link(false);
            if (this.refused) setTimeout(() => this.#source === source && this.#look(), AGAIN);
        });
        source.addEventListener("end", (event) => {
            if (!["token_ended", "signed_out"].includes(JSON.parse(event.data).reason)) return;
            this.stop();
            this.dispatchEvent(new Event("ended"));
        });
        source.addEventListener("state", (event) => this.#state(event));
        source.addEventListener("audit", (event) => this.#keep("audit", this.events, EVENTS, event));
        this.#heard();
    }

    stop() {
        this.#on = false;
        this.#close();
        this.states = [];
        this.events = [];
        this.#last = "";
    }

    #heard() {
        clearTimeout(this.#silence);
        this.#silence = setTimeout(() => {
            this.#link(false);
            this.#look();
        }, SILENCE);
    }

    #state(event) {
        const before = this.states.at(-1);
        if (before && JSON.parse(event.data).at - before.at > GAP) this.states.push({at: before.at + 1});
        this.#heard();
        this.#keep("state", this.states, HISTORY, event);
    }

    get refused() { return this.#source?.readyState === EventSource.CLOSED; }

    #link(open) {
        this.open = open;
        this.dispatchEvent(new CustomEvent("link", {detail: open}));
    }

    #keep(name, list, max, event) {
        const what = JSON.parse(event.data);
        this.#last = event.lastEventId;
        list.push(what);
        while (list.length > max) list.shift();
        this.dispatchEvent(new CustomEvent(name, {detail: what}));
    }
}

export const live = new Live();
