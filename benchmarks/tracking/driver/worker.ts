/**
 * The workflows in TypeScript, and the way in to those of both languages: POST /BINDING/ID starts
 * one, GET tells how it stands. The output is the run's milliseconds.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { trackWorkflow } from "@flowflare/client";

interface Wish {
  steps: number;
}

interface Bindings {
  FLOWFLARE: Fetcher;
  COUNTER: Fetcher;
}

type Env = Bindings & Record<string, Workflow>;

async function walk(step: WorkflowStep, { steps }: Wish): Promise<void> {
  for (let number = 1; number <= steps; number++) {
    await step.do(`step ${number}`, async () => number);
  }
}

async function elapsed(run: () => Promise<void>): Promise<number> {
  const start = Date.now();
  await run();
  return Date.now() - start;
}

export class Bare extends WorkflowEntrypoint<Env, Wish> {
  async run(event: WorkflowEvent<Wish>, step: WorkflowStep): Promise<number> {
    return elapsed(() => walk(step, event.payload));
  }
}

export class Tracked extends WorkflowEntrypoint<Env, Wish> {
  async run(event: WorkflowEvent<Wish>, step: WorkflowStep): Promise<number> {
    const { FLOWFLARE } = this.env;
    return elapsed(() =>
      trackWorkflow({ FLOWFLARE }, event, step, (step) => walk(step, event.payload)),
    );
  }
}

export class Counted extends WorkflowEntrypoint<Env, Wish> {
  async run(event: WorkflowEvent<Wish>, step: WorkflowStep): Promise<number> {
    const { COUNTER } = this.env;
    return elapsed(() =>
      trackWorkflow({ FLOWFLARE: COUNTER }, event, step, (step) => walk(step, event.payload)),
    );
  }
}

export default {
  async fetch(request, env): Promise<Response> {
    const [, binding, id] = new URL(request.url).pathname.split("/");
    const workflow = env[binding];
    if (request.method === "POST") {
      await workflow.create({ id, params: await request.json<Wish>() });
      return new Response();
    }
    return Response.json(await (await workflow.get(id)).status());
  },
} satisfies ExportedHandler<Env>;
