// Signing in and out: what a cookie is, what a link is good for, and when both end.
import assert from "node:assert/strict";
import {open, signedIn} from "./lib/browser.mjs";
import {check, it} from "./lib/shared.mjs";

const refused = /status of 401.*\/console\/session/; // what the browser notes of a wrong token

check("a wrong token is told, and a right one opens the console", async (t) => {
    const page = await open(t, it.browser, it.server);
    page.expected.push(refused);
    await page.console();
    await page.getByLabel("Admin token").fill("tdy_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({hasText: "wrong, expired or revoked"}).waitFor();
    await page.getByLabel("Admin token").fill(await it.server.token("viewer"));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", {level: 1, name: "Fleet at a glance"}).waitFor();

    const [cookie, ...others] = await page.context().cookies();
    assert.deepEqual(others, []);
    assert.equal(cookie.name, "__Host-teddy_console");
    assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, "Strict", "/"]);
    assert.equal(await page.evaluate(() => document.cookie), "");
});

check("a link signs in once, and leaves nothing in the address", async (t) => {
    const link = (await it.server.ctl("console", "link")).match(/https:\S+#once=\S+/)[0];
    const page = await open(t, it.browser, it.server);
    await page.goto(link);
    await page.getByRole("button", {name: "Sign out"}).waitFor();
    assert.equal(new URL(page.url()).hash, "");
    await page.reload(); // which does not use it again
    await page.getByRole("button", {name: "Sign out"}).waitFor();

    const second = await open(t, it.browser, it.server);
    second.expected.push(refused);
    await second.goto(link);
    await second.getByText("This link was used already").waitFor();
    assert.equal(new URL(second.url()).hash, "");
});

check("signing out ends the cookie, here and at the server", async (t) => {
    const page = await signedIn(t, it.browser, it.server, {role: "viewer"});
    const [cookie] = await page.context().cookies();
    await page.getByRole("button", {name: "Sign out"}).click();
    await page.getByLabel("Admin token").waitFor();
    assert.deepEqual(await page.context().cookies(), []);
    await page.context().addCookies([cookie]);
    page.expected.push(/status of 401/);
    assert.equal(await page.evaluate(async () => (await fetch("/api/v1/admin/status")).status), 401);
});

check("who cannot be signed out is told so", async (t) => {
    const page = await signedIn(t, it.browser, it.server, {role: "viewer"});
    page.expected.push(/ERR_FAILED/);
    await page.route("**/console/session", (route) => route.request().method() === "DELETE" ? route.abort() : route.continue());
    await page.getByRole("button", {name: "Sign out"}).click();
    await page.getByRole("alert").filter({hasText: "You are still signed in."}).waitFor();
    assert.equal(await page.getByLabel("Admin token").count(), 0);
    await page.unroute("**/console/session");
    await page.getByRole("button", {name: "Sign out"}).click();
    await page.getByLabel("Admin token").waitFor();
});

check("what is told live is asked for again when it was refused", async (t) => {
    const page = await signedIn(t, it.browser, it.server, {role: "viewer"});
    page.expected.push(/status of 503/);
    let asked = 0;
    await page.route("**/api/v1/admin/events", (route) => asked++ ? route.continue() : route.fulfill({status: 503}));
    await page.reload();
    await page.getByText("Live", {exact: true}).waitFor();
    assert.equal(asked, 2);
});

check("who reloads stays signed in, at the same page", async (t) => {
    const page = await signedIn(t, it.browser, it.server, {role: "viewer", hash: "#/devices?q=nobody"});
    await page.reload();
    await page.locator("#found").filter({hasText: "No toys"}).waitFor();
    assert.equal(await page.getByLabel("Id begins with").inputValue(), "nobody");
});

check("a token that is revoked ends its sessions, without anybody asking", async (t) => {
    const page = await open(t, it.browser, it.server);
    page.expected.push(/status of 401/);
    const token = await it.server.token("viewer");
    await page.console();
    await page.getByLabel("Admin token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByText("Live", {exact: true}).waitFor();
    await it.server.ctl("admin-token", "revoke", token.split("_")[1]);
    await page.getByText("Your sign-in has ended.").first().waitFor();
    await page.getByLabel("Admin token").waitFor();
});
