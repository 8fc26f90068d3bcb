// The phases of the soak test. Each ends after a time or a number of actions, whichever comes first.

import { setTimeout as pause } from "node:timers/promises";
import { auditTopics } from "./audit.mjs";
import { LogClient, Writer } from "./log.mjs";
import { Subscriber } from "./subscriber.mjs";

/**
 * @typedef {import("./server.mjs").Server} Server
 * @typedef {import("./audit.mjs").Topic} Topic
 *
 * @typedef {object} Options
 * @property {Server} server
 * @property {LogClient} client
 * @property {number} after the last position before the phase
 * @property {Map<number, number>} closes
 * @property {number} ms the time for the phase, without the audit, which waits for deliveries
 *
 * @typedef {{ audit: import("./audit.mjs").Audit, note: string }} Result
 * @typedef {object} Phase
 * @property {string} title
 * @property {number} share of the total time
 * @property {(options: Options) => Promise<Result>} run
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
 * Let all writers write until the time is over, each has written `max` events, or `canGoOn` is false.
 * @param {Writer[]} writers
 * @param {{ until: number, max?: number, canGoOn?: () => boolean }} bounds
 */
async function writeAll(writers, { until, max = Infinity, canGoOn = () => true }) {
  await Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < until && writer.written < max && canGoOn()) await writer.write();
    }),
  );
}

/** @param {Topic[]} topics */
function closeAll(topics) {
  for (const { writers, subscribers } of topics) {
    for (const writer of writers) writer.close();
    for (const subscriber of subscribers) subscriber.close();
  }
}

// --- sockets that never read

const STALLED = 20;
const LARGE_INPUT = 100_000;
const BATCH = 100;
const MAX_EVENTS = 50_000;
const MAX_BYTES = 4 * 2 ** 30;
const DRAIN_MS = 10_000;

/** @type {Phase["run"]} */
async function stalled({ server, client, closes, ms }) {
  const workflow = "soak-stalled";
  const writer = new Writer(
    server.url,
    times(BATCH, (n) => `${workflow}-${n}`),
  );
  await writer.create({ workflow, input: "x".repeat(LARGE_INPUT) });
  const start = { after: await client.lastPosition(), closes };
  const large = eventsOf(workflow, `${SMALL} instance { input }`);
  const stuck = times(STALLED, () => new Subscriber(server.url, large, start));
  const topic = {
    ...{ workflow, writers: [writer] },
    subscribers: times(2, () => new Subscriber(server.url, eventsOf(workflow), start)),
  };
  await Promise.all([...stuck, ...topic.subscribers].map((subscriber) => subscriber.open()));
  for (const subscriber of stuck) subscriber.stall();
  const canGoOn = () => server.residentBytes() < MAX_BYTES;
  await writeAll([writer], { until: performance.now() + ms, max: MAX_EVENTS, canGoOn });
  const end = canGoOn() ? "" : "; the phase ended early, because workerd used 4 GiB";
  const audit = await auditTopics(client, [topic], start.after);
  // A socket learns of a close only after it has read everything that was sent before.
  for (const subscriber of stuck) subscriber.resume();
  const deadline = performance.now() + DRAIN_MS;
  while (stuck.some(({ isOpen }) => isOpen) && performance.now() < deadline) await pause(100);
  const open = stuck.filter(({ isOpen }) => isOpen).length;
  closeAll([topic, { workflow, writers: [], subscribers: stuck }]);
  return { audit, note: `${open} of ${STALLED} sockets are still open${end}` };
}

// --- reconnect storms

const STORM_SOCKETS = 300;
const STORM_WORKFLOWS = 5;
const STORMS = 12;
const STORM_EVENTS = 10_000;

/** @type {Phase["run"]} */
async function storms({ server, client, after, closes, ms }) {
  const topics = times(STORM_WORKFLOWS, (n) => {
    const workflow = `soak-storm-${n}`;
    const writer = new Writer(server.url, [`${workflow}-a`, `${workflow}-b`]);
    const start = { after, closes };
    const subscribers = times(
      STORM_SOCKETS / STORM_WORKFLOWS,
      () => new Subscriber(server.url, eventsOf(workflow), start),
    );
    return { workflow, writers: [writer], subscribers };
  });
  const writers = topics.flatMap((topic) => topic.writers);
  for (const { workflow, writers: own } of topics) await own[0].create({ workflow });
  const all = topics.flatMap(({ subscribers }) => subscribers);
  await Promise.all(all.map((subscriber) => subscriber.open()));
  const until = performance.now() + ms;
  const writing = writeAll(writers, { until, max: STORM_EVENTS / STORM_WORKFLOWS });
  let count = 0;
  for (; count < STORMS && performance.now() < until; count += 1) {
    await Promise.all([...all.map((subscriber) => subscriber.reconnect()), pause(ms / STORMS)]);
  }
  await writing;
  const audit = await auditTopics(client, topics, after);
  closeAll(topics);
  return { audit, note: `${count} storms of ${STORM_SOCKETS} sockets` };
}

