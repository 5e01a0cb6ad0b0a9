// The README's first page: `make demo` on a terminal, the link that it prints, and a toy in the browser that talks.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {test} from "node:test";
import {announced, launch, open} from "./lib/browser.mjs";
import {Lines, SOURCE, environment, program} from "./lib/server.mjs";

test("from nothing to a toy that talks, in the browser", async (t) => {
    const data = mkdtempSync(path.join(tmpdir(), "teddy-newcomer-"));
    // What `make demo` runs once all is built; script gives it the terminal that a newcomer sits at.
    const demo = spawn("script", ["-qefc", path.join(SOURCE, "scripts/demo"), "/dev/null"], {stdio: ["pipe", "pipe", "inherit"],
        env: {...environment, DEMO_BUILD: path.dirname(program("teddyd")), DEMO_DATA: data}});
    const ended = new Promise((resolve) => demo.on("close", resolve));
    const browser = await launch();
    t.after(async () => {
        await browser.close();
        demo.kill();
        await ended;
        rmSync(data, {recursive: true});
    });
    const out = new Lines(demo.stdout);
    const [, link, origin] = await out.wait(/((https:\S+?)\/console\/#once=[\w-]+)/);
    await out.wait(/Or here: type/);

    const page = await open(t, browser, {admin: origin});
    await page.goto(link);
    await page.getByRole("link", {name: "Try it"}).click();
    await page.getByRole("button", {name: "Start"}).click();
    await announced(page, "The toy is online.");
    await page.getByLabel("Say something").fill("Hello!");
    await page.keyboard.press("Enter");
    await page.getByRole("log").locator(".child", {hasText: "Hello!"}).waitFor();
    await page.getByRole("log").locator(".toy[aria-busy=false]", {hasText: /\w/}).waitFor();

    demo.stdin.write("\x04"); // Ctrl-D
    assert.equal(await ended, 0);
    page.expected.push(/./); // the server has gone
});
