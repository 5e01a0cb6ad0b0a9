// The README's first page: `make demo` on a terminal, the link that it prints, and a toy in the browser that talks. Without more, of
// programs that are built; NEWCOMER_MACHINE runs a command of the checkout on an empty machine that has this one's network, and then
// all of it, from the first command on, has the five minutes that the page promises.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {test} from "node:test";
import {announced, launch, open} from "./lib/browser.mjs";
import {Lines, SOURCE, environment, program} from "./lib/server.mjs";

const MACHINE = process.env.NEWCOMER_MACHINE;
const PROMISED_S = 300;

// What took how long, since the step before.
class Clock {
    #began = performance.now();
    #last = this.#began;
    step(what) {
        const now = performance.now();
        console.log(`${((now - this.#last) / 1000).toFixed(1).padStart(7)} s  ${what}`);
        this.#last = now;
    }

    get seconds() { return (this.#last - this.#began) / 1000; }
}

test("from nothing to a toy that talks, in the browser", async (t) => {
    const data = mkdtempSync(path.join(tmpdir(), "teddy-newcomer-"));
    // script gives it the terminal that a newcomer sits at.
    const command = MACHINE ? `${MACHINE} sh -c 'echo begins; exec make demo'` : path.join(SOURCE, "scripts/demo");
    const demo = spawn("script", ["-qefc", command, "/dev/null"], {stdio: ["pipe", "pipe", "inherit"],
        env: MACHINE ? environment : {...environment, DEMO_BUILD: path.dirname(program("teddyd")), DEMO_DATA: data}});
    const ended = new Promise((resolve) => demo.on("close", resolve));
    const browser = await launch();
    t.after(async () => {
        await browser.close();
        demo.kill();
        await ended;
        rmSync(data, {recursive: true});
    });
    const out = new Lines(demo.stdout);
    if (MACHINE) await out.wait(/^begins/); // what it takes to make such a machine is nobody's time
    const clock = MACHINE ? new Clock() : undefined;
    if (MACHINE) {
        await out.wait(/^-- /);
        clock.step("packages installed");
        await out.wait(/^\W*\[\d+\/\d+\]/);
        clock.step("configured");
    }
    const [, link, origin] = await out.wait(/((https:\S+?)\/console\/#once=[\w-]+)/);
    clock?.step("built, and the server started");
    await out.wait(/Or here: type/);
    clock?.step("the toy in the terminal talked");

    const page = await open(t, browser, {admin: origin});
    await page.goto(link);
    await page.getByRole("link", {name: "Try it"}).click();
    await page.getByRole("button", {name: "Start"}).click();
    await announced(page, "The toy is online.");
    await page.getByLabel("Say something").fill("Hello!");
    await page.keyboard.press("Enter");
    await page.getByRole("log").locator(".child", {hasText: "Hello!"}).waitFor();
    await page.getByRole("log").locator(".toy[aria-busy=false]", {hasText: /\w/}).waitFor();
    clock?.step("the toy in the browser talked");
    if (MACHINE) {
        console.log(`${clock.seconds.toFixed(1).padStart(7)} s  in all`);
        assert.ok(clock.seconds < PROMISED_S, `five minutes were promised, and it took ${clock.seconds} s`);
    }

    page.expected.push(/./); // once the server has gone
    demo.stdin.write("\x04"); // Ctrl-D
    assert.equal(await ended, 0);
});
