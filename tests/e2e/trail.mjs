// The audit trail: its filters, and what its verification says of one that is whole and of one that was changed.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import path from "node:path";
import {announced, signedIn} from "./lib/browser.mjs";
import {Server} from "./lib/server.mjs";
import {check, it} from "./lib/shared.mjs";

const change = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("drop trigger audit_update")
db.execute("update audit set actor = 'nobody' where n = 3")
`;

check("the trail is filtered, verified, and a fault in it is named", async (t) => {
    const server = await Server.start(); // whose trail is spoilt
    t.after(() => server.stop());
    for (const id of ["first-bear", "second-bear", "third-bear"]) await server.add(id);
    await server.ctl("device", "disable", "second-bear");
    const page = await signedIn(t, it.browser, server, {role: "operator", hash: "#/audit"});
    await page.getByRole("button", {name: "Verify the trail"}).click();
    await announced(page, "Intact.");

    await page.getByLabel("Toy", {exact: true}).fill("second-bear");
    await page.getByRole("button", {name: "Show"}).click();
    await page.locator("#found").filter({hasText: "2 events, the newest first"}).waitFor();
    const events = page.getByRole("table", {name: "Events"}).getByRole("row");
    assert.match(await events.nth(1).textContent(), /device\.disabled/);

    execFileSync("/usr/bin/python3", ["-c", change, path.join(server.data, "teddy.db")]);
    await page.getByRole("button", {name: "Verify the trail"}).click();
    await page.getByRole("alert").filter({hasText: "Not intact: event 3."}).waitFor();
    await page.context().close(); // before its server goes: what breaks off then is no fault of the page
});
