// node screenshots.mjs DIRECTORY: the console's pictures, of a fleet that teddy-sim plays.
import {execFileSync, spawn} from "node:child_process";
import {mkdirSync, statSync} from "node:fs";
import path from "node:path";
import {launch, signedIn} from "./lib/browser.mjs";
import {Server, program} from "./lib/server.mjs";

const TOYS = 40;
const MAX = 150 << 10; // bytes of a picture
const into = process.argv[2] ?? "docs/screenshots";

// A day of reports, which nobody waits for.
const day = `
import math, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=20)
row = db.execute("select row from device where device_id = ?", (sys.argv[2],)).fetchone()[0]
now = int(time.time())
for n in range(288):
    battery = 100 - 62 * (n % 200) / 200
    db.execute("insert or replace into telemetry (device_row, n, at_s, battery, rssi) values (?, ?, ?, ?, ?)",
               (row, n + 1, now - 300 * (288 - n), round(battery, 1), round(-58 + 6 * math.sin(n / 17) + 2 * math.sin(n * 1.7))))
for n in range(6):
    db.execute("insert or replace into past_session values (?, ?, ?, ?, ?, ?, ?, ?)",
               (row, n + 1, now - 14000 * (7 - n), now - 14000 * (7 - n) + 5400 + 700 * n, 1000, "", 60 + 7 * n, 130 + 9 * n))
db.commit()
`;

// A fleet that talks, until it is stopped.
async function play(server) {
    const csv = path.join(server.data, "toys.csv");
    const common = ["--devices", TOYS, "--seed", "7", "--prefix", "Teddy-ESP32"].map(String);
    execFileSync(program("teddy-sim"), [...common, "--write-csv", csv]);
    await server.ctl("import", csv);
    return spawn(program("teddy-sim"), ["--server", server.url, "--ca", path.join(server.data, "ca.crt"), ...common, "--start-rate", "3",
        "--say", "100000", "--rate", "30", "--duration", "300"], {stdio: "ignore"});
}

async function talk(page) {
    await page.getByLabel("Toy", {exact: true}).fill("Teddy-in-the-page");
    await page.getByRole("button", {name: "Start"}).click();
    for (const [n, words] of ["My name is Mia.", "Tell me a joke.", "What is my name?"].entries()) {
        await page.getByLabel("Say something").fill(words);
        await page.keyboard.press("Enter");
        await page.locator(".talk .toy[aria-busy=false]").nth(n).waitFor();
    }
}

async function picture(page, name) {
    const file = path.join(into, `${name}.png`);
    await page.screenshot({path: file, animations: "disabled"});
    const {size} = statSync(file);
    if (size > MAX) throw new Error(`${file} has ${size} bytes, and ${MAX} are enough`);
    console.log(`${file} ${Math.ceil(size / 1024)} kB`);
}

const both = async (page, name, draw = async () => {}) => {
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({colorScheme});
        await draw();
        await picture(page, `${name}-${colorScheme}`);
    }
};

const cleanup = [];
const t = {after: (f) => cleanup.unshift(f)};
mkdirSync(into, {recursive: true});
const [server, browser] = await Promise.all([Server.start(), launch()]);
const viewport = {width: 1120, height: 800};
const [glance, phone] = await Promise.all([{viewport}, {viewport: {width: 360, height: 740}}].map((options) =>
    signedIn(t, browser, server, options)));
const toys = await play(server);
const seen = "Teddy-ESP32-000007";

const trying = await signedIn(t, browser, server, {viewport, hash: "#/try"});
await talk(trying);
await both(trying, "try");
const devices = await signedIn(t, browser, server, {viewport, hash: "#/devices?q=Teddy-ESP32"});
await glance.waitForFunction((n) => Number(document.querySelector("#tile-online").textContent) > n, TOYS);
execFileSync("/usr/bin/python3", ["-c", day, path.join(server.data, "teddy.db"), seen]);
await devices.reload();
await devices.getByRole("rowheader").first().waitFor();
await picture(devices, "devices-light");
const device = await signedIn(t, browser, server, {viewport: {...viewport, height: 1150}, hash: `#/device/${seen}`});
await device.locator(".chart canvas").first().waitFor();
await both(device, "device");
// Charts want a minute and a half.
await glance.getByText("As a table").nth(0).click();
await glance.waitForFunction(() => performance.now() > 90000, null, {timeout: 120000});
await glance.getByText("As a table").nth(0).click();
await both(glance, "glance");
await picture(phone, "phone-light");
toys.kill("SIGTERM");
for (const f of cleanup) await f();
await browser.close();
await server.stop();
