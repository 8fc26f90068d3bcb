// Wears the service down for some minutes, and checks that no event is lost: `make soak ARGS="…"`.
// See README.md here.
//
//   node benchmarks/soak.mjs [--only PHASE]… [--minutes N]
//
// Exits with 1 if an event was lost, doubled or out of order.

import { parseArgs } from "node:util";
import { isSound, table } from "./soak/account.mjs";
import { Caller } from "./soak/log.mjs";
import { PHASES } from "./soak/phases.mjs";
import { Server } from "./soak/server.mjs";

const MINUTES = 3;
const MAX_MINUTES = 24 * 60;

/** Read the command line; throws an Error that says what is wrong with an option. */
function readArguments() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: Object.keys(PHASES) },
      minutes: { type: "string", default: String(MINUTES) },
    },
  });
  for (const name of values.only) {
    if (!Object.hasOwn(PHASES, name)) {
      throw new Error(`--only takes ${Object.keys(PHASES).join(", ")}; not ${name}.`);
    }
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= MAX_MINUTES)) {
    throw new Error(`--minutes takes a number up to ${MAX_MINUTES}.`);
  }
  return { names: values.only, ms: minutes * 60_000 };
}

/**
 * One phase, on a server of its own, so that its memory is its own.
 * @param {string} name
 * @param {number} wholeMs
 * @returns {Promise<import("./soak/account.mjs").Outcome>}
 */
async function soak(name, wholeMs) {
  const { title, share, run } = PHASES[name];
  const server = await Server.start();
  const caller = new Caller(server.url);
  try {
    const after = await caller.head();
    const before = server.residentBytes();
    const closes = new Map();
    const began = performance.now();
    const { account, note } = await run({ server, caller, after, closes, ms: share * wholeMs });
    const seconds = (performance.now() - began) / 1000;
    const bytes = { before, after: server.residentBytes(), peak: server.peakBytes };
    return { title, account, closes, bytes, seconds, note };
  } catch (error) {
    console.error(server.log);
    throw error;
  } finally {
    caller.close();
    await server.stop();
  }
}

async function main() {
  const { names, ms } = readArguments();
  const outcomes = [];
  for (const name of Object.keys(PHASES).filter((phase) => names.includes(phase))) {
    const outcome = await soak(name, ms);
    outcomes.push(outcome);
    console.log(`${outcome.title}: ${outcome.note}`);
    for (const fault of outcome.account.faults.slice(0, 5)) console.error(`  fault: ${fault}`);
  }
  console.log(`\n${table(outcomes)}`);
  if (!outcomes.every(isSound)) process.exitCode = 1;
}

main().catch((error) => {
  console.error(`Error: ${error.message}`);
  process.exitCode = 1;
});
