/**
 * A Workflow that imports nothing of Flowflare. Its parameters are the plan of what it does.
 *
 * GET /ID reads its history from the engine; POST /ID/METHOD acts on it behind the service's back, and
 * POST /ID/create starts it there with the plan in the body.
 */

import { WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

const SECOND_MS = 1000;

/** @type {Record<string, () => unknown>} */
const VALUES = {
  undefined: () => undefined,
  null: () => null,
  text: () => 'a "text" with \u2028, \u0000 and 🦊',
  number: () => -0.5,
  nan: () => Number.NaN,
  infinity: () => [Number.POSITIVE_INFINITY, undefined],
  bigint: () => 12345678901234567890n,
  date: () => new Date(1_000_000_000_000),
  map: () => new Map([["a", 1]]),
  pairs: () => new Map([[1, new Map([["a", 2n]])]]),
  set: () => new Set([1, 2]),
  error: () => [new RangeError("far")],
  bytes: () => new Uint8Array([1, 2, 3]),
  buffers: () => [new ArrayBuffer(4), new Float64Array(1)],
  stream: () => new Response("streamed").body,
  list: () => [1, "two", [3]],
  proto: () => JSON.parse('{"__proto__": {"a": 1}}'),
  deep: () => JSON.parse("[".repeat(900) + "]".repeat(900)),
  records: () => Array.from({ length: 9_000 }, (_, id) => ({ id, name: "x".repeat(20) })),
  large: () => "é".repeat(300_000),
  largest: () => "x".repeat(1_048_500),
  megabyte: () => "x".repeat(1_000_000),
};

/** @extends {WorkflowEntrypoint<Record<string, any>, any[][]>} */
export class Plain extends WorkflowEntrypoint {
  /**
   * @param {import("cloudflare:workers").WorkflowEvent<any[][]>} event
   * @param {import("cloudflare:workers").WorkflowStep} step
   */
  async run(event, step) {
    let last;
    for (const [kind, ...values] of event.payload) last = await DEEDS[kind](step, ...values);
    return last;
  }
}

/** @type {Record<string, (step: any, ...values: any[]) => Promise<unknown>>} */
const DEEDS = {
  do: (step, name, value) => step.do(name, async () => value),
  busy: (step, name, ms) => step.do(name, () => scheduler.wait(ms)),
  value: (step, name, kind) => step.do(name, async () => VALUES[kind]()),
  secret: (step, name, value) => step.do(name, { sensitive: "output" }, async () => value),
  returns: async (_, kind) => VALUES[kind](),
  loop: async (step, name, count) => {
    for (let n = 1; n <= count; n += 1) await step.do(name, async () => n);
  },
  retry: (step, name, retries, failures) =>
    step.do(name, { retries }, async (/** @type {{ attempt: number }} */ { attempt }) => {
      if (attempt <= failures) throw new TypeError(`attempt ${attempt} fails`);
      return attempt;
    }),
  caught: async (step, name) => {
    const config = { retries: { limit: 1, delay: 50, backoff: "constant" } };
    const fail = async () => {
      throw new RangeError("no");
    };
    return step
      .do(name, config, fail)
      .catch((/** @type {Error} */ error) => `caught ${error.message}`);
  },
  stop: (step, name) =>
    step.do(name, async () => {
      throw new NonRetryableError("stop");
    }),
  timeout: (step, name) =>
    step.do(name, { timeout: 100, retries: { limit: 0, delay: 1, backoff: "constant" } }, () =>
      scheduler.wait(20 * SECOND_MS),
    ),
  throw: async () => {
    throw new EvalError("outside of a step");
  },
  parallel: (step, count, ms) =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        step.do(`parallel ${n}`, async () => {
          await scheduler.wait(ms * (count - n));
          return n;
        }),
      ),
    ),
  mixed: (step, name, ms) =>
    Promise.all([
      step.sleep(`${name}: short sleep`, ms),
      step.sleep(`${name}: long sleep`, 3 * ms),
      step.do(`${name}: task`, () => scheduler.wait(2 * ms)),
    ]).then(() => "all"),
  sleep: (step, name, ms) => step.sleep(name, ms),
  until: (step, name, ms) => step.sleepUntil(name, new Date(Date.now() + ms)),
  wait: async (step, name, type, timeout) =>
    (await step.waitForEvent(name, { type, ...(timeout && { timeout }) })).payload,
  missed: (step, name, type, timeout) =>
    step.waitForEvent(name, { type, timeout }).catch(() => "missed"),
};

export default {
  /**
   * @param {Request} request
   * @param {Record<string, any>} env
   */
  async fetch(request, env) {
    const [, id, method] = new URL(request.url).pathname.split("/").map(decodeURIComponent);
    if (method === "create") {
      await env.PLAIN.create({ id, params: await request.json() });
      return new Response();
    }
    const instance = await env.PLAIN.get(id);
    if (method === "from") await instance.restart({ from: await request.json() });
    else if (method === "event") await instance.sendEvent({ type: "nudge", payload: null });
    else if (method) await instance[method]();
    else return Response.json(await read(instance));
    return new Response();
  },
};

/**
 * The history of an instance so far.
 * @param {any} instance
 */
async function read(instance) {
  const subscription = await instance.subscribe();
  const events = [];
  for (;;) {
    const late = scheduler.wait(2 * SECOND_MS).then(() => ({ done: true, value: null }));
    const { done, value } = await Promise.race([subscription.next(), late]);
    if (done) break;
    // The values are compared with what the test expects.
    const { output, params, ...event } = value;
    events.push(event);
  }
  subscription[/** @type {any} */ (Symbol).dispose]();
  return events;
}