// --- distinct documents

const QUERIES = 20_000;
const QUERY_CLIENTS = 4;
const SUBSCRIPTIONS = 2_000;
const CONCURRENT_OPENS = 100;
const DOCUMENT_EVENTS = 40;

/** @type {Phase["run"]} */
async function documents({ server, client, closes, ms }) {
  const workflow = "soak-documents";
  const instances = [`${workflow}-a`, `${workflow}-b`];
  const writer = new Writer(server.url, instances);
  await writer.create({ workflow });
  const until = performance.now() + ms;
  let queries = 0;
  const clients = times(QUERY_CLIENTS, () => new LogClient(server.url));
  await Promise.all(
    clients.map(async (own) => {
      while (queries < QUERIES && performance.now() < until - ms / 2) {
        queries += 1;
        const name = `q${queries}`;
        const field = `instance(instanceId: "${instances[queries % 2]}")`;
        const query = `query ${name} { ${name}: ${field} { status } }`;
        const { [name]: instance } = await own.execute(query);
        if (instance.status !== "RUNNING") {
          throw new Error(`${name} returned the status ${instance.status} instead of RUNNING.`);
        }
      }
      own.close();
    }),
  );
  const start = { after: await client.lastPosition(), closes };
  /** @type {Subscriber[]} */
  const subscribers = [];
  const openUntil = performance.now() + ms / 3;
  while (subscribers.length < SUBSCRIPTIONS && performance.now() < openUntil) {
    const more = times(CONCURRENT_OPENS, (n) => {
      const selection = `${SMALL} s${subscribers.length + n}: status`;
      return new Subscriber(server.url, eventsOf(workflow, selection), start);
    });
    subscribers.push(...more);
    await Promise.all(more.map((subscriber) => subscriber.open()));
  }
  const topic = { workflow, writers: [writer], subscribers };
  await writeAll([writer], { until: performance.now() + ms / 6, max: DOCUMENT_EVENTS });
  const audit = await auditTopics(client, [topic], start.after);
  closeAll([topic]);
  return { audit, note: `${queries} queries, ${subscribers.length} subscriptions` };
}

// --- kills while writing

const WRITERS = 16;
const SUBSCRIBERS = 20;
const UPTIME_MS = 5_000;
const RETRY_MS = 100;

/** @type {Phase["run"]} */
async function kills({ server, client, after, closes, ms }) {
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
  const start = { after, closes };
  const subscribers = times(
    SUBSCRIBERS,
    () => new Subscriber(server.url, eventsOf(workflow), start),
  );
  await Promise.all(subscribers.map((subscriber) => subscriber.open()));
  const until = performance.now() + ms;
  let failed = 0;
  const writing = Promise.all(
    writers.map(async (writer) => {
      while (performance.now() < until) {
        try {
          await writer.write();
        } catch {
          // The service was killed. Its last write may or may not be in the log.
          failed += 1;
          await pause(RETRY_MS);
        }
      }
    }),
  );
  let count = 0;
  while (performance.now() < until - UPTIME_MS) {
    await pause(UPTIME_MS * (0.6 + 0.1 * (count % 5)));
    await server.kill();
    count += 1;
    await server.spawn();
  }
  await writing;
  const topic = { workflow, writers, subscribers };
  const audit = await auditTopics(client, [topic], after);
  closeAll([topic]);
  return { audit, note: `${count} kills, ${failed} writes without a response` };
}

/** @type {Record<string, Phase>} */
export const PHASES = {
  stalled: { title: "sockets that never read", share: 1 / 6, run: stalled },
  storms: { title: "reconnect storms", share: 1 / 4, run: storms },
  documents: { title: "distinct documents", share: 1 / 3, run: documents },
  kills: { title: "kills while writing", share: 1 / 4, run: kills },
};
