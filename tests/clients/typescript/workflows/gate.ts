// The service binding as the workflows see it: counts the calls, and fails as a test wants.

/** Calls to the service, for each instance, as their parsed bodies. */
const calls = new Map<string, unknown[]>();
/** Calls that were kept, for each instance. */
const kept = new Map<string, string>();
/** Instances whose calls get through from now on. */
const opened = new Set<string>();

interface ServiceRequest {
  method: string;
  body: string;
  headers: Record<string, string>;
  signal?: AbortSignal;
}

export class Gate {
  readonly #service: Fetcher;
  readonly #instanceId: string;
  readonly #behaviour: string;

  constructor(service: Fetcher, instanceId: string, behaviour: string) {
    this.#service = service;
    this.#instanceId = instanceId;
    this.#behaviour = behaviour;
  }

  /** Let everything through, in any mode of a gate. */
  static open(instanceId: string): void {
    opened.add(instanceId);
  }

  static calls(instanceId: string): unknown[] {
    return calls.get(instanceId) ?? [];
  }

  /** Let the call through that was kept, and return what the service answers. */
  static async deliver(instanceId: string, service: Fetcher): Promise<Response> {
    const body = kept.get(instanceId) ?? "";
    const headers = { "content-type": "application/json", accept: "application/json" };
    return service.fetch("https://flowflare/graphql", { method: "POST", headers, body });
  }

  async fetch(input: string, init: ServiceRequest): Promise<Response> {
    const made = calls.get(this.#instanceId) ?? [];
    calls.set(this.#instanceId, [...made, JSON.parse(init.body)]);
    const [behaviour, count = "Infinity"] = this.#behaviour.split(" ");
    if (behaviour === "late" && made.length + 1 === Number(count)) {
      kept.set(this.#instanceId, init.body);
      await aborted(init.signal);
    }
    if (made.length < Number(count) && !opened.has(this.#instanceId)) {
      if (behaviour === "broken") throw new Error("the service is gone");
      if (behaviour === "refused") return this.#service.fetch(input, { ...init, body: "{}" });
      if (behaviour === "lost") {
        // It does what it is asked, and its answer does not arrive.
        await this.#service.fetch(input, init);
        throw new Error("Network connection lost.");
      }
      if (behaviour === "slow") await aborted(init.signal);
    }
    return this.#service.fetch(input, init);
  }
}

/** Wait until the caller has given the call up, and fail as it does. */
async function aborted(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((_, reject) =>
    signal?.addEventListener("abort", () => reject(new Error("too slow"))),
  );
}
