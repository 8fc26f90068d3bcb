/** The journey of test_workflows.py, in TypeScript. */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { trackWorkflow } from "@flowflare/client";

interface Env {
  FLOWFLARE: Fetcher;
  WITNESS: Fetcher;
  JAVASCRIPT_JOURNEY: Workflow;
}

interface Params {
  failures?: number;
  /** Durations of the first attempt at `cross`, and of all others. */
  firstMs?: number;
  attemptMs?: number;
  stops?: number;
  restMs?: number;
  ending?: "well" | "badly";
}

class Flaky extends Error {
  override name = "Flaky";
}

export class Journey extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep): Promise<object> {
    return trackWorkflow(this.env, event, step, (step) => this.travel(event, step));
  }

  private async travel(
    { instanceId, payload }: WorkflowEvent<Params>,
    step: WorkflowStep,
  ): Promise<object> {
    const {
      failures = 0,
      attemptMs = 0,
      firstMs = attemptMs,
      stops = 0,
      restMs = 1,
      ending = "well",
    } = payload;
    const note = (name: string) =>
      this.env.WITNESS.fetch(`https://witness/attempts/${instanceId}/${name}`, { method: "POST" });

    const packed = await step.do("pack", async () => {
      await note("pack");
      return ["coat", "hat"];
    });
    const way = await step.do(
      "cross",
      { retries: { limit: 3, delay: 200, backoff: "exponential" } },
      async ({ attempt }) => {
        await note("cross");
        await new Promise((done) => setTimeout(done, attempt === 1 ? firstMs : attemptMs));
        if (attempt <= failures) throw new Flaky(`no way at attempt ${attempt}`);
        return { attempt };
      },
    );
    for (let stop = 1; stop <= stops; stop++) {
      await step.do(`stop ${stop}`, async () => {
        await new Promise((done) => setTimeout(done, attemptMs));
        return stop;
      });
    }
    await step.sleep("rest", restMs);
    const { payload: message } = await step.waitForEvent<{ from: string }>("hear", {
      type: "message",
      timeout: "1 hour",
    });
    return step.do(
      "arrive",
      { retries: { limit: 1, delay: 50, backoff: "constant" } },
      async () => {
        await note("arrive");
        if (ending === "badly") throw new Flaky("the door is locked");
        return { packed, way, message };
      },
    );
  }
}

/** POST /ID starts a journey without the service; PUT /ID sends it an event. */
export default {
  async fetch(request, env): Promise<Response> {
    const id = new URL(request.url).pathname.slice(1);
    if (request.method === "POST") {
      await env.JAVASCRIPT_JOURNEY.create({ id, params: await request.json<Params>() });
    } else {
      const instance = await env.JAVASCRIPT_JOURNEY.get(id);
      await instance.sendEvent(await request.json<{ type: string; payload: unknown }>());
    }
    return new Response();
  },
} satisfies ExportedHandler<Env>;
