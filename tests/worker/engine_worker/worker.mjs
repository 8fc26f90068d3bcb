// A Worker whose Workflow reports nothing, so the service knows about it only from the engine.

import { WorkflowEntrypoint } from "cloudflare:workers";

/**
 * @typedef {{ result?: any, failure?: string, sleepMs?: number, busyMs?: number,
 *   event?: string }} Params
 * @extends {WorkflowEntrypoint<unknown, Params>}
 */
export class Untracked extends WorkflowEntrypoint {
  /**
   * @param {import("cloudflare:workers").WorkflowEvent<Params>} event
   * @param {import("cloudflare:workers").WorkflowStep} step
   */
  async run(event, step) {
    const { result, failure, sleepMs, busyMs, event: type } = event.payload;
    if (busyMs) await step.do("work", () => scheduler.wait(busyMs));
    if (sleepMs) await step.sleep("sleep", sleepMs);
    if (type) return (await step.waitForEvent("wait", { type })).payload;
    if (failure) throw new TypeError(failure);
    return result ?? null;
  }
}

export default {
  fetch: () => new Response("This Worker has a Workflow."),
};
