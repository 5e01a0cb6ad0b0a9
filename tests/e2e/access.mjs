// By keyboard, by screen reader, on a small phone, by day and by night.
import assert from "node:assert/strict";
import {announced, open, signedIn} from "./lib/browser.mjs";
import {faint, nameless, tooWide, tree} from "./lib/look.mjs";
import {check, it} from "./lib/shared.mjs";

const views = (id) => [["", "Fleet at a glance"], ["devices", "Devices"], [`device/${id}`, id], ["audit", "Audit trail"], ["try", "Try it"]];

async function visit(page, path, title) {
    await page.console(`#/${path}`);
    await page.getByRole("heading", {level: 1, name: title}).waitFor();
    await page.waitForFunction(() => !document.querySelector("#main [aria-busy=true]"));
    if (path.startsWith("device/")) await page.locator(".facts").waitFor();
}

async function look(page, what, landmarks = ["banner", "main", "contentinfo"]) {
    const nodes = await tree(page);
    assert.deepEqual(nameless(nodes), [], `${what}: without a name`);
    for (const role of landmarks) assert.equal(nodes.filter(([r]) => r === role).length, 1, `${what}: ${role}`);
    assert.equal(await page.locator("h1").count(), 1, what);
    assert.deepEqual(await tooWide(page), [], `${what}: too wide`);
    const ids = await page.evaluate(() => [...document.querySelectorAll("[id]")].map((n) => n.id));
    assert.deepEqual(ids.filter((id, i) => ids.indexOf(id) !== i), [], `${what}: an id is there twice`);
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({colorScheme, reducedMotion: "reduce"});
        assert.deepEqual(await faint(page), [], `${what}: contrast, ${colorScheme}`);
    }
}

for (const width of [1280, 320])
    check(`every page is named and legible by day and by night, ${width} pixels wide`, async (t) => {
        const seen = (await it.server.toy(`seen-bear-${width}`)).id;
        const viewport = {width, height: 700};
        const page = await signedIn(t, it.browser, it.server, {viewport});
        for (const [path, title] of views(seen)) {
            await visit(page, path, title);
            await look(page, `${title} at ${width}`);
        }
        await visit(page, `device/${seen}`, seen);
        await page.getByRole("button", {name: "Release"}).click();
        await look(page, `a question at ${width}`, ["dialog"]); // the rest cannot be reached meanwhile
        const out = await open(t, it.browser, it.server, {viewport});
        await out.console();
        await out.getByLabel("Admin token").waitFor();
        await look(out, `Sign in at ${width}`);
        // Who wants less motion, as look() does, gets none.
        assert.equal(await out.getByRole("button").evaluate((node) => getComputedStyle(node).transitionDuration), "0s");
    });

// Presses Tab until what has the focus has this name.
async function tabTo(page, name) {
    for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        const there = await page.evaluate(() => {
            const node = document.activeElement;
            const outline = getComputedStyle(node);
            return {text: (node.labels?.[0] ?? node).textContent.trim(), seen: outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 2};
        });
        if (there.text !== name) continue;
        assert.ok(there.seen, `the focus on ${name} cannot be seen`);
        return;
    }
    assert.fail(`Tab does not reach ${name}`);
}
const focused = (page) => page.evaluate(() => document.activeElement.textContent);

check("the keyboard alone signs in, finds a toy, disables it, and signs out", async (t) => {
    await it.server.add("key-bear");
    const page = await open(t, it.browser, it.server);
    await page.console();
    await page.getByLabel("Admin token").waitFor();
    await page.keyboard.insertText(await it.server.token("operator")); // the field has the focus
    await page.keyboard.press("Enter");
    await page.getByRole("heading", {level: 1, name: "Fleet at a glance"}).waitFor();
    assert.equal(await focused(page), "Fleet at a glance"); // a screen reader tells where it is
    await page.reload();
    await page.getByRole("button", {name: "Sign out"}).waitFor();
    await tabTo(page, "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.reload();
    await page.getByRole("button", {name: "Sign out"}).waitFor();
    await tabTo(page, "Devices");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.textContent === "Devices" && document.activeElement.matches("h1"));
    await tabTo(page, "Id begins with");
    await page.keyboard.insertText("key-bear");
    await page.keyboard.press("Enter");
    await page.locator("#found").filter({hasText: /^1 toy$/}).waitFor();
    await tabTo(page, "key-bear");
    await page.keyboard.press("Enter");
    await page.getByRole("button", {name: "Disable"}).waitFor();
    await tabTo(page, "Disable");
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "Cancel"); // the question's first answer is the safe one
    const read = await page.getByRole("dialog").evaluate((node) => document.getElementById(node.getAttribute("aria-describedby")).textContent);
    assert.match(read, /^Its session is closed at once/); // and what it would do is read out
    await tabTo(page, "Disable");
    await page.keyboard.press("Enter");
    await announced(page, "key-bear is disabled.");
    assert.equal((await it.server.show("key-bear")).enabled, false);
    await page.waitForFunction(() => document.activeElement.textContent === "Enable"); // the focus is where it was
    await tabTo(page, "Sign out");
    await page.keyboard.press("Enter");
    await page.getByLabel("Admin token").waitFor();
});
