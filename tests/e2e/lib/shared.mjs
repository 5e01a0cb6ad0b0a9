// One server and one browser for all files of tests, each of which has windows and toys of its own.
import {after} from "node:test";
import {launch} from "./browser.mjs";
import {Server} from "./server.mjs";

// What is checked: [name, function of the test's context].
export const checks = [];
export const check = (...what) => checks.push(what);

const [server, browser] = await Promise.all([Server.start(), launch()]);
export const it = {server, browser};

after(async () => {
    await browser.close();
    await server.stop();
});
