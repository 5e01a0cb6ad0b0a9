// Chromium, and pages of the console that fail their test at any error, refusal of the policy, or exception in them.
import assert from "node:assert/strict";
import {createRequire} from "node:module";
import {PATIENCE} from "./server.mjs";

// Where npm ci has put it: beside the tests, or where TEST_MODULES says.
const {chromium} = createRequire(process.env.TEST_MODULES ?? import.meta.url)("playwright-core");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

export function launch() {
    // A sandbox of its own Chromium cannot make as root; what it opens here are our pages alone.
    const args = ["--disable-dev-shm-usage", "--disable-gpu", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])];
    return chromium.launch({executablePath, args});
}

// What went wrong in a page of this context. expected: patterns of what a test brings about itself.
function watch(context) {
    const wrong = [];
    const note = (text) => { if (!wrong.expected.some((pattern) => pattern.test(text))) wrong.push(text); };
    wrong.expected = [];
    context.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) note(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => note(`exception: ${error.error().stack}`));
    context.on("request", (request) => {
        if (!request.url().startsWith(wrong.origin ?? request.url())) note(`fetched from elsewhere: ${request.url()}`);
    });
    return wrong;
}

// A window of somebody of its own: page, and context. options: of the context (colorScheme, viewport).
export async function open(t, browser, server, options = {}) {
    const context = await browser.newContext({ignoreHTTPSErrors: true, locale: "en-GB", viewport: {width: 1280, height: 860}, ...options});
    context.setDefaultTimeout(PATIENCE);
    const wrong = watch(context);
    wrong.origin = server.admin;
    await context.addInitScript(() => addEventListener("securitypolicyviolation", (event) =>
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
    const page = await context.newPage();
    t.after(async () => {
        await context.close();
        assert.deepEqual([...wrong], [], "errors in the page");
    });
    page.expected = wrong.expected;
    page.console = (hash = "") => page.goto(`${server.admin}/console/${hash}`);
    return page;
}

// Signed in with a token of the role, at the page that the hash names; the form itself signin.mjs and access.mjs fill in.
export async function signedIn(t, browser, server, {role = "owner", hash = "#/", more = [], ...options} = {}) {
    const page = await open(t, browser, server, options);
    await page.context().addInitScript((origin) => {
        if (location.origin === origin) localStorage.setItem("teddy-signed-in", "1");
    }, server.admin);
    const answer = await page.context().request.post(`${server.admin}/console/session`, {
        headers: {Origin: server.admin, "X-Teddy-Console": "1"}, data: {token: await server.token(role, ...more)}});
    assert.equal(answer.status(), 201);
    await page.console(hash);
    await page.getByRole("button", {name: "Sign out"}).waitFor();
    return page;
}

export const announced = (page, text) => page.locator("#announce").filter({hasText: text}).waitFor({state: "attached"});
