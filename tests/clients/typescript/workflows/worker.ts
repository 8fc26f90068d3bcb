// Workflows that do what their input says, so that each test is one line of steps.

import { WorkflowEntrypoint } from "cloudflare:workers";
import type { WorkflowEvent, WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
import { trackStep, trackWorkflow } from "@flowflare/client";
import { Gate } from "./gate.ts";

/** A step of `trackStep`. */
interface Tracked {
  step: string;
  index?: number;
  fails?: number;
  config?: object;
  inEngine?: boolean;
}

/** One thing that a workflow does. */
export type Action =
  | { do: string; fails?: number; fatal?: boolean; hangs?: number; returns?: unknown; takes?: number; config?: object; optional?: boolean }
  | { sleep: string; for: number | string }
  | { sleepUntil: string; in: number }
  | { wait: string; type: string; timeout?: string; optional?: boolean }
  | { together: Action[] }
  | Tracked
  | { throw: string };

interface Input {
  actions: Action[];
  /** How the service behaves to this run: see gate.ts. */
  gate?: string;
  untracked?: boolean;
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
    const { actions, gate = "open", untracked } = event.payload;
    const service = new Gate(this.env.SERVICE, event.instanceId, gate);
    const env = untracked ? {} : { FLOWFLARE: service };
    return trackWorkflow(env, event, step, async (step) => {
      const results: unknown[] = [];
      for (const action of actions) results.push(await perform(action, step, event.instanceId, env));
      return { results };
    }, { reference: { refType: "script", refId: event.instanceId }, timeLimitMs: 1000 });
  }
}

async function perform(action: Action, step: WorkflowStep, instanceId: string, env: object): Promise<unknown> {
  if ("together" in action) {
    return Promise.all(action.together.map((one) => perform(one, step, instanceId, env)));
  }
  if ("throw" in action) throw new PaymentDeclined(action.throw);
  if ("sleep" in action) return step.sleep(action.sleep, action.for as number);
  if ("sleepUntil" in action) return step.sleepUntil(action.sleepUntil, Date.now() + action.in);
  if ("wait" in action) {
    try {
      const { type, timeout = "1 minute" } = action;
      return (await step.waitForEvent<{ by: string }>(action.wait, { type, timeout: timeout as "1 minute" })).payload;
    } catch (error) {
      if (!action.optional) throw error;
      return String(error);
    }
  }
  if ("step" in action) return trackedStep(action, step, instanceId, env);
  const work = async ({ attempt }: { attempt: number }): Promise<any> => {
    if (action.takes) await new Promise((done) => setTimeout(done, action.takes));
    if (attempt <= (action.hangs ?? 0)) await new Promise((done) => setTimeout(done, 20_000));
    if (action.fatal) throw new NonRetryableError("never again");
    if (attempt <= (action.fails ?? 0)) throw new PaymentDeclined(`declined at attempt ${attempt}`);
    const { returns = action.do } = action;
    return typeof returns === "number" ? "x".repeat(returns) : returns;
  };
  const config = { retries: { limit: 3, delay: 50, backoff: "constant" as const }, ...action.config };
  try {
    return await step.do(action.do, config, work);
  } catch (error) {
    if (!action.optional || String(error).includes("Aborting engine")) throw error;
    return String(error);
  }
}

function trackedStep(action: Tracked, step: WorkflowStep, instanceId: string, env: object) {
  let calls = 0;
  const work = async () => {
    if (++calls <= (action.fails ?? 0)) throw new PaymentDeclined(`declined at call ${calls}`);
    return { calls };
  };
  const { index, config = {} } = action;
  if (!action.inEngine) return trackStep(env, instanceId, action.step, index, work, config);
  const retries = { limit: 3, delay: 50, backoff: "constant" as const };
  return step.do(action.step, { retries }, ({ attempt }) =>
    trackStep(env, instanceId, action.step, index, work, {
      maxRetries: 3, baseDelay: 50, backoffType: "constant", currentRetry: attempt - 1,
    }));
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, what, id = ""] = pathname.split("/");
    if (what === "calls") return Response.json(Gate.calls(id));
    if (what === "create") {
      await env.SCRIPT.create({ id, params: await request.json() });
      return new Response("created");
    }
    const instance = await env.SCRIPT.get(id);
    if (what === "pause") await instance.pause();
    if (what === "resume") await instance.resume();
    return Response.json(await instance.status());
  },
};
