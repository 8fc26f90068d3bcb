// Runs the staged Worker on workerd through miniflare's Node API.
//
//   node scripts/serve.mjs [--port N] [--state DIR] [--var NAME:VALUE]… [--beside DIR]… [--control]
//
// --beside runs the Worker of another folder beside it, and binds its Workflows (see beside.mjs).
// Needs what `python3 -m scripts.setup` prepares. PORT and FLOWFLARE_STATE stand in for the
// options. The port is opened after the pending migrations are applied. Prints "Flowflare is ready: URL" when /healthz has answered; SIGINT and SIGTERM stop
// the server and workerd with it. With --control it takes commands on standard input, and ends
// with it (see control.mjs).

import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bindWorkflows, readBeside } from "./beside.mjs";
import { ROOT, readConfig, readDevVars, readWorker } from "./config.mjs";
import { bindSlowEngine, callerOf, serveControl } from "./control.mjs";
import { migrateAll } from "./migrate.mjs";
import { startMiniflare } from "./start.mjs";

const READY_DEADLINE_MS = 120_000;

/** The command line's options; throws an Error that says what is wrong with one. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: process.env.PORT || "8787" },
      state: {
        type: "string",
        default: process.env.FLOWFLARE_STATE || join(ROOT, ".flowflare", "state"),
      },
      var: { type: "string", multiple: true, default: [] },
      beside: { type: "string", multiple: true, default: [] },
      control: { type: "boolean", default: false },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new Error(`PORT must be a port number, not ${JSON.stringify(values.port)}.`);
  }
  const vars = Object.fromEntries(
    values.var.map((/** @type {string} */ pair) => {
      const at = pair.indexOf(":");
      if (at < 1) throw new Error(`--var takes NAME:VALUE, not ${JSON.stringify(pair)}.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const beside = values.beside.map((/** @type {string} */ folder) => resolve(folder));
  return { port, state: resolve(values.state), vars, beside, control: values.control };
}

/**
 * Wait for /healthz. A refused connection is tried again; an answer other than 200 is reported.
 * @param {URL} url
 */
async function waitForHealth(url) {
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (;;) {
    try {
      const response = await fetch(new URL("/healthz", url));
      const text = await response.text();
      if (!response.ok) console.error(`/healthz answered ${response.status}: ${text}`);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

async function main() {
  const { port, state, vars, beside, control } = readArguments();
  const config = readConfig();
  const folder = relative(process.cwd(), state);
  console.log(`Starting the Worker; data in ${folder.startsWith("..") ? state : folder} …`);
  const secrets = readDevVars();
  const worker = readWorker({ ...secrets, ...vars });
  const others = await Promise.all(beside.map(readBeside));
  const workers = others.map((other) => other.worker);
  bindWorkflows(worker, workers);
  if (control) {
    workers.push(callerOf(worker, workers));
    bindSlowEngine(worker);
  }
  await migrateAll(state, [{ folder: ROOT, config }, ...others]);
  const miniflare = await startMiniflare(worker, { port, state, beside: workers });

  let stopping = false;
  const stop = async (/** @type {number} */ status) => {
    if (stopping) return;
    stopping = true;
    // After a failed start, disposing fails with the same error once more.
    await miniflare.dispose().catch(() => {});
    process.exit(status);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    // miniflare's own handlers end the process at once, before workerd has closed its files.
    process.removeAllListeners(signal);
    process.on(signal, () => stop(0));
  }

  try {
    const url = await miniflare.ready;
    await waitForHealth(url);
    // Where it is, not what it is: logs are kept.
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
