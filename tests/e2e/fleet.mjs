// The fleet, its devices, and what is done to them: each is checked at the server as well.
import assert from "node:assert/strict";
import {announced, signedIn} from "./lib/browser.mjs";
import {Server} from "./lib/server.mjs";
import {check, it} from "./lib/shared.mjs";

const dialog = (page) => page.getByRole("dialog");
const press = (page, name) => page.getByRole("button", {name, exact: true}).click();

check("the glance shows a toy that comes online, as it happens", async (t) => {
    const server = await Server.start(); // where nobody else comes and goes
    t.after(() => server.stop());
    const page = await signedIn(t, it.browser, server);
    const online = page.locator("#tile-online");
    await online.filter({hasText: /^0$/}).waitFor();
    const toy = await server.toy("glance-bear");
    await online.filter({hasText: /^1$/}).waitFor();
    await page.getByRole("listitem").filter({hasText: "claim.accepted"}).getByRole("link", {name: toy.id}).waitFor();
    toy.say("Hello!");
    await page.getByRole("img", {name: /^Reply time\. half: [\d.]+ m?s now/}).waitFor();
    // The charts tell the same in words, and in a table.
    const chart = page.getByRole("figure").filter({has: page.getByRole("heading", {name: "Online"})});
    await chart.getByRole("img", {name: "toys: 1 now"}).waitFor();
    assert.ok(await chart.locator("canvas").isVisible());
    await chart.getByText("As a table").click();
    await chart.getByRole("cell", {name: "1", exact: true}).first().waitFor();
    await toy.stop();
    await online.filter({hasText: /^0$/}).waitFor();
    await page.context().close(); // before its server goes: what breaks off then is no fault of the page
});

check("devices are searched, filtered and paged", async (t) => {
    const csv = ["device_id,oob_secret"];
    for (let n = 1; n <= 120; n++) csv.push(`herd-${String(n).padStart(3, "0")},${n.toString(16).padStart(64, "ab")}`);
    const operator = await signedIn(t, it.browser, it.server, {hash: "#/devices"});
    const status = await operator.evaluate(async (body) => (await fetch("/api/v1/admin/devices/import", {method: "POST", body,
        headers: {"Content-Type": "text/csv", "X-Teddy-Console": "1"}})).status, csv.join("\n"));
    assert.equal(status, 200);
    await it.server.ctl("device", "disable", "herd-077");
    const page = operator;
    const rows = page.getByRole("rowheader");
    await page.getByLabel("Id begins with").fill("herd-");
    await press(page, "Search");
    await rows.filter({hasText: "herd-001"}).waitFor();
    assert.equal(await rows.count(), 50);
    await page.getByRole("link", {name: "Next page"}).click();
    await rows.filter({hasText: "herd-051"}).waitFor();
    await page.getByRole("link", {name: "Next page"}).click();
    await rows.filter({hasText: "herd-120"}).waitFor();
    assert.equal(await rows.count(), 20);
    assert.equal(await page.getByRole("link", {name: "Next page"}).count(), 0);
    await page.goBack();
    await rows.filter({hasText: "herd-051"}).waitFor();
    await page.getByLabel("State").selectOption("Disabled");
    await rows.filter({hasText: "herd-077"}).waitFor();
    assert.equal(await rows.count(), 1);
    await page.getByLabel("State").selectOption("Any");
    await page.getByLabel("Id or firmware has").fill("D-10");
    await press(page, "Search");
    await page.locator("#found").filter({hasText: "10 toys"}).waitFor();
    await rows.getByRole("link", {name: "herd-107"}).click();
    await page.getByRole("heading", {level: 1, name: "herd-107"}).waitFor();
});

