// Who is signed in, which page is shown, and what frames it.
import {announce, button, el, problem} from "./dom.js";
import {may, session, signIn, signOut, whoami} from "./api.js";
import {live} from "./sse.js";
import {signInPage} from "./signin.js";
import {glance} from "./glance.js";
import {devices} from "./devices.js";
import {devicePage} from "./device.js";
import {audit} from "./audit.js";
import {tryIt} from "./try.js";

// path → page; role: who may see it; nav: its name among the pages
const pages = [
    {path: "", nav: "Fleet", title: "Fleet at a glance", role: "viewer", show: glance},
    {path: "devices", nav: "Devices", title: "Devices", role: "viewer", show: devices},
    {path: "device", under: "devices", title: "Device", role: "viewer", show: devicePage},
    {path: "audit", nav: "Audit trail", title: "Audit trail", role: "operator", show: audit},
    {path: "try", nav: "Try it", title: "Try it", role: "viewer", show: tryIt},
];

const byId = (id) => document.getElementById(id);
const main = byId("main");
let who = null;
let leave = new AbortController(); // of the page that is shown
let shown = null;
let staleSoon = null; // timer
const STALE = 3000; // milliseconds without a stream

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text; // what somebody typed: it names nothing
    }
}

// #/device/bear-1?x=1 → {path, argument, query}
function address() {
    const [route, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [path, argument = ""] = route.split("/").map(decoded);
    return {path, argument, query: new URLSearchParams(search)};
}

// The page's own title and heading get the focus, so that a screen reader tells where it is.
function show(view, title, context) {
    leave.abort();
    leave = new AbortController();
    main.replaceChildren();
    document.title = `${title} · Teddy`;
    const {signal} = leave;
    Promise.resolve(view(main, {...context, signal})).catch((error) => {
        if (!signal.aborted) main.append(problem(error));
    });
    const first = main.querySelector("h1");
    if (shown !== null && !main.contains(document.activeElement)) (first ?? main).focus({preventScroll: true});
    if (shown !== view) window.scrollTo(0, 0);
    shown = view;
}

function route() {
    if (location.hash === "#main") return;
    if (location.hash.startsWith("#once=")) return redeem();
    if (!who) return askWho();
    const {path, argument, query} = address();
    const page = pages.find((p) => p.path === path && may(who, p.role)) ?? pages[0];
    for (const link of byId("nav").querySelectorAll("a")) {
        if (link.dataset.path === (page.under ?? page.path)) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
    show(page.show, argument || page.title, {who, argument, query});
}

function frame() {
    byId("nav").hidden = byId("who").hidden = !who;
    if (!who) return linked(false);
    byId("nav").replaceChildren(el("ul", {}, pages.filter((p) => p.nav && may(who, p.role)).map((p) =>
        el("li", {}, el("a", {href: `#/${p.path}`, "data-path": p.path}, p.nav)))));
    byId("who").replaceChildren(
        el("span", {class: "link", id: "link"}),
        el("span", {class: "role", title: who.prefix ? `Only toys whose id begins with ${who.prefix}` : ""},
            who.name || who.role, who.name && el("small", {}, ` ${who.role}`)),
        button("Sign out", leaveForGood));
    linked(live.open);
}

// Whether what is shown is so still. When it is not, that is said once it has lasted.
function linked(open) {
    const [link, stale] = [byId("link"), byId("stale")];
    if (link) link.textContent = open ? "Live" : "Connecting";
    link?.classList.toggle("open", open);
    if (!open && who) {
        if (stale.hidden) staleSoon ??= setTimeout(() => {
            staleSoon = null;
            if (document.hidden) return; // nobody looks, and so nobody listens
            const at = live.states.at(-1)?.at;
            const shownAt = at ? `What is shown is of ${new Date(at * 1000).toLocaleTimeString()}. ` : "";
            stale.textContent = `This page is not live: the server does not answer, or as many pages listen as may. ${shownAt}It goes on by itself.`;
            stale.hidden = false;
            announce(stale.textContent);
        }, STALE);
        return;
    }
    clearTimeout(staleSoon);
    staleSoon = null;
    if (who && !stale.hidden) announce("This page is live again.");
    stale.hidden = true;
}

// Said only when it is so: a cookie that the server has not forgotten is good for whoever sits here next.
async function leaveForGood() {
    try {
        await signOut();
    } catch (error) {
        if (error.status !== 401) return main.prepend(problem(new Error(`You are still signed in. ${error.message}`)));
    }
    ended("You are signed out.");
}

function entered(person) {
    who = person;
    live.start();
    frame();
    route();
}

function askWho(told) {
    show(signInPage, "Sign in", {told, entered});
}

function ended(told) {
    if (!who) return;
    who = null;
    live.stop();
    frame();
    announce(told);
    askWho(told);
}

// A link that is good once: its code leaves the address, and with it the history, before anything else.
async function redeem() {
    const once = location.hash.slice("#once=".length);
    history.replaceState(null, "", location.pathname);
    try {
        entered(await signIn({once}));
    } catch {
        const person = await whoami().catch(() => null);
        if (person) entered(person);
        else askWho("This link was used already, or is older than five minutes. Ask for another one, or sign in with a token.");
    }
}

byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
});
for (const source of [session, live]) source.addEventListener("ended", () => ended("Your sign-in has ended."));
live.addEventListener("link", async ({detail: open}) => {
    linked(open);
    if (live.refused && !(await whoami().catch(() => who))) ended("Your sign-in has ended.");
});
addEventListener("hashchange", route);

if (location.hash.startsWith("#once=")) await redeem();
else {
    try {
        const person = await whoami();
        if (person) entered(person);
        else askWho();
    } catch (error) {
        main.append(problem(error));
    }
}
