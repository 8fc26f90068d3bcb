/**
 * Subscriptions over a WebSocket, which resume by themselves: each event arrives once, in order,
 * even if the connection breaks or the service restarts. The only module that needs graphql-ws.
 */

import { createClient } from "graphql-ws/client";
import type { Client } from "graphql-ws/client";
import { Connection, endpoint } from "./connection.ts";
import type { ServiceAddress } from "./connection.ts";
import type { TypedDocument } from "./typed-document.ts";
import {
  ConfigurationError,
  RequestError,
  UnauthenticatedError,
  UnreachableError,
  isTemporary,
  requestError,
} from "./errors.ts";
import type { GraphQLFailure } from "./errors.ts";
import { backoff, cancel } from "./timers.ts";
import type { Timer } from "./timers.ts";

/** Options of `subscribe`. */
export interface SubscribeOptions {
  /** Cursor to begin after; without it the subscription begins now. */
  after?: string | undefined;
  /** Ends the subscription: the iteration ends without an error. */
  signal?: AbortSignal | undefined;
  /** Called with each cursor after its result was processed; keep it, to pass it as `after`. */
  onCursor?: ((cursor: string) => void) | undefined;
  /** The WebSocket class for runtimes without one (Node before 22). */
  webSocketImpl?: unknown;
}

/** The part of an address that a subscription needs. */
export type SubscriptionAddress = Pick<ServiceAddress, "serviceUrl" | "apiKey">;

/** The runtime answers pings while the service hibernates; without an answer the socket is dead. */
const PING_MS = 15_000;
const PONG_LIMIT_MS = 10_000;
// Close codes for a faulty request, which would fail again (docs/subscriptions.md).
const FATAL_CODES: ReadonlySet<number> = new Set([4005, 4400, 4401, 4406, 4409, 4429]);
const FORBIDDEN_CODE = 4403;
const HEAD = "query Head { events(first: 0) { cursor } }";

/**
 * Yield the results of a subscription.
 *
 * A connection that is lost is opened again, however long it takes, and continues behind the last
 * result. The iteration ends when the service completes the subscription, when `signal` is aborted
 * or when the caller leaves the loop. Throws UnreachableError if the first connection fails,
 * RequestError if the service refuses the operation, UnauthenticatedError if it refuses the key.
 */
export async function* subscribe<Result = unknown, Variables = Record<string, unknown>>(
  address: SubscriptionAddress,
  document: TypedDocument<Result, Variables>,
  variables?: Variables,
  options: SubscribeOptions = {},
): AsyncGenerator<Result, void, undefined> {
  const { signal, onCursor } = options;
  const query = String(document);
  const given = variables as Record<string, unknown> | undefined;
  let { after } = options;
  let wasConnected = false;
  let failures = 0;
  while (!signal?.aborted) {
    const client = connect(address, options);
    client.on("connected", () => {
      wasConnected = true;
    });
    const stop = () => void client.dispose();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      // Begins at the head of the log, so that no event is lost before the first result.
      if (after === undefined && startsNow(query, given)) after = await headOf(address);
      const payload = { query, variables: given };
      const results = client.iterate({ ...payload, ...(after && { extensions: { after } }) });
      for (;;) {
        const { done, value } = await results.next().catch(fail);
        if (done || signal?.aborted) return;
        failures = 0;
        const { data, cursor } = read<Result>(value);
        after = cursor ?? after;
        yield data;
        if (cursor) onCursor?.(cursor);
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!wasConnected || !isTemporary(error)) throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
      void client.dispose();
    }
    // Random, so that clients that were disconnected together do not reconnect all at once.
    await pause(backoff(failures++) * (0.5 + Math.random() / 2), signal);
  }
}

function connect({ serviceUrl, apiKey }: SubscriptionAddress, options: SubscribeOptions): Client {
  if (!serviceUrl) {
    throw new ConfigurationError(
      "serviceUrl must be given for a subscription, which uses a WebSocket of its own.",
    );
  }
  let limit: Timer | undefined;
  const client = createClient({
    url: endpoint(serviceUrl).replace(/^http/, "ws"),
    ...(apiKey && { connectionParams: { authorization: `Bearer ${apiKey}` } }),
    ...(options.webSocketImpl !== undefined && { webSocketImpl: options.webSocketImpl }),
    keepAlive: PING_MS,
    // graphql-ws would reconnect with the first cursor; the loop above has the last one.
    retryAttempts: 0,
    connectionAckWaitTimeout: PONG_LIMIT_MS,
    on: {
      ping: (received) => {
        if (!received) limit = setTimeout(() => client.terminate(), PONG_LIMIT_MS);
      },
      pong: () => cancel(limit),
      closed: () => cancel(limit),
    },
  });
  return client;
}

/** True if it follows the log from now on: neither the document nor a variable has a cursor. */
function startsNow(query: string, variables: Record<string, unknown> | undefined): boolean {
  if (!/\bworkflowEvents\b/.test(query)) return false;
  const [argument, name] = /\bafter\s*:\s*(?:\$(\w+)|")/.exec(query) ?? [];
  if (argument === undefined) return true;
  return name !== undefined && (variables?.[name] ?? null) === null;
}

async function headOf(address: SubscriptionAddress): Promise<string> {
  const { serviceUrl, apiKey } = address;
  const data = await new Connection({ serviceUrl, apiKey }).request(HEAD);
  return (data as { events: { cursor: string } }).events.cursor;
}

interface Received {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[] | undefined;
  readonly extensions?: unknown;
}

function read<Result>(result: Received): { data: Result; cursor: string | undefined } {
  const { data, errors, extensions } = result;
  if (errors && errors.length > 0) throw requestError(errors as readonly GraphQLFailure[], data);
  const cursor = (extensions as { cursor?: unknown } | undefined)?.cursor;
  return { data: data as Result, cursor: typeof cursor === "string" ? cursor : undefined };
}

function fail(error: unknown): never {
  throw problemOf(error);
}

/** The error for what graphql-ws throws: a list of GraphQL errors, or a close event. */
function problemOf(error: unknown): Error {
  if (Array.isArray(error)) return requestError(error as GraphQLFailure[]);
  const { code, reason, message } = error as {
    code?: unknown;
    reason?: unknown;
    message?: unknown;
  };
  if (code === FORBIDDEN_CODE) {
    const extensions = { code: "UNAUTHENTICATED" };
    return new UnauthenticatedError([
      { message: String(reason || "The key is not valid."), extensions },
    ]);
  }
  if (typeof code === "number" && FATAL_CODES.has(code)) {
    const extensions = { code: `CLOSED_${code}` };
    return new RequestError([{ message: String(reason || `closed with ${code}`), extensions }]);
  }
  return new UnreachableError(`The connection was lost: ${String(reason || message || code)}`, {
    cause: error,
  });
}

function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener("abort", done, { once: true });
  });
}