check("a device is disabled and enabled, after a question", async (t) => {
    const toy = await it.server.toy("able-bear");
    const page = await signedIn(t, it.browser, it.server, {role: "operator", hash: `#/device/${toy.id}`});
    await page.locator(".state").filter({hasText: "online"}).waitFor();
    await press(page, "Disable");
    await dialog(page).getByRole("button", {name: "Cancel"}).click();
    assert.equal((await it.server.show(toy.id)).enabled, true);
    await press(page, "Disable");
    await dialog(page).getByRole("button", {name: "Disable"}).click();
    await announced(page, `${toy.id} is disabled.`);
    assert.equal((await it.server.show(toy.id)).enabled, false);
    await toy.out.wait(/device_disabled/);
    await page.locator(".state").filter({hasText: "disabled"}).waitFor();
    await press(page, "Enable");
    await announced(page, `${toy.id} is enabled.`);
    assert.equal((await it.server.show(toy.id)).enabled, true);
    await page.getByRole("row").filter({hasText: "device.disabled"}).first().waitFor();
    await press(page, "Revoke tokens");
    await dialog(page).getByRole("button", {name: "Revoke tokens"}).click();
    await announced(page, `${toy.id} has to claim again.`);
    // Of one that is gone meanwhile the page says so, also where the action was asked for.
    page.expected.push(/status of 404/);
    await it.server.ctl("device", "remove", toy.id);
    await page.locator(".state").getByRole("alert").filter({hasText: "There is no such toy."}).waitFor();
    await press(page, "Disable");
    await dialog(page).getByRole("button", {name: "Disable"}).click();
    await page.locator("section").filter({hasText: "Actions"}).getByRole("alert").filter({hasText: "There is no such toy."}).waitFor();
});

check("a device is released, and its secret rotated and shown once", async (t) => {
    const toy = await it.server.toy("moving-bear");
    await toy.stop(); // one that is there claims again by itself
    const page = await signedIn(t, it.browser, it.server, {hash: `#/device/${toy.id}`});
    await page.getByText("e2e-child").waitFor();
    await press(page, "Release");
    await dialog(page).getByRole("button", {name: "Release"}).click();
    await announced(page, `${toy.id} is released.`);
    const shown = await it.server.show(toy.id);
    assert.equal(shown.child_id, null);
    await press(page, "Rotate secret");
    await dialog(page).getByRole("button", {name: "Rotate secret"}).click();
    const secret = await dialog(page).locator("code").textContent();
    assert.match(secret, /^[0-9a-f]{64}$/);
    await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error("not allowed")); });
    await press(page, "Copy");
    await dialog(page).getByRole("button", {name: "Not copied: mark it"}).waitFor();
    await press(page, "Done");
    await page.getByText(secret).waitFor({state: "detached"});
    assert.equal((await it.server.show(toy.id)).secret_rev, shown.secret_rev + 1);
});

check("a message reaches the toy", async (t) => {
    const toy = await it.server.toy("hearing-bear");
    const page = await signedIn(t, it.browser, it.server, {role: "operator", hash: `#/device/${toy.id}`});
    await page.getByLabel("Say to the toy").fill("Good night <b>Mia</b>");
    await press(page, "Send");
    await toy.out.wait(/message: Good night <b>Mia<\/b>/);
    await announced(page, `is on its way to ${toy.id}`);
    // One that is away has it waiting, and it can be taken back.
    await it.server.add("away-bear");
    await page.goto(`${it.server.admin}/console/#/device/away-bear`);
    await page.getByLabel("Say to the toy").fill("Later");
    // Pressed twice it is said once: the first is on its way still.
    let pressed;
    const twice = new Promise((resolve) => { pressed = resolve; });
    await page.route("**/away-bear/messages", async (route) => {
        await twice;
        await route.continue();
    });
    const send = page.getByRole("button", {name: "Send"});
    await send.click();
    await send.click({force: true});
    pressed();
    await page.getByRole("button", {name: "Withdraw all"}).click();
    await dialog(page).getByRole("button", {name: "Withdraw"}).click();
    await announced(page, "One message is withdrawn.");
    assert.deepEqual((await it.server.ctlJson("message", "list", "away-bear")).messages ?? [], []);
});
