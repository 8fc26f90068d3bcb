/**
 * The workflows in TypeScript, and an HTTP interface to the workflows in both languages: POST
 * /BINDING/ID starts an instance, and GET returns its status. The output is the run's duration in
 * milliseconds.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { trackWorkflow } from "@flowflare/client";

interface Params {
  steps: number;
  /** The duration of a step in milliseconds; 0 if absent. */
  ms?: number;
}

interface Bindings {
  FLOWFLARE: Fetcher;
  COUNTER: Fetcher;
}

type Env = Bindings & Record<string, Workflow>;

async function runSteps(step: WorkflowStep, { steps, ms = 0 }: Params): Promise<void> {
  for (let number = 1; number <= steps; number++) {
    await step.do(`step ${number}`, async () => {
      if (ms > 0) await scheduler.wait(ms);
      return number;
    });
  }
}

async function elapsed(run: () => Promise<void>): Promise<number> {
  const start = Date.now();
  await run();
  return Date.now() - start;
}

export class Bare extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep): Promise<number> {
    return elapsed(() => runSteps(step, event.payload));
  }
}

export class Tracked extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep): Promise<number> {
    const { FLOWFLARE } = this.env;
    return elapsed(() =>
      trackWorkflow({ FLOWFLARE }, event, step, (step) => runSteps(step, event.payload)),
    );
  }
}

export class Counted extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep): Promise<number> {
    const { COUNTER } = this.env;
    return elapsed(() =>
      trackWorkflow({ FLOWFLARE: COUNTER }, event, step, (step) => runSteps(step, event.payload)),
    );
  }
}

export default {
  async fetch(request, env): Promise<Response> {
    const [, binding, id] = new URL(request.url).pathname.split("/");
    const workflow = env[binding];
    if (request.method === "POST") {
      await workflow.create({ id, params: await request.json<Params>() });
      return new Response();
    }
    return Response.json(await (await workflow.get(id)).status());
  },
} satisfies ExportedHandler<Env>;
