// Workflows that do what their input says, so that each test is one line of steps.

import { WorkflowEntrypoint } from "cloudflare:workers";
import type { WorkflowEvent, WorkflowStep } from "cloudflare:workers";
import type { WorkflowInstanceData } from "@flowflare/client";
import { NonRetryableError } from "cloudflare:workflows";
import { trackStep, trackWorkflow, updateWorkflowInstance } from "@flowflare/client";
import { Gate } from "./gate.ts";

/** A step of the engine. */
interface Task {
  /** Its name; the engine also takes a number. */
  do: string | number;
  /** The number of attempts that fail. */
  fails?: number;
  /** True if it fails with a NonRetryableError. */
  fatal?: boolean;
  /** The number of attempts that take longer than any timeout. */
  hangs?: number;
  /** Milliseconds. */
  takes?: number;
  /** Its result; a number is the length of a text. */
  returns?: unknown;
  /** Instead, a list in a list and so on, so many levels of it. */
  deep?: number;
  config?: object;
  /** True if the delay between attempts is a function. */
  asks?: boolean;
  /** True if the workflow continues after the step has failed. */
  optional?: boolean;
}

/** A step of `trackStep`. */
interface Tracked {
  step: string;
  index?: number;
  fails?: number;
  config?: object;
  inEngine?: boolean;
  optional?: boolean;
}

/** One thing that a workflow does. */
export type Action =
  | Task
  | { sleep: string | number; for: number | string }
  | { sleepUntil: string; in: number }
  /** A sleep whose name is half of a surrogate pair, which a request in UTF-8 cannot contain. */
  | { half: number }
  | { wait: string; type: string; timeout?: string; optional?: boolean }
  | { together: Action[] }
  | { race: Action[] }
  | Tracked
  | { update: Omit<WorkflowInstanceData, "id"> }
  | { throw: string }
  | { end: "function" };

interface Input {
  actions: Action[];
  /** The behaviour of the service for this run: see gate.ts. */
  gate?: string;
  /** Without a way to the service. */
  untracked?: boolean;
  /** Without `trackWorkflow`. */
  bare?: boolean;
}

interface Env {
  SERVICE: Fetcher;
  SCRIPT: Workflow;
}

class PaymentDeclined extends Error {
  override name = "PaymentDeclined";
}

export class Script extends WorkflowEntrypoint<Env, Input> {
  override async run(event: WorkflowEvent<Input>, step: WorkflowStep): Promise<unknown> {
    const { gate = "open", untracked, bare } = event.payload;
    const service = new Gate(this.env.SERVICE, event.instanceId, gate);
    const env = untracked ? {} : { FLOWFLARE: service };
    const body = async (step: WorkflowStep): Promise<unknown> => {
      const results: unknown[] = [];
      for (const action of event.payload.actions) {
        results.push(await perform(action, step, event.instanceId, env));
      }
      return { results };
    };
    if (bare) return body(step);
    const reference = { refType: "script", refId: event.instanceId };
    // Where calls are to fail, a test does not wait for long.
    const timeLimitMs = gate === "open" ? 10_000 : 1000;
    return trackWorkflow(env, event, step, body, { reference, timeLimitMs });
  }
}

async function perform(
  action: Action,
  step: WorkflowStep,
  instanceId: string,
  env: object,
): Promise<unknown> {
  if ("together" in action) {
    return Promise.all(action.together.map((one) => perform(one, step, instanceId, env)));
  }
  if ("race" in action) {
    return Promise.race(action.race.map((one) => perform(one, step, instanceId, env)));
  }
  if ("update" in action) return updateWorkflowInstance({ id: instanceId, ...action.update }, env);
  if ("end" in action) return () => "no value";
  if ("throw" in action) throw new PaymentDeclined(action.throw);
  if ("sleep" in action) return step.sleep(action.sleep as string, action.for as number);
  if ("half" in action) return step.sleep(String.fromCharCode(action.half), 1);
  if ("sleepUntil" in action) return step.sleepUntil(action.sleepUntil, Date.now() + action.in);
  if ("wait" in action) {
    try {
      const { type, timeout = "1 minute" } = action;
      return (
        await step.waitForEvent<{ by: string }>(action.wait, {
          type,
          timeout: timeout as "1 minute",
        })
      ).payload;
    } catch (error) {
      if (!action.optional) throw error;
      return String(error);
    }
  }
  if ("step" in action) return trackedStep(action, step, instanceId, env);
  return task(action, step);
}

async function task(action: Task, step: WorkflowStep): Promise<unknown> {
  const { fails = 0, hangs = 0, takes = 0, returns = action.do } = action;
  const work = async ({ attempt }: { attempt: number }): Promise<any> => {
    await new Promise((done) => setTimeout(done, attempt <= hangs ? 20_000 : takes));
    if (action.fatal) throw new NonRetryableError("never again");
    if (attempt <= fails) throw new PaymentDeclined(`declined at attempt ${attempt}`);
    if (action.deep) return nested(action.deep);
    return typeof returns === "number" ? "x".repeat(returns) : returns;
  };
  const delay = action.asks ? async () => 70 : 50;
  const config = { retries: { limit: 3, delay, backoff: "constant" as const }, ...action.config };
  try {
    const result = await step.do(action.do as string, config, work);
    return action.deep ? "built" : result;
  } catch (error) {
    if (!action.optional || String(error).includes("Aborting engine")) throw error;
    return String(error);
  }
}

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = [value];
  return value;
}

async function trackedStep(action: Tracked, step: WorkflowStep, instanceId: string, env: object) {
  let calls = 0;
  const work = async () => {
    if (++calls <= (action.fails ?? 0)) throw new PaymentDeclined(`declined at call ${calls}`);
    return { calls };
  };
  const { index, config = {} } = action;
  if (!action.inEngine) {
    const result = trackStep(env, instanceId, action.step, index, work, config);
    return action.optional ? result.catch(String) : result;
  }
  const retries = { limit: 3, delay: 50, backoff: "constant" as const };
  return step.do(action.step, { retries }, ({ attempt }) =>
    trackStep(env, instanceId, action.step, index, work, {
      maxRetries: 3,
      baseDelay: 50,
      backoffType: "constant",
      currentRetry: attempt - 1,
    }),
  );
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, what, id = ""] = pathname.split("/");
    if (what === "open") Gate.open(id);
    if (what === "deliver") return Gate.deliver(id, env.SERVICE);
    if (what === "calls") return Response.json(Gate.calls(id));
    if (what === "create") {
      await env.SCRIPT.create({ id, params: await request.json() });
      return new Response("created");
    }
    const instance = await env.SCRIPT.get(id);
    // After a crash the local engine goes on with an instance when it is asked something of it.
    if (what === "wake") await instance.sendEvent({ type: "wake", payload: null });
    if (what === "pause") await instance.pause();
    if (what === "resume") await instance.resume();
    const found = await instance.status();
    // Without the results of the steps, which may be too deep to be written.
    if (what === "end") return Response.json({ status: found.status, error: found.error });
    return Response.json(found);
  },
};
