// "Try it": the page is a toy, from nothing to an answer.
import assert from "node:assert/strict";
import {announced, signedIn} from "./lib/browser.mjs";
import {check, it} from "./lib/shared.mjs";

// Tries again until it is so: of what no event tells. The test's own time limit ends it.
async function until(check) {
    while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 50));
}

const button = (page, name) => page.getByRole("button", {name, exact: true});

check("an owner has a toy made, which claims, connects, talks and hears", async (t) => {
    const page = await signedIn(t, it.browser, it.server, {hash: "#/try"});
    await page.getByLabel("Toy", {exact: true}).fill("page-bear");
    await button(page, "Start").click();
    await announced(page, "The toy is online.");
    await page.getByLabel("Say something").fill("My name is Mia.");
    await page.keyboard.press("Enter");
    const talk = page.getByRole("log", {name: "Conversation"});
    await talk.locator(".child", {hasText: "My name is Mia."}).waitFor();
    await talk.locator(".toy[aria-busy=false]").filter({hasText: /Mia/}).waitFor();
    assert.equal(await page.locator(".steps [data-state=done]").count(), 4);

    // What is shown has no secret and no token in it.
    const wire = await page.getByRole("list", {name: "Over the wire"}).textContent();
    for (const part of ["/api/v1/pair/claim", "hmac_hex", "welcome", "echo", "reply"]) assert.ok(wire.includes(part), part);
    assert.doesNotMatch(wire, /eyJ|"(access|refresh|oob_secret)": "(?!\(hidden\))/);
    // It is a toy like another: bound, online, and a message reaches it.
    const shown = await it.server.show("page-bear");
    assert.deepEqual([shown.child_id, shown.enabled], ["try-child", true]);
    await it.server.ctl("send", "page-bear", "Good night");
    await talk.locator(".toy", {hasText: "Good night"}).waitFor();
    // What it told of itself is on its page, as a chart and in words.
    await until(async () => (await it.server.ctlJson("device", "telemetry", "page-bear")).at.length > 0);
    const other = await page.context().newPage();
    await other.goto(`${it.server.admin}/console/#/device/page-bear`);
    const battery = other.getByRole("figure", {name: "Battery"});
    await battery.getByRole("img", {name: /^Battery\. last: \d+ % now/}).waitFor();
    await other.getByRole("table", {name: "Sessions"}).getByText("online").waitFor();
    await other.close();
    await it.server.ctl("device", "disable", "page-bear");
    await announced(page, "The server closed the session: device_disabled");
    await button(page, "Remove this toy").click();
    await page.getByRole("dialog").getByRole("button", {name: "Remove"}).click();
    await announced(page, "page-bear is removed.");
    await assert.rejects(it.server.show("page-bear"));
});

check("a toy that is there is played with its secret; a wrong one is refused in words", async (t) => {
    const secret = await it.server.add("known-bear");
    const page = await signedIn(t, it.browser, it.server, {role: "viewer", hash: "#/try"});
    page.expected.push(/status of 401.*\/pair\/claim/);
    await page.getByLabel("Toy", {exact: true}).fill("known-bear");
    await page.getByLabel("Secret").fill("00".repeat(32));
    await button(page, "Start").click();
    await page.getByRole("alert").waitFor();
    await page.locator("[data-step=claim][data-state=failed]").waitFor();
    await page.getByLabel("Secret").fill(secret);
    await button(page, "Start").click();
    await announced(page, "The toy is online.");
    await button(page, "Disconnect").click();
    await announced(page, "The toy is offline.");
});
