// Counts what the service uses: calls of its API, D1, the engine, and the follower's objects. It runs
// inside the measured Worker, and replaces methods of the runtime's classes. So it counts any code
// that calls them.

import { env as bindings } from "cloudflare:workers";

/** @type {Record<string, any>} */
const env = bindings;

const counts = {
  calls: 0,
  batches: 0,
  rowsRead: 0,
  rowsWritten: 0,
  engineCalls: 0,
  objects: 0,
  requests: 0,
  alarms: 0,
  alarmsSet: 0,
};
/** The number of open histories, and since when there is one. */
let open = 0;
let openSince = 0;
let openMs = 0;
/** @type {any[]} cursors of the objects' SQLite, which know how many rows they have written */
const cursors = [];
/** @type {WeakSet<object>} prototypes whose methods have been replaced */
const replaced = new WeakSet();

/**
 * @param {object} object any object of the class
 * @param {Record<string, (result: any) => any>} methods what to do with the result of each method
 */
function observeClass(object, methods) {
  const prototype = Object.getPrototypeOf(object);
  if (replaced.has(prototype)) return;
  replaced.add(prototype);
  for (const [name, observe] of Object.entries(methods)) {
    const original = prototype[name];
    if (original === undefined) throw new Error(`There is no method ${name} to count.`);
    prototype[name] = function (/** @type {any[]} */ ...values) {
      return observe(original.apply(this, values));
    };
  }
}

/** @param {any} result */
const countEngineCall = (result) => {
  counts.engineCalls += 1;
  return result;
};

/** @param {Promise<any[]>} running */
async function countBatch(running) {
  counts.batches += 1;
  const results = await running;
  for (const { meta } of results) {
    counts.rowsRead += meta.rows_read;
    counts.rowsWritten += meta.rows_written;
  }
  return results;
}

/** @param {Promise<any>} opening a Workflow's instance */
async function countInstance(opening) {
  counts.engineCalls += 1;
  const instance = await opening;
  observeClass(instance, { status: countEngineCall, subscribe: countSubscription });
  return instance;
}

/** @param {Promise<any>} opening a subscription, which is a stub: its methods cannot be replaced */
async function countSubscription(opening) {
  counts.engineCalls += 1;
  const subscription = await opening;
  if (open === 0) openSince = Date.now();
  open += 1;
  const { dispose } = /** @type {any} */ (Symbol);
  return {
    next: () => countEngineCall(subscription.next()),
    [dispose]: () => {
      open -= 1;
      if (open === 0) openMs += Date.now() - openSince;
      return subscription[dispose]();
    },
  };
}

observeClass(env.DB, { batch: countBatch });
const workflow = Object.values(env).find((binding) => "createBatch" in Object(binding));
observeClass(workflow, { get: countInstance, create: countInstance });

/**
 * Count an object of the follower, and its writes.
 * @param {any} ctx
 */
export function observeObject({ storage }) {
  counts.objects += 1;
  observeClass(storage, {
    setAlarm: (result) => {
      counts.alarmsSet += 1;
      return result;
    },
  });
  observeClass(storage.sql, {
    exec: (cursor) => {
      cursors.push(cursor);
      return cursor;
    },
  });
}

/**
 * Count the calls of a handler, in the form in which the runtime calls Python functions.
 * @param {any} handler
 * @param {"requests" | "alarms"} name
 */
export function countHandler(handler, name) {
  const count = () => {
    counts[name] += 1;
  };
  return Object.assign((/** @type {any[]} */ ...values) => (count(), handler(...values)), {
    callWithOptions: (/** @type {any[]} */ ...values) => (
      count(),
      handler.callWithOptions(...values)
    ),
    callRelaxed: (/** @type {any[]} */ ...values) => (count(), handler.callRelaxed(...values)),
  });
}

export function countCall() {
  counts.calls += 1;
}

/** The counts so far, JSON text. */
export function read() {
  const ownRows = cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
  const sinceOpen = open > 0 ? Date.now() - openSince : 0;
  return JSON.stringify({ ...counts, ownRows, openMs: openMs + sinceOpen });
}
