// A toy in the page: docs/protocol.md as a browser can speak it. It claims with HMAC by WebCrypto, connects with a WebSocket, and
// talks. Its secret and its tokens stay in memory. No element is touched here.
//
// Events: "wire" {way: "out" | "in", what, body}: what went over the wire, without secrets;
// "open"; "echo" {seq, text}; "reply" {seq, text, done}; "refused" {seq, code, detail}; "message" {id, text}; "closed" {code, reason}.
const HIDDEN = "(hidden)";
const VERSION = "console-1";

const hex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

export const randomHex = (count) => hex(crypto.getRandomValues(new Uint8Array(count)));

// HMAC-SHA256 under the secret (64 hex digits) over the three as sent, without separators; hex.
export async function sign(secret, deviceId, childId, nonce) {
    const key = await crypto.subtle.importKey("raw", bytes(secret), {name: "HMAC", hash: "SHA-256"}, false, ["sign"]);
    return hex(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(deviceId + childId + nonce)));
}

const secrets = new Set(["access", "refresh", "refresh_token", "token", "oob_secret"]);
const hide = (body) => body && Object.fromEntries(Object.entries(body).map(([k, v]) => [k, secrets.has(k) ? HIDDEN : v]));

export class Toy extends EventTarget {
    #secret;
    #tokens = null;
    #socket = null;
    #last = ""; // the newest downlink that was kept
    battery = 90 + Math.floor(Math.random() * 10);

    constructor(deviceId, childId, secret) {
        super();
        this.deviceId = deviceId;
        this.childId = childId;
        this.#secret = secret;
    }

    #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail})); }
    #wire(way, what, body) { this.#tell("wire", {way, what, body: hide(body)}); }

    async claim() {
        const nonce = randomHex(16);
        const claim = {device_id: this.deviceId, child_id: this.childId, nonce,
            hmac_hex: await sign(this.#secret, this.deviceId, this.childId, nonce), firmware_version: VERSION};
        this.#wire("out", "POST /api/v1/pair/claim", claim);
        const response = await fetch("/api/v1/pair/claim", {method: "POST", credentials: "omit", cache: "no-store",
            headers: {"Content-Type": "application/json"}, body: JSON.stringify(claim)});
        const answer = await response.json().catch(() => ({}));
        this.#wire("in", String(response.status), answer);
        if (!response.ok) throw new Error(answer.detail ?? `The claim was answered ${response.status}.`);
        this.#tokens = answer;
    }

    // Done once the server has welcomed the toy; an error says why it did not.
    connect() {
        const path = `/ws/esp32/${encodeURIComponent(this.deviceId)}`;
        this.#wire("out", `WebSocket ${path}?token=${HIDDEN}`);
        const socket = this.#socket = new WebSocket(`wss://${location.host}${path}?token=${encodeURIComponent(this.#tokens.access)}`);
        socket.addEventListener("open", () => {
            this.#send({type: "hello", sdk: VERSION, firmware: VERSION, last: this.#last});
            this.measure();
        });
        socket.addEventListener("message", (event) => this.#take(event.data));
        return new Promise((resolve, reject) => {
            this.addEventListener("open", resolve, {once: true});
            socket.addEventListener("close", ({code, reason}) => {
                this.#wire("in", `closed, ${code} ${reason}`);
                this.#tell("closed", {code, reason});
                reject(new Error(code === 1006 ? "The connection was not made, or broke." : `The server closed it: ${reason || code}.`));
            });
        });
    }

    say(text) { this.#send({type: "text", id: randomHex(4), text}); }
    measure() { this.#send({type: "telemetry", battery: this.battery, rssi: -50 - Math.floor(Math.random() * 15)}); }
    close() { this.#socket?.close(1000); }

    #send(message) {
        this.#wire("out", message.type, message);
        this.#socket.send(JSON.stringify(message));
    }

    #take(data) {
        const message = JSON.parse(data);
        this.#wire("in", message.type, message);
        this.#handlers[message.type]?.(message);
    }

    #handlers = {
        welcome: () => this.#tell("open"),
        echo: ({seq, text, done}) => {
            this.#tell("echo", {seq, text});
            if (done) this.#tell("reply", {seq, text: "", done});
        },
        reply: (message) => this.#tell("reply", message),
        error: (message) => this.#tell("refused", message),
        message: (message) => {
            this.#last = message.id;
            this.#tell("message", message);
            this.#send({type: "ack", id: message.id});
        },
        token_expiring: () => this.#send({type: "refresh", refresh: this.#tokens.refresh}),
        tokens: (tokens) => { this.#tokens = {...this.#tokens, ...tokens}; },
    };
}
