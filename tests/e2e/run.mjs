// All files in one process, so that they share a server and a browser: node run.mjs [name…]
const all = ["signin", "fleet", "roles", "trail", "try", "access", "cross"];
const chosen = process.argv.slice(2);
for (const name of chosen.length ? chosen : all) await import(`./${name}.mjs`);
