// What the page is told as it happens: when nobody looks, when the server does not answer, and when there is nothing to tell.
import assert from "node:assert/strict";
import {announced, signedIn} from "./lib/browser.mjs";
import {Server} from "./lib/server.mjs";
import {check, it} from "./lib/shared.mjs";

// As the browser does for a tab behind another; here each would be in front.
const look = (page, looked) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}, !looked);

const isLive = (page) => page.getByText("Live", {exact: true}).waitFor();

check("a tab that nobody looks at gives its connection back, and misses nothing", async (t) => {
    const page = await signedIn(t, it.browser, it.server);
    await page.locator("#tile-online").filter({hasText: /\d/}).waitFor();
    const ofStream = (request) => request.url().includes("/api/v1/admin/events");
    const ended = page.waitForEvent("requestfailed", ofStream);
    await look(page, false);
    await ended; // of six that the browser has for a server
    await it.server.add("unseen-bear");
    const asked = page.waitForRequest(ofStream);
    await look(page, true);
    assert.match((await asked).url(), /\?after=\d+$/);
    await isLive(page);
    await page.getByRole("listitem").filter({hasText: "device.added"}).getByRole("link", {name: "unseen-bear"}).waitFor();
});

check("a page says that it is old while the server does not answer, and goes on by itself", async (t) => {
    const server = await Server.start(); // one that may stand still
    t.after(() => {
        server.process.kill("SIGCONT");
        return server.stop();
    });
    const page = await signedIn(t, it.browser, server);
    await page.clock.install();
    const stale = page.locator("#stale");
    // One that was opened behind another has nothing to say until it is looked at.
    await page.addInitScript(() => Object.defineProperty(document, "hidden", {configurable: true, get: () => true}));
    await page.reload();
    await page.getByText("Connecting", {exact: true}).waitFor();
    await page.clock.fastForward(5000);
    assert.ok(await stale.isHidden());
    await look(page, true);
    await isLive(page);
    // Of what there was none, no figure is made up.
    await page.getByRole("figure", {name: "Reply time"}).locator(".legend").filter({hasText: "half –"}).waitFor();
    await page.locator("#tile-online").filter({hasText: /^0$/}).waitFor();
    server.process.kill("SIGSTOP");
    await page.clock.fastForward(10000);
    await page.getByText("Connecting", {exact: true}).waitFor();
    await page.clock.fastForward(3000);
    await stale.filter({hasText: /^This page is not live: .* What is shown is of \d\d:\d\d:\d\d\. /, visible: true}).waitFor();
    await announced(page, "This page is not live");
    server.process.kill("SIGCONT");
    await isLive(page);
    await announced(page, "This page is live again.");
    assert.ok(await stale.isHidden());
    await page.context().close(); // before its server goes: what breaks off then is no fault of the page
});

check("a number that not each report has is told as it was last; an address that is none says so", async (t) => {
    const page = await signedIn(t, it.browser, it.server);
    page.expected.push(/status of 422/);
    await page.goto(`${it.server.admin}/console/#/device/%zz`);
    await page.getByRole("alert").waitFor();
    await it.server.add("terse-bear");
    const now = Math.floor(Date.now() / 1000);
    await page.route("**/telemetry?**", (route) => route.fulfill({json: {device_id: "terse-bear", more: false,
        at: [now - 30, now - 20, now - 10], battery: [91, 90, null], rssi: [null, null, -60]}}));
    await page.goto(`${it.server.admin}/console/#/device/terse-bear`);
    await page.getByRole("figure", {name: "Battery"}).locator(".legend").filter({hasText: "last 90 %"}).waitFor();
    await page.getByRole("figure", {name: "Signal"}).locator(".legend").filter({hasText: "last -60 dBm"}).waitFor();
});
