// The phases of the soak. Each is bounded by a time and by counts, whichever comes first.

import { setTimeout as pause } from "node:timers/promises";
import { accountOf } from "./account.mjs";
import { Caller, Writer } from "./log.mjs";
import { Subscriber } from "./subscriber.mjs";

/**
 * @typedef {import("./server.mjs").Server} Server
 * @typedef {import("./account.mjs").Following} Following
 *
 * @typedef {object} Stage what a phase is given
 * @property {Server} server
 * @property {Caller} caller
 * @property {number} after the position of the last event before it
 * @property {Map<number, number>} closes
 * @property {number} ms how long it may take; waiting for what is on its way comes on top
 *
 * @typedef {{ account: import("./account.mjs").Account, note: string }} Ending
 * @typedef {object} Phase
 * @property {string} title
 * @property {number} share of the whole time
 * @property {(stage: Stage) => Promise<Ending>} run
 */

const SMALL = "cursor type";

/**
 * @param {string} workflow
 * @param {string} [selection] of an event
 */
function eventsOf(workflow, selection = SMALL) {
  const query = `subscription Follow($filter: EventFilter) {
    workflowEvents(filter: $filter) { events { ${selection} } }
  }`;
  return { query, variables: { filter: { workflow: [workflow] } } };
}

/**
 * @param {number} count
 * @param {(index: number) => T} make
 * @returns {T[]}
 * @template T
 */
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

/**
 * Write until the time is over, or a writer has written enough.
 * @param {Writer[]} writers
 * @param {{ until: number, most?: number, goesOn?: () => boolean }} bounds
 */
async function writeAll(writers, { until, most = Infinity, goesOn = () => true }) {
  await Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < until && writer.written < most && goesOn()) await writer.write();
    }),
  );
}

/** @param {Following[]} followings */
function leave(followings) {
  for (const { writers, subscribers } of followings) {
    for (const writer of writers) writer.close();
    for (const subscriber of subscribers) subscriber.leave();
  }
}

// --- sockets that never read

const STALLED = 20;
const LARGE = 100_000;
const BATCH = 100;
const MOST_EVENTS = 50_000;
const MOST_BYTES = 4 * 2 ** 30;
const DRAIN_MS = 10_000;

/** @type {Phase["run"]} */
async function stalled({ server, caller, after, closes, ms }) {
  const workflow = "soak-stalled";
  const writer = new Writer(
    server.url,
    times(BATCH, (n) => `${workflow}-${n}`),
  );
  await writer.create({ workflow, input: "x".repeat(LARGE) });
  const begin = { after: await caller.head(), closes };
  const large = eventsOf(workflow, `${SMALL} instance { input }`);
  const stuck = times(STALLED, () => new Subscriber(server.url, large, begin));
  const following = {
    ...{ workflow, writers: [writer] },
    subscribers: times(2, () => new Subscriber(server.url, eventsOf(workflow), begin)),
  };
  await Promise.all([...stuck, ...following.subscribers].map((subscriber) => subscriber.open()));
  for (const subscriber of stuck) subscriber.stall();
  const goesOn = () => server.residentBytes() < MOST_BYTES;
  await writeAll([writer], { until: performance.now() + ms, most: MOST_EVENTS, goesOn });
  const end = goesOn() ? "" : "; it ended early, at 4 GiB";
  const account = await accountOf(caller, [following], begin.after);
  // A close comes behind all that was sent before it.
  for (const subscriber of stuck) subscriber.resume();
  const deadline = performance.now() + DRAIN_MS;
  while (stuck.some(({ isOpen }) => isOpen) && performance.now() < deadline) await pause(100);
  const open = stuck.filter(({ isOpen }) => isOpen).length;
  leave([following, { workflow, writers: [], subscribers: stuck }]);
  return { account, note: `${open} of ${STALLED} sockets are still open${end}` };
}

// --- reconnect storms

const STORM_SOCKETS = 300;
const STORM_WORKFLOWS = 5;
const STORMS = 12;
const STORM_EVENTS = 10_000;

