// Runs the service under load for minutes, and checks that no event is lost: `make soak ARGS="…"`.
// See README.md in this folder.
//
//   node benchmarks/soak.mjs [--only PHASE]… [--minutes N]
//
// Exits with 1 if an event was lost, duplicated or out of order.

import { parseArgs } from "node:util";
import { isPassed, table } from "./soak/audit.mjs";
import { LogClient } from "./soak/log.mjs";
import { PHASES } from "./soak/phases.mjs";
import { Server } from "./soak/server.mjs";

const MINUTES = 3;
const MAX_MINUTES = 24 * 60;

/** Parse the command line; throws an Error that names the wrong option. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: Object.keys(PHASES) },
      minutes: { type: "string", default: String(MINUTES) },
    },
  });
  for (const name of values.only) {
    if (!Object.hasOwn(PHASES, name)) {
      throw new Error(`--only must be one of ${Object.keys(PHASES).join(", ")}, not ${name}.`);
    }
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= MAX_MINUTES)) {
    throw new Error(
      `--minutes must be a number above 0 and up to ${MAX_MINUTES}, not ${values.minutes}.`,
    );
  }
  return { names: values.only, ms: minutes * 60_000 };
}

/**
 * Run a phase on a new server, so that memory is not influenced by other phases.
 * @param {string} name
 * @param {number} totalMs
 * @returns {Promise<import("./soak/audit.mjs").Outcome>}
 */
async function runPhase(name, totalMs) {
  const { title, share, run } = PHASES[name];
  const server = await Server.start();
  const client = new LogClient(server.url);
  try {
    const after = await client.lastPosition();
    const before = server.residentBytes();
    const closes = new Map();
    const start = performance.now();
    const { audit, note } = await run({ server, client, after, closes, ms: share * totalMs });
    const seconds = (performance.now() - start) / 1000;
    const bytes = { before, after: server.residentBytes(), peak: server.peakBytes };
    return { title, audit, closes, bytes, seconds, note };
  } catch (error) {
    console.error(server.log);
    throw error;
  } finally {
    client.close();
    await server.stop();
  }
}

async function main() {
  const { names, ms } = readArguments();
  const outcomes = [];
  for (const name of Object.keys(PHASES).filter((phase) => names.includes(phase))) {
    const outcome = await runPhase(name, ms);
    outcomes.push(outcome);
    console.log(`${outcome.title}: ${outcome.note}`);
    for (const message of outcome.audit.errors.slice(0, 5)) {
      console.error(`  A subscriber received an error: ${message}`);
    }
  }
  console.log(`\n${table(outcomes)}`);
  if (!outcomes.every(isPassed)) process.exitCode = 1;
}

main().catch((error) => {
  console.error(`Error: ${error.message}`);
  process.exitCode = 1;
});
