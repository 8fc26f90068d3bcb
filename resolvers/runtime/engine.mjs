// Requests to the engine: Cloudflare Workflows, through the binding of each (see engine.py).

import { env as bindings } from "cloudflare:workers";

/**
 * The engine's state of an instance; `status` is null if it has no instance of this id.
 * @typedef {{ status: string | null, output?: string, error?: [string, string] }} State
 * @typedef {{ error?: string, state?: State }} Result
 * @typedef {{ binding: string, method: string, id: string, arguments: string[] }} Request
 * @typedef {{ requests: Request[], timeoutMs: number, settleMs: number,
 *   concurrency: number }} Requests
 */

/** @type {Record<string, any>} */
const env = bindings;

const FIRST_WAIT_MS = 20;

/**
 * The engine's words for statuses that are final, the status that an action leads to, and the patterns
 * of its errors (see settings.py and foreign_errors.py).
 * @typedef {{ finished: string[], leadsTo: Record<string, string>, noInstance: string,
 *   exists: string }} Settings
 * @type {Settings}
 */
let settings;
let noInstance = /^$/;
let exists = /^$/;

/** @param {Settings} given */
export function configure(given) {
  settings = given;
  noInstance = new RegExp(given.noInstance, "i");
  exists = new RegExp(given.exists, "i");
}

/**
 * Send all requests, several at a time; the results have their order. Nothing is thrown.
 * @param {Requests} given
 * @returns {Promise<Result[]>}
 */
export async function sendRequests(given) {
  /** @type {Result[]} */
  const results = [];
  const waiting = given.requests.entries();
  const work = async () => {
    for (const [index, request] of waiting) results[index] = await send(request, given);
  };
  const workers = Math.min(given.concurrency, given.requests.length);
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

/**
 * @param {Request} request
 * @param {Requests} limits
 * @returns {Promise<Result>}
 */
async function send({ binding, method, id, arguments: given }, { timeoutMs, settleMs }) {
  const workflow = env[binding];
  if (workflow === undefined) {
    return { error: `the Worker has no binding ${binding}, which WORKFLOWS names` };
  }
  /** @type {Result} known so far, should the time run out */
  const known = {};
  try {
    const work = METHODS[method in METHODS ? method : "act"];
    return await within(timeoutMs, work(workflow, id, given, known, { method, settleMs }));
  } catch (error) {
    return { error: messageOf(error), ...(known.state && { state: known.state }) };
  }
}

/**
 * @typedef {(workflow: any, id: string, given: string[], known: Result,
 *   action: { method: string, settleMs: number }) => Promise<Result>} Method
 * @type {Record<string, Method>}
 */
const METHODS = {
  async create(workflow, id, [params]) {
    try {
      await workflow.create({ id, params: JSON.parse(params) });
    } catch (error) {
      // The engine has this instance from an earlier request.
      if (!exists.test(messageOf(error))) throw error;
    }
    return {};
  },

  async getStatus(workflow, id) {
    return { state: await getStatus(workflow, id) };
  },

  async sendEvent(workflow, id, [type, payload], known) {
    // The engine accepts events for an instance that has finished, and drops them.
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
    // The local engine accepts actions that have no effect on an instance that has finished.
    if (method !== "restart" && isFinished(known.state)) return refusedAs(known.state);
    return { state: await settle(workflow, id, settings.leadsTo[method], settleMs) };
  },
};

/**
 * Wait until the instance has the status that an action leads to, or the time is up; return its state.
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
    if (status === "complete") state.output = JSON.stringify(output ?? null);
    if (status === "errored") state.error = nameAndMessage(error);
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
  if (error && typeof error === "object") return [`${error.name ?? "Error"}`, `${error.message}`];
  return ["Error", `${error ?? "the engine gives no reason"}`];
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