/** @type {Phase["run"]} */
async function storms({ server, caller, after, closes, ms }) {
  const followings = times(STORM_WORKFLOWS, (n) => {
    const workflow = `soak-storm-${n}`;
    const writer = new Writer(server.url, [`${workflow}-a`, `${workflow}-b`]);
    const begin = { after, closes };
    const subscribers = times(
      STORM_SOCKETS / STORM_WORKFLOWS,
      () => new Subscriber(server.url, eventsOf(workflow), begin),
    );
    return { workflow, writers: [writer], subscribers };
  });
  const writers = followings.flatMap((following) => following.writers);
  for (const { workflow, writers: own } of followings) await own[0].create({ workflow });
  const all = followings.flatMap(({ subscribers }) => subscribers);
  await Promise.all(all.map((subscriber) => subscriber.open()));
  const until = performance.now() + ms;
  const writing = writeAll(writers, { until, most: STORM_EVENTS / STORM_WORKFLOWS });
  let count = 0;
  for (; count < STORMS && performance.now() < until; count += 1) {
    await Promise.all([...all.map((subscriber) => subscriber.drop()), pause(ms / STORMS)]);
  }
  await writing;
  const account = await accountOf(caller, followings, after);
  leave(followings);
  return { account, note: `${count} storms of ${STORM_SOCKETS} sockets` };
}

// --- distinct documents

const QUERIES = 20_000;
const QUERY_CALLERS = 4;
const SUBSCRIPTIONS = 2_000;
const OPENING = 100;

/** @type {Phase["run"]} */
async function documents({ server, caller, after, closes, ms }) {
  const workflow = "soak-documents";
  const instances = [`${workflow}-a`, `${workflow}-b`];
  const writer = new Writer(server.url, instances);
  await writer.create({ workflow });
  const until = performance.now() + ms;
  let asked = 0;
  const callers = times(QUERY_CALLERS, () => new Caller(server.url));
  await Promise.all(
    callers.map(async (own) => {
      while (asked < QUERIES && performance.now() < until - ms / 2) {
        asked += 1;
        const name = `q${asked}`;
        const of = `instance(instanceId: "${instances[asked % 2]}")`;
        const { [name]: answer } = await own.data(`query ${name} { ${name}: ${of} { status } }`);
        if (answer.status !== "RUNNING") throw new Error(`${name} was answered ${answer.status}`);
      }
      own.close();
    }),
  );
  const begin = { after: await caller.head(), closes };
  /** @type {Subscriber[]} */
  const subscribers = [];
  const openUntil = performance.now() + ms / 3;
  while (subscribers.length < SUBSCRIPTIONS && performance.now() < openUntil) {
    const more = times(OPENING, (n) => {
      const selection = `${SMALL} s${subscribers.length + n}: status`;
      return new Subscriber(server.url, eventsOf(workflow, selection), begin);
    });
    subscribers.push(...more);
    await Promise.all(more.map((subscriber) => subscriber.open()));
  }
  const following = { workflow, writers: [writer], subscribers };
  await writeAll([writer], { until: performance.now() + ms / 6, most: 40 });
  const account = await accountOf(caller, [following], begin.after);
  leave([following]);
  return { account, note: `${asked} queries, ${subscribers.length} subscriptions` };
}

// --- kills while writing

const WRITERS = 16;
const FOLLOWERS = 20;
const ALIVE_MS = 5_000;
const AGAIN_MS = 100;

/** @type {Phase["run"]} */
async function kills({ server, caller, after, closes, ms }) {
  const workflow = "soak-kills";
  const writers = times(
    WRITERS,
    (n) =>
      new Writer(
        server.url,
        times(3, (index) => `${workflow}-${n}-${index}`),
      ),
  );
  for (const writer of writers) await writer.create({ workflow });
  const begin = { after, closes };
  const subscribers = times(FOLLOWERS, () => new Subscriber(server.url, eventsOf(workflow), begin));
  await Promise.all(subscribers.map((subscriber) => subscriber.open()));
  const until = performance.now() + ms;
  let failed = 0;
  const writing = Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < until) {
        try {
          await writer.write();
        } catch {
          // The service is gone: whether this was written is not known, and not asked.
          failed += 1;
          await pause(AGAIN_MS);
        }
      }
    }),
  );
  let count = 0;
  while (performance.now() < until - ALIVE_MS) {
    await pause(ALIVE_MS * (0.6 + 0.1 * (count % 5)));
    await server.kill();
    count += 1;
    await server.run();
  }
  await writing;
  const following = { workflow, writers, subscribers };
  const account = await accountOf(caller, [following], after);
  leave([following]);
  return { account, note: `${count} kills, ${failed} writes without an answer` };
}

/** @type {Record<string, Phase>} */
export const PHASES = {
  stalled: { title: "sockets that never read", share: 1 / 6, run: stalled },
  storms: { title: "reconnect storms", share: 1 / 4, run: storms },
  documents: { title: "distinct documents", share: 1 / 3, run: documents },
  kills: { title: "kills while writing", share: 1 / 4, run: kills },
};
