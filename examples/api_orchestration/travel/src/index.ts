/**
 * API orchestration: book a trip with three suppliers, or cancel all of it if one is sold out.
 *
 * Input: `{ "traveller": "ada", "busyFor": 1, "soldOut": "hotel" }`; for the last two, which are
 * optional, see the Worker `suppliers`.
 *
 * The Worker starts the instances by itself, when a traveller books. So the workflow tells Flowflare
 * about them, with the tracking library.
 */

import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
import { trackWorkflow } from "@flowflare/client";

interface Env {
  FLOWFLARE: Fetcher;
  SUPPLIERS: Fetcher;
  TRIP: Workflow<Params>;
}

const KINDS = ["flight", "hotel", "car"] as const;
type Kind = (typeof KINDS)[number];

interface Params {
  traveller: string;
  busyFor?: number;
  soldOut?: Kind;
}

type Outcome = { booked: string[] } | { cancelled: string[]; why: string };

export class Trip extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep): Promise<Outcome> {
    const reference = { refType: "traveller", refId: event.payload.traveller };
    return trackWorkflow(this.env, event, step, (step) => this.book(event, step), { reference });
  }

  private async book(
    { instanceId, payload }: WorkflowEvent<Params>,
    step: WorkflowStep,
  ): Promise<Outcome> {
    const { busyFor = 0, soldOut } = payload;
    const booked: string[] = [];
    const retries = { limit: 3, delay: 100, backoff: "exponential" } as const;
    for (const kind of KINDS) {
      // Every attempt sends the same key, so the supplier books only once.
      const key = `${instanceId}:${kind}`;
      try {
        await step.do(`book ${kind}`, { retries }, () =>
          this.request("PUT", key, { kind, busyFor, soldOut: kind === soldOut }),
        );
      } catch {
        for (const earlier of booked.toReversed()) {
          await step.do(`cancel ${earlier}`, { retries }, () => this.request("DELETE", earlier));
        }
        return { cancelled: booked, why: `no ${kind}` };
      }
      booked.push(key);
    }
    return { booked };
  }

  private async request(method: string, key: string, body?: object): Promise<void> {
    const response = await this.env.SUPPLIERS.fetch(
      `https://suppliers/${encodeURIComponent(key)}`,
      { method, body: body && JSON.stringify(body) },
    );
    const { error } = await response.json<{ error?: string }>();
    if (response.status === 409) throw new NonRetryableError(error ?? "refused");
    if (!response.ok) throw new Error(error ?? `the supplier answered ${response.status}`);
  }
}

export default {
  /** Book a trip: POST the workflow's input, and get the id of the instance. */
  async fetch(request, env): Promise<Response> {
    if (request.method !== "POST") return new Response("POST a trip.\n", { status: 405 });
    const { id } = await env.TRIP.create({ params: await request.json<Params>() });
    return new Response(id);
  },
} satisfies ExportedHandler<Env>;
