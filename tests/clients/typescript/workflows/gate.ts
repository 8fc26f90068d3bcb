// The service binding as the workflows see it: counts the calls, and fails as a test wants.

/** Calls to the service, for each instance, as their parsed bodies. */
const calls = new Map<string, unknown[]>();
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

  async fetch(input: string, init: ServiceRequest): Promise<Response> {
    const made = calls.get(this.#instanceId) ?? [];
    calls.set(this.#instanceId, [...made, JSON.parse(init.body)]);
    const [behaviour, count = "Infinity"] = this.#behaviour.split(" ");
    if (made.length < Number(count) && !opened.has(this.#instanceId)) {
      if (behaviour === "broken") throw new Error("the service is gone");
      if (behaviour === "refused") return this.#service.fetch(input, { ...init, body: "{}" });
      if (behaviour === "lost") {
        // It does what it is asked, and its answer does not arrive.
        await this.#service.fetch(input, init);
        throw new Error("Network connection lost.");
      }
      if (behaviour === "slow") {
        await new Promise((_, reject) =>
          init.signal?.addEventListener("abort", () => reject(new Error("too slow"))),
        );
      }
    }
    return this.#service.fetch(input, init);
  }
}
