// What a role may not do is not offered; and the server refuses it all the same.
import assert from "node:assert/strict";
import {signedIn} from "./lib/browser.mjs";
import {check, it} from "./lib/shared.mjs";

const offered = (page) => page.locator("#main").getByRole("button").allTextContents();
const pages = (page) => page.getByRole("navigation", {name: "Pages"}).getByRole("link").allTextContents();

check("a viewer is offered nothing that changes anything", async (t) => {
    await it.server.add("watched-bear");
    const page = await signedIn(t, it.browser, it.server, {role: "viewer", hash: "#/device/watched-bear"});
    await page.getByText("never claimed").first().waitFor();
    await page.getByText("None waits.").waitFor();
    assert.deepEqual(await offered(page), []);
    assert.deepEqual(await pages(page), ["Fleet", "Devices", "Try it"]);
    await page.goto(`${it.server.admin}/console/#/audit`);
    await page.getByRole("heading", {level: 1, name: "Fleet at a glance"}).waitFor();
    await page.getByRole("link", {name: "Try it"}).click();
    assert.equal(await page.getByLabel("Make a new toy").count(), 0);
    page.expected.push(/status of 403/);
    const status = await page.evaluate(async () => (await fetch("/api/v1/admin/devices/watched-bear/disable",
        {method: "POST", headers: {"X-Teddy-Console": "1"}})).status);
    assert.equal(status, 403);
    assert.equal((await it.server.show("watched-bear")).enabled, true);
});

check("an operator is not offered what an owner may do", async (t) => {
    await it.server.add("served-bear");
    const page = await signedIn(t, it.browser, it.server, {role: "operator", hash: "#/device/served-bear"});
    await page.getByRole("button", {name: "Disable", exact: true}).waitFor();
    assert.ok(!(await offered(page)).includes("Rotate secret"));
    assert.deepEqual(await pages(page), ["Fleet", "Devices", "Audit trail", "Try it"]);
});

check("a token for some toys sees those, live as well", async (t) => {
    const theirs = await it.server.toy("theirs-bear");
    const page = await signedIn(t, it.browser, it.server, {more: ["--prefix", "ours-"]});
    const online = page.locator("#tile-online");
    await online.filter({hasText: /^0$/}).waitFor();
    const ours = await it.server.toy("ours-bear");
    await online.filter({hasText: /^1$/}).waitFor();
    await page.getByRole("link", {name: ours.id}).first().waitFor();
    assert.equal(await page.getByRole("link", {name: theirs.id}).count(), 0);
    await page.getByRole("link", {name: "Devices"}).click();
    await page.getByRole("rowheader").first().waitFor();
    assert.deepEqual(await page.getByRole("rowheader").allTextContents(), [ours.id]);
});
