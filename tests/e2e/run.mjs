// All files in one process, so that they share a server and a browser: node run.mjs [name…]
import {test} from "node:test";
import {checks} from "./lib/shared.mjs";

const AT_ONCE = 3; // some wait while others compute
const all = ["access", "signin", "fleet", "live", "roles", "trail", "try", "cross"];
const chosen = process.argv.slice(2);
for (const name of chosen.length ? chosen : all) await import(`./${name}.mjs`);
test("the web console", {concurrency: AT_ONCE}, (t) => Promise.all(checks.map(([name, what]) => t.test(name, what))));
