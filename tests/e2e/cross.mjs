// A page of somebody else, open in the browser of somebody who is signed in: on the same host at another port, to which the
// cookie goes although it is SameSite=Strict, and on another site.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {createServer} from "node:https";
import path from "node:path";
import {signedIn} from "./lib/browser.mjs";
import {check, it} from "./lib/shared.mjs";

// A server of pages at another port; its origin behind "https://HOST".
async function stranger(t) {
    const file = (name) => readFileSync(path.join(it.server.data, name));
    const server = createServer({key: file("server.key"), cert: file("server.crt")}, (_, response) => {
        response.setHeader("Content-Type", "text/html");
        response.end("<!doctype html><title>A stranger</title><h1>A stranger</h1>");
    });
    t.after(() => {
        server.closeAllConnections();
        server.close();
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server.address().port;
}

// What a page can do with another origin; each says what came of it.
const attempts = ({admin, id, token}) => {
    const answered = (promise) => promise.then((r) => `${r.type} ${r.status}`, () => "refused");
    const url = `${admin}/api/v1/admin/devices/${id}/disable`;
    const socket = (address) => new Promise((resolve) => {
        const ws = new WebSocket(address);
        ws.onopen = () => resolve("open");
        ws.onclose = ({code}) => resolve(`closed ${code}`);
    });
    const stream = () => new Promise((resolve) => {
        const source = new EventSource(`${admin}/api/v1/admin/events`, {withCredentials: true});
        source.addEventListener("state", () => resolve("told"));
        source.onerror = () => { source.close(); resolve("refused"); };
    });
    return Promise.all([
        answered(fetch(url, {method: "POST", credentials: "include", mode: "no-cors"})),
        answered(fetch(url, {method: "POST", credentials: "include", headers: {"X-Teddy-Console": "1"}})),
        answered(fetch(`${admin}/api/v1/admin/devices`, {credentials: "include"})),
        answered(fetch(`${admin}/api/v1/admin/devices`, {credentials: "include", mode: "no-cors"})),
        answered(fetch(`${admin}/console/session`, {method: "DELETE", credentials: "include", headers: {"X-Teddy-Console": "1"}})),
        stream(),
        socket(`${admin.replace("https", "wss")}/ws/esp32/${id}?token=${token}`),
    ]);
};

check("a page of another origin can do nothing with the cookie", async (t) => {
    const secret = await it.server.add("prey-bear");
    const page = await signedIn(t, it.browser, it.server, {hash: "#/try"});
    // A token that is good: the page's own toy opens its session with it.
    await page.getByLabel("Make a new toy").uncheck();
    await page.getByLabel("Toy", {exact: true}).fill("prey-bear");
    await page.getByLabel("Secret").fill(secret);
    const asked = page.waitForEvent("websocket");
    await page.getByRole("button", {name: "Start"}).click();
    const token = new URL((await asked).url()).searchParams.get("token");
    await page.getByLabel("Say something").waitFor();
    page.expected.push(/./); // the browser notes each refusal
    const port = await stranger(t);
    for (const host of ["127.0.0.1", "localhost"]) {
        const evil = await page.context().newPage();
        await evil.goto(`https://${host}:${port}/`);
        const letIn = []; // by the server itself: the page is not shown an answer in any case
        evil.on("response", (r) => r.url().startsWith(it.server.admin) && r.status() < 400 && letIn.push(`${r.status()} ${r.url()}`));
        const results = await evil.evaluate(attempts, {admin: it.server.admin, id: "prey-bear", token});
        assert.deepEqual(results, ["opaque 0", "refused", "refused", "opaque 0", "refused", "refused", "closed 1006"], host);
        // A form needs no script. Its answer is a page of the server's, which says no.
        const [answer] = await Promise.all([
            evil.waitForResponse((r) => r.url().endsWith("/disable")),
            evil.evaluate((action) => {
                const form = Object.assign(document.createElement("form"), {method: "POST", action});
                document.body.append(form);
                form.submit();
            }, `${it.server.admin}/api/v1/admin/devices/prey-bear/disable`),
        ]);
        assert.ok([401, 403].includes(answer.status()), `${host}: ${answer.status()}`);
        assert.deepEqual(letIn, [], host);
        await evil.close();
    }
    // Nothing was done, the toy is online still, and who was signed in is.
    assert.equal((await it.server.show("prey-bear")).enabled, true);
    await page.getByLabel("Say something").fill("Hello!");
    await page.keyboard.press("Enter");
    await page.getByRole("log").locator(".toy").first().waitFor();
    await page.reload();
    await page.getByRole("button", {name: "Sign out"}).waitFor();
});

check("no page of another origin can frame the console", async (t) => {
    const page = await signedIn(t, it.browser, it.server);
    page.expected.push(/./);
    const evil = await page.context().newPage();
    await evil.goto(`https://127.0.0.1:${await stranger(t)}/`);
    await evil.evaluate((src) => new Promise((resolve) => {
        const frame = Object.assign(document.createElement("iframe"), {src, onload: resolve});
        document.body.append(frame);
    }), `${it.server.admin}/console/`);
    assert.equal(await evil.frameLocator("iframe").locator("main").count(), 0);
});
