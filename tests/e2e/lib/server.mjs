// A teddyd with its console, and toys that are real: teddy-device, as firmware runs it.
import {spawn, execFile} from "node:child_process";
import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {createInterface} from "node:readline";
import {promisify} from "node:util";

const run = promisify(execFile);
export const SOURCE = process.env.TEST_SOURCE ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const BUILD = process.env.TEST_BUILD ?? path.join(SOURCE, "build");
export const PATIENCE = 1000 * Number(process.env.TEST_PATIENCE ?? 30);
export const program = (name) => path.join(BUILD, name);

// Settings of the machine's own server must not reach the one under test.
export const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TEDDY_.*|PORT)$/.test(name)));

// The lines of streams; wait() awaits the first one that matches, of those there are and those to come.
export class Lines {
    #lines = [];
    #waiting = new Set();
    #open = 0;

    constructor(...streams) {
        for (const input of streams) this.#read(createInterface({input}));
    }

    #read(reader) {
        this.#open++;
        reader.on("line", (line) => {
            this.#lines.push(line);
            for (const check of this.#waiting) check(line);
        });
        reader.on("close", () => {
            if (--this.#open === 0) for (const check of this.#waiting) check(null);
        });
    }

    wait(pattern) {
        const there = this.#lines.map((line) => line.match(pattern)).find(Boolean);
        if (there) return Promise.resolve(there);
        return new Promise((resolve, reject) => {
            const end = (settle, value) => {
                clearTimeout(timer);
                this.#waiting.delete(check);
                settle(value);
            };
            const fail = () => end(reject, new Error(`no line matched ${pattern}:\n${this.#lines.slice(-30).join("\n")}`));
            const check = (line) => {
                const found = line?.match(pattern);
                if (found) end(resolve, found);
                else if (line === null) fail();
            };
            const timer = setTimeout(fail, PATIENCE);
            this.#waiting.add(check);
            if (this.#open === 0) fail();
        });
    }
}

export class Server {
    static async start(config = {}) {
        const server = new Server();
        server.data = mkdtempSync(path.join(tmpdir(), "teddy-e2e-"));
        const keys = {listen: "127.0.0.1:0", admin_listen: "127.0.0.1:0", ...config};
        const flags = Object.entries(keys).flatMap(([key, value]) => [`--${key.replaceAll("_", "-")}`, value]);
        server.process = spawn(program("teddyd"), ["--data", server.data, ...flags], {env: environment, stdio: ["ignore", "pipe", "pipe"]});
        server.log = new Lines(server.process.stderr);
        const ready = await new Lines(server.process.stdout).wait(/^ready (https:\S+)$/);
        server.url = ready[1];
        const admin = await server.log.wait(/admin_listening .*port=(\d+)/);
        server.admin = `https://127.0.0.1:${admin[1]}`;
        return server;
    }

    async ctl(...words) {
        return (await run(program("teddyctl"), ["--data", this.data, ...words], {env: environment})).stdout;
    }

    async ctlJson(...words) { return JSON.parse(await this.ctl("--json", ...words)); }

    // An admin token's text. more: --prefix X
    async token(role, ...more) {
        return (await this.ctl("admin-token", "create", "--role", role, "--name", "Front desk", ...more)).match(/tdy_[\w-]+/)[0];
    }

    async add(id) { return (await this.ctlJson("device", "add", id)).oob_secret; }
    show(id) { return this.ctlJson("device", "show", id); }

    // A toy that is online. say(text) speaks; out is what it prints.
    async toy(id, child = "e2e-child") {
        const secret = path.join(this.data, `${id}.secret`);
        writeFileSync(secret, await this.add(id), {mode: 0o600});
        const toy = spawn(program("teddy-device"), ["--server", this.url, "--ca", path.join(this.data, "ca.crt"), "--id", id, "--child", child,
            "--secret-file", secret, "--state", path.join(this.data, `${id}.tokens`), "--firmware", "e2e-1"],
        {env: environment, stdio: ["pipe", "pipe", "pipe"]});
        const gone = new Promise((resolve) => toy.on("close", resolve));
        const handle = {
            id, out: new Lines(toy.stdout, toy.stderr),
            say: (text) => toy.stdin.write(`${text}\n`),
            async stop() {
                toy.stdin.end();
                toy.kill("SIGTERM");
                await gone;
            },
        };
        this.toys.push(handle);
        await handle.out.wait(/session: open/);
        return handle;
    }

    toys = [];

    // Everything ends, in order; the server's own end has to be clean.
    async stop() {
        await Promise.all(this.toys.map((toy) => toy.stop()));
        const gone = new Promise((resolve) => this.process.on("close", (status) => resolve(status)));
        this.process.kill("SIGTERM");
        const status = await gone;
        rmSync(this.data, {recursive: true});
        if (status !== 0) throw new Error(`teddyd ended with ${status}`);
    }
}
