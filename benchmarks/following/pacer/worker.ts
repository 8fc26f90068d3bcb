/**
 * A workflow that imports nothing of Flowflare, and a reader of its history without a database.
 *
 * POST / creates instances that the service does not know, from a list of { id, params }. A WebSocket
 * gets the history of the instances whose ids it sends, each event as soon as the engine reports it.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

/** When the steps begin, and how long each of them takes, in milliseconds. */
interface Plan {
  startsAt: number;
  steps: number[];
}

interface Env {
  PACED: Workflow<Plan>;
}

const SHORTEST_SLEEP_MS = 100;

export class Paced extends WorkflowEntrypoint<Env, Plan> {
  async run(event: WorkflowEvent<Plan>, step: WorkflowStep): Promise<number> {
    const { startsAt, steps } = event.payload;
    // The engine refuses to sleep until a time in the past.
    const until = Math.max(startsAt, Date.now() + SHORTEST_SLEEP_MS);
    await step.sleepUntil("gather", new Date(until));
    for (const [index, ms] of steps.entries()) {
      await step.do(`step ${index + 1}`, async () => {
        await scheduler.wait(ms);
        return ms;
      });
    }
    return steps.length;
  }
}

export default {
  async fetch(request, env): Promise<Response> {
    if (request.headers.get("upgrade") === "websocket") return watch(env.PACED);
    for (const instance of await request.json<{ id: string; params: Plan }[]>()) {
      await env.PACED.create(instance);
    }
    return new Response();
  },
} satisfies ExportedHandler<Env>;

function watch(workflow: Workflow<Plan>): Response {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.addEventListener("message", ({ data }) => {
    for (const id of JSON.parse(String(data))) {
      forward(workflow, id, server).catch((error) => server.close(1011, String(error)));
    }
  });
  return new Response(null, { status: 101, webSocket: client });
}

async function forward(workflow: Workflow<Plan>, id: string, socket: WebSocket): Promise<void> {
  const instance: any = await workflow.get(id);
  const subscription = await instance.subscribe();
  for (;;) {
    const { done, value } = await subscription.next();
    if (done) break;
    const { type, timestamp: at, stepName: step } = value;
    socket.send(JSON.stringify({ id, type, at, step }));
  }
  subscription[(Symbol as any).dispose]();
}
