// The admin API and the console's own sign-in, as who is signed in; errors come in words.

const words = {
    role_too_low: "Your role does not allow this.",
    out_of_scope: "Your token is not for this toy.",
    device_not_found: "There is no such toy.",
    device_exists: "A toy of this id is there already.",
    downlink_queue_full: "As many messages as may wait for this toy are waiting already.",
    rate_limited: "Too many attempts. Wait a moment, then try again.",
    store_unavailable: "The server cannot write now. Nothing was changed; try again.",
    verification_running: "A verification is running already. Try again when it has ended.",
};

export class Refused extends Error {
    constructor(status, problem) {
        super(words[problem.code] ?? problem.detail ?? problem.title ?? `The server answered ${status}.`);
        this.status = status;
        this.code = problem.code;
    }
}

// Somebody has to sign in (again); app.js listens.
export const session = new EventTarget();

async function ask(method, path, body, signal) {
    const headers = {"X-Teddy-Console": "1"};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
        response = await fetch(path, {method, headers, signal, cache: "no-store", redirect: "error",
            body: body === undefined ? undefined : JSON.stringify(body)});
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Error("The server cannot be reached.");
    }
    const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
    if (!response.ok) throw new Refused(response.status, answer);
    return answer;
}

// One request of the admin API; path begins behind its root. A sign-in that has ended is told to the whole page.
export async function api(method, path, {body, signal} = {}) {
    try {
        return await ask(method, `/api/v1/admin/${path}`, body, signal);
    } catch (error) {
        if (error.status === 401) session.dispatchEvent(new Event("ended"));
        throw error;
    }
}

export const device = (id, ...rest) => ["devices", encodeURIComponent(id), ...rest].join("/");

// Parameters of a query; those that are empty are left out.
export function query(path, parameters) {
    const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
    return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

const ROUNDS = 20; // of one page

// A page of at most count things from a list that is searched piece by piece: look(at, count) → {found, next}, next null at the
// end. After some pieces it ends with what there is, and next says where to go on.
export async function gather(count, at, look) {
    const found = [];
    for (let round = 0; round < ROUNDS && found.length < count && at !== null; round++) {
        const piece = await look(at, count - found.length);
        found.push(...piece.found);
        at = piece.next;
    }
    return {found, next: at};
}

// Whether somebody signed in from here: only then is it worth asking who. The cookie itself no script can see.
const MARK = "teddy-signed-in";

function mark(person) {
    if (person) localStorage.setItem(MARK, "1");
    else localStorage.removeItem(MARK);
    return person;
}

// Who is signed in: {role, name, prefix, expires}; null when nobody is.
export async function whoami() {
    if (!localStorage.getItem(MARK)) return null;
    try {
        return await ask("GET", "/console/session");
    } catch (error) {
        if (error.status === 401) return mark(null);
        throw error;
    }
}

// With {token} or {once}; the answer is whoami's.
export const signIn = async (credentials) => mark(await ask("POST", "/console/session", credentials));

export async function signOut() {
    await ask("DELETE", "/console/session");
    mark(null);
}

const roles = ["viewer", "operator", "owner"];
export const may = (who, role) => roles.indexOf(who.role) >= roles.indexOf(role);
