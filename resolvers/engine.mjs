// Calls of the engine: Cloudflare Workflows, through the binding of each (see engine.py).

import { env as bindings } from "cloudflare:workers";

/**
 * An instance as the engine has it; `status` is null where it has none of this id.
 * @typedef {{ status: string | null, output?: string, error?: [string, string] }} Seen
 * @typedef {{ error?: string, seen?: Seen }} Answer
 * @typedef {{ binding: string, method: string, id: string, arguments: string[] }} Call
 * @typedef {{ calls: Call[], timeoutMs: number, settleMs: number, concurrency: number }} Calls
 */

/** @type {Record<string, any>} */
const env = bindings;

const LOOK_AGAIN_MS = 20;

/**
 * What Python knows of the engine: its words for what has finished, the status that an action leads
 * to, and the patterns of its errors (see effects.py and foreign_errors.py).
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
 * Make all the calls, several at a time; the answers in their order. Nothing is thrown.
 * @param {Calls} asked
 * @returns {Promise<Answer[]>}
 */
export async function askEngine(asked) {
  /** @type {Answer[]} */
  const answers = [];
  const waiting = asked.calls.entries();
  const work = async () => {
    for (const [index, call] of waiting) answers[index] = await ask(call, asked);
  };
  await Promise.all(Array.from({ length: Math.min(asked.concurrency, asked.calls.length) }, work));
  return answers;
}

/**
 * @param {Call} call
 * @param {Calls} limits
 * @returns {Promise<Answer>}
 */
async function ask({ binding, method, id, arguments: given }, { timeoutMs, settleMs }) {
  const workflow = env[binding];
  if (workflow === undefined) {
    return { error: `the Worker has no binding ${binding}, which WORKFLOWS names` };
  }
  /** @type {Answer} what is known should the time run out */
  const known = {};
  try {
    const work = METHODS[method in METHODS ? method : "act"];
    return await within(timeoutMs, work(workflow, id, given, known, { method, settleMs }));
  } catch (error) {
    return { error: wordsOf(error), ...(known.seen && { seen: known.seen }) };
  }
}

/**
 * @typedef {(workflow: any, id: string, given: string[], known: Answer,
 *   action: { method: string, settleMs: number }) => Promise<Answer>} Method
 * @type {Record<string, Method>}
 */
const METHODS = {
  async create(workflow, id, [params]) {
    try {
      await workflow.create({ id, params: JSON.parse(params) });
    } catch (error) {
      // An id the engine has is an instance it was asked for before.
      if (!exists.test(wordsOf(error))) throw error;
    }
    return {};
  },

  async look(workflow, id) {
    return { seen: await look(workflow, id) };
  },

  async sendEvent(workflow, id, [type, payload], known) {
    // An instance that has finished takes events too, without a word.
    known.seen = await look(workflow, id);
    if (isOver(known.seen)) return { error: wordsOn(known.seen), seen: known.seen };
    const instance = await workflow.get(id);
    await instance.sendEvent({ type, payload: JSON.parse(payload) });
    return { seen: known.seen };
  },

  async act(workflow, id, _, known, { method, settleMs }) {
    known.seen = await look(workflow, id);
    const instance = await workflow.get(id);
    await instance[method]();
    // The local engine lets pass what has no effect on an instance that has finished.
    if (method !== "restart" && isOver(known.seen)) {
      return { error: wordsOn(known.seen), seen: known.seen };
    }
    return { seen: await settled(workflow, id, settings.leadsTo[method], settleMs) };
  },
};

/**
 * How the instance stands once it has come where it was sent, or has had the time to.
 * @param {any} workflow
 * @param {string} id
 * @param {string | undefined} goal
 * @param {number} settleMs
 */
async function settled(workflow, id, goal, settleMs) {
  const deadline = Date.now() + settleMs;
  for (let wait = LOOK_AGAIN_MS; ; wait *= 2) {
    const seen = await look(workflow, id);
    if (!goal || seen.status === goal || isOver(seen) || Date.now() + wait > deadline) return seen;
    await new Promise((done) => setTimeout(done, wait));
  }
}

/**
 * @param {any} workflow
 * @param {string} id
 * @returns {Promise<Seen>}
 */
async function look(workflow, id) {
  try {
    const instance = await workflow.get(id);
    const { status, output, error } = await instance.status();
    /** @type {Seen} */
    const seen = { status };
    if (status === "complete") seen.output = JSON.stringify(output ?? null);
    if (status === "errored") seen.error = described(error);
    return seen;
  } catch (error) {
    if (noInstance.test(wordsOf(error))) return { status: null };
    throw error;
  }
}

/**
 * Name and message of an instance's error; it has been a text in earlier engines.
 * @param {any} error
 * @returns {[string, string]}
 */
function described(error) {
  if (error && typeof error === "object") return [`${error.name ?? "Error"}`, `${error.message}`];
  return ["Error", `${error ?? "the engine gives no reason"}`];
}

/** @param {Seen} seen */
function isOver({ status }) {
  return status !== null && settings.finished.includes(status);
}

/** @param {Seen} seen */
function wordsOn({ status }) {
  return `the instance is ${status}`;
}

/** @param {unknown} error */
function wordsOf(error) {
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
