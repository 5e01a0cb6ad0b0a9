// One server and one browser for all files of tests, each of which has windows and toys of its own.
import {after, before} from "node:test";
import {launch} from "./browser.mjs";
import {Server} from "./server.mjs";

export const it = {server: null, browser: null};

before(async () => {
    [it.server, it.browser] = await Promise.all([Server.start(), launch()]);
});
after(async () => {
    await it.browser?.close();
    await it.server?.stop();
});
