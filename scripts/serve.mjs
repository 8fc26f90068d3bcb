// Runs the staged Worker on workerd through miniflare's Node API.
//
//   node scripts/serve.mjs [--port N] [--state DIR] [--var NAME:VALUE]… [--beside DIR]… [--config DIR]
//       [--control]
//
// Run `python3 -m scripts.setup` first. PORT and FLOWFLARE_STATE are the defaults of --port and
// --state. --config names the folder of another wrangler.jsonc for the service. --beside also runs the Worker of another folder, and binds its Workflows (see
// beside.mjs). The port opens after the pending migrations are applied. When /healthz has answered,
// "Flowflare is ready: URL" is printed. SIGINT and SIGTERM stop the server and workerd. With
// --control it reads commands from standard input until that ends (see control.mjs).

import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bindWorkflows, readBeside } from "./beside.mjs";
import { ROOT, readConfig, readDevVars, readWorker } from "./config.mjs";
import { bindSlowEngine, createControlWorker, serveControl } from "./control.mjs";
import { migrateAll } from "./migrate.mjs";
import { DEFAULT_STATE, startMiniflare } from "./start.mjs";

const READY_DEADLINE_MS = 120_000;

/** Parse the command line; throws an Error that names the wrong option. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: process.env.PORT || "8787" },
      state: { type: "string", default: DEFAULT_STATE },
      var: { type: "string", multiple: true, default: [] },
      beside: { type: "string", multiple: true, default: [] },
      config: { type: "string", default: ROOT },
      control: { type: "boolean", default: false },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    const given = JSON.stringify(values.port);
    throw new Error(`PORT must be a port number from 0 to 65535, not ${given}.`);
  }
  const vars = Object.fromEntries(
    values.var.map((/** @type {string} */ pair) => {
      const at = pair.indexOf(":");
      if (at < 1) throw new Error(`--var takes NAME:VALUE, not ${JSON.stringify(pair)}.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const beside = values.beside.map((/** @type {string} */ folder) => resolve(folder));
  const { state, config, control } = values;
  return { port, state: resolve(state), vars, beside, config: resolve(config), control };
}

/**
 * Wait until /healthz answers. A refused connection is retried; a status other than 200 is printed.
 * @param {URL} url
 */
async function waitForHealth(url) {
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (;;) {
    try {
      const response = await fetch(new URL("/healthz", url));
      const text = await response.text();
      if (!response.ok)
        console.error(`/healthz answered ${response.status} instead of 200: ${text}`);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

async function main() {
  const { port, state, vars, beside, config: place, control } = readArguments();
  const config = readConfig(place);
  const folder = relative(process.cwd(), state);
  console.log(`Starting the Worker; data in ${folder.startsWith("..") ? state : folder} …`);
  const secrets = readDevVars();
  const worker = readWorker({ ...secrets, ...vars }, config);
  const others = await Promise.all(beside.map(readBeside));
  const workers = others.map((other) => other.worker);
  bindWorkflows(worker, workers);
  if (control) {
    workers.push(createControlWorker(worker, workers));
    bindSlowEngine(worker);
  }
  await migrateAll(state, [{ folder: ROOT, config }, ...others]);
  const miniflare = await startMiniflare(worker, { port, state, beside: workers });

  let stopping = false;
  const stop = async (/** @type {number} */ status) => {
    if (stopping) return;
    stopping = true;
    // After a failed start, `dispose` fails with the same error again.
    await miniflare.dispose().catch(() => {});
    process.exit(status);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    // miniflare's own handlers exit at once, before workerd has closed its files.
    process.removeAllListeners(signal);
    process.on(signal, () => stop(0));
  }

  try {
    const url = await miniflare.ready;
    await waitForHealth(url);
    // The key itself is not printed, because logs are kept.
    if (secrets.FLOWFLARE_API_KEY && !vars.FLOWFLARE_API_KEY) {
      console.log("Key: in .dev.vars (FLOWFLARE_API_KEY)");
    }
    for (const other of others) console.log(`Beside it: ${other.config.name}`);
    console.log(`Flowflare is ready: http://127.0.0.1:${url.port}`);
    if (control) {
      await serveControl(miniflare, config.name);
      await stop(0);
    }
  } catch (error) {
    if (stopping) return;
    const { code, message } = /** @type {Error & {code?: string}} */ (error);
    const isTaken = code === "ERR_ADDRESS_IN_USE";
    console.error(
      `Error: ${isTaken ? `Port ${port} is taken; choose another with PORT=…` : message}`,
    );
    await stop(1);
  }
}

main().catch((error) => {
  console.error(`Error: ${error.message}`);
  process.exit(1);
});
