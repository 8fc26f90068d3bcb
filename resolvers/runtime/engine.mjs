// Sends requests to the engine, Cloudflare Workflows, through the binding of each Workflow (see
// engine.py).

import { env as bindings, waitUntil } from "cloudflare:workers";
import { describeValue } from "./values.mjs";

/**
 * The engine's state of an instance; `status` is null if it has no instance of this id.
 * @typedef {{ status: string | null, output?: [text: string, kind: string],
 *   error?: [string, string] }} State
 * @typedef {{ error?: string, state?: State }} Result
 * @typedef {{ workflow: string, binding: string, method: string, id: string, arguments: string[] }} Request
 * @typedef {{ requests: Request[], shards: number, timeoutMs: number, settleMs: number,
 *   concurrency: number }} Requests `shards` is the number of those of the follower
 */

/** @type {Record<string, any>} */
const env = bindings;

const FIRST_WAIT_MS = 20;
/** The methods after which the end of an instance's history is waited for. */
const TO_END = new Set(["terminate", "followToEnd"]);

/**
 * The engine's words for final statuses, and for those in which an instance has an output or an
 * error; the status that an action leads to; the patterns of the engine's errors (see settings.py and
 * foreign_errors.py); the limits of outputs.
 * @typedef {{ finished: string[], hasOutput: string, hasError: string,
 *   leadsTo: Record<string, string>, noInstance: string, exists: string,
 *   values: import("./values.mjs").Limits }} Settings
 * @type {Settings}
 */
let settings;
let noInstance = /^$/;
let exists = /^$/;

/** @param {Settings} newSettings */
export function configure(newSettings) {
  settings = newSettings;
  noInstance = new RegExp(settings.noInstance);
  exists = new RegExp(settings.exists);
}

/**
 * Send all requests, several at a time; the results are in the order of the requests. Nothing is
 * thrown.
 * @param {Requests} command
 * @returns {Promise<Result[]>}
 */
export async function sendRequests(command) {
  /** @type {Result[]} */
  const results = [];
  const waiting = command.requests.entries();
  const work = async () => {
    for (const [index, request] of waiting) results[index] = await send(request, command);
  };
  const workers = Math.min(command.concurrency, command.requests.length);
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

/**
 * @param {Request} request
 * @param {Requests} limits
 * @returns {Promise<Result>}
 */
async function send(request, { shards, timeoutMs, settleMs }) {
  const { binding, method, id, arguments: values } = request;
  const workflow = env[binding];
  if (workflow === undefined) {
    return { error: `the Worker has no binding ${binding}, which WORKFLOWS names` };
  }
  /** @type {Result} the state known so far, in case the time runs out */
  const known = {};
  try {
    const work = METHODS[method in METHODS ? method : "act"];
    const result = await within(timeoutMs, work(workflow, id, values, known, { method, settleMs }));
    if (method !== "getStatus" && shards > 0) await follow(request, shards, settleMs);
    return result;
  } catch (error) {
    return { error: messageOf(error), ...(known.state && { state: known.state }) };
  }
}

/**
 * Have the follower read the history of an instance now. What led to a termination is recorded before it.
 * @param {Request} request
 * @param {number} shards
 * @param {number} settleMs
 */
async function follow({ workflow, binding, id, method }, shards, settleMs) {
  const name = env.FOLLOWER.idFromName(`shard-${hashOf(workflow + id) % shards}`);
  const toEnd = TO_END.has(method);
  const following = handOver(() => env.FOLLOWER.get(name).follow(workflow, binding, id, toEnd));
  waitUntil(following);
  if (toEnd) await within(settleMs, following).catch(() => {});
}

/**
 * Call the follower, and once more if it cannot be reached.
 * @param {() => Promise<void>} call
 */
async function handOver(call) {
  try {
    await call();
  } catch {
    await call().catch((error) => console.error(`The follower was not reached: ${error}`));
  }
}

/** @param {string} text */
function hashOf(text) {
  let hash = 0;
  for (let n = 0; n < text.length; n += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(n)) >>> 0;
  return hash;
}

/**
 * @typedef {(workflow: any, id: string, values: string[], known: Result,
 *   action: { method: string, settleMs: number }) => Promise<Result>} Method
 * @type {Record<string, Method>}
 */
const METHODS = {
  async create(workflow, id, [params]) {
    try {
      await workflow.create({ id, params: JSON.parse(params) });
    } catch (error) {
      // An earlier request has created the instance.
      if (!exists.test(messageOf(error))) throw error;
    }
    return {};
  },

  async getStatus(workflow, id) {
    return { state: await getStatus(workflow, id) };
  },

  // Every request but `getStatus` has the instance followed, these do nothing else.
  async follow() {
    return {};
  },

  async followToEnd() {
    return {};
  },

  async sendEvent(workflow, id, [type, payload], known) {
    // The engine accepts events for a finished instance, and drops them.
    known.state = await getStatus(workflow, id);
    if (isFinished(known.state)) return refusedAs(known.state);
    const instance = await workflow.get(id);
    await instance.sendEvent({ type, payload: JSON.parse(payload) });
    return { state: known.state };
  },

  async act(workflow, id, _, known, { method, settleMs }) {
    known.state = await getStatus(workflow, id);
    const instance = await workflow.get(id);
    await instance[method]();
    // The local engine accepts actions on a finished instance, although they have no effect.
    if (method !== "restart" && isFinished(known.state)) return refusedAs(known.state);
    return { state: await settle(workflow, id, settings.leadsTo[method], settleMs) };
  },
};

/**
 * Wait until the instance has the status that an action leads to, or until the time is up; return its
 * state.
 * @param {any} workflow
 * @param {string} id
 * @param {string | undefined} goal
 * @param {number} settleMs
 */
async function settle(workflow, id, goal, settleMs) {
  const deadline = Date.now() + settleMs;
  for (let wait = FIRST_WAIT_MS; ; wait *= 2) {
    const state = await getStatus(workflow, id);
    const isSettled = !goal || state.status === goal || isFinished(state);
    if (isSettled || Date.now() + wait > deadline) return state;
    await new Promise((done) => setTimeout(done, wait));
  }
}

/**
 * @param {any} workflow
 * @param {string} id
 * @returns {Promise<State>}
 */
async function getStatus(workflow, id) {
  try {
    const instance = await workflow.get(id);
    const { status, output, error } = await instance.status();
    /** @type {State} */
    const state = { status };
    if (status === settings.hasOutput) {
      const { text, kind } = describeValue(output, settings.values);
      state.output = [text, kind];
    }
    if (status === settings.hasError && error) state.error = nameAndMessage(error);
    return state;
  } catch (error) {
    if (noInstance.test(messageOf(error))) return { status: null };
    throw error;
  }
}

/**
 * Name and message of an instance's error; earlier engines report a text.
 * @param {any} error
 * @returns {[string, string]}
 */
function nameAndMessage(error) {
  if (typeof error === "object") return [`${error.name ?? "Error"}`, `${error.message}`];
  return ["Error", String(error)];
}

/** @param {State} state */
function isFinished({ status }) {
  return status !== null && settings.finished.includes(status);
}

/**
 * @param {State} state of an instance that has finished
 * @returns {Result}
 */
function refusedAs(state) {
  return { error: `the instance is ${state.status}`, state };
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Wait for `work`; throw if it takes longer than `ms`.
 * @template T
 * @param {number} ms
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function within(ms, work) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} seconds`)), ms);
  });
  return Promise.race([work, /** @type {Promise<never>} */ (late)]).finally(() =>
    clearTimeout(timer),
  );
}
