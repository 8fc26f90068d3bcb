/**
 * The way to the service: a service binding, where a call stays inside Cloudflare and needs no key,
 * or HTTPS with a key.
 */

import { ConfigurationError, UnreachableError, requestError } from "./errors.ts";
import type { GraphQLFailure } from "./errors.ts";

/** What is handed to `fetch`. */
export interface ServiceRequest {
  method: string;
  headers: Record<string, string>;
  body: string;
  signal?: AbortSignal;
}

/** What is read of a response. */
export interface ServiceResponse {
  readonly status: number;
  text(): Promise<string>;
}

/** A service binding to Flowflare, as `env.FLOWFLARE` is one. */
export interface ServiceBinding {
  fetch(input: string, init: ServiceRequest): Promise<ServiceResponse>;
}

/** How to reach the service: by a binding, or else by its URL. */
export interface ServiceAddress {
  /** Binding to the entrypoint `FlowflareService`; it takes precedence. */
  serviceBinding?: ServiceBinding | undefined;
  /** Where the service is, such as `https://flowflare.example.com`. */
  serviceUrl?: string | undefined;
  /** A key or token. Not needed over a binding to `FlowflareService`. */
  apiKey?: string | undefined;
  /** Milliseconds after which a call is given up; 10,000 where absent. */
  timeoutMs?: number | undefined;
}

/** The names under which a Worker's environment holds the service. */
export interface FlowflareEnv {
  FLOWFLARE?: ServiceBinding | undefined;
  FLOWFLARE_URL?: string | undefined;
  FLOWFLARE_API_KEY?: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 10_000;
// A binding does not look at the host, but a URL needs one.
const BINDING_URL = "https://flowflare/graphql";

/** Sends operations; each call is one HTTP request. */
export class Connection {
  readonly #send: (request: ServiceRequest) => Promise<ServiceResponse>;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;

  /** Raises ConfigurationError where neither a binding nor a URL is given. */
  constructor({ serviceBinding, serviceUrl, apiKey, timeoutMs }: ServiceAddress) {
    if (serviceBinding) {
      this.#send = (request) => serviceBinding.fetch(BINDING_URL, request);
    } else if (serviceUrl) {
      const url = endpoint(serviceUrl);
      this.#send = (request) => fetch(url, request);
    } else {
      throw new ConfigurationError(
        "There is neither a service binding to Flowflare (FLOWFLARE) nor a URL (FLOWFLARE_URL).",
      );
    }
    this.#apiKey = apiKey || undefined;
    this.#timeoutMs = timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * `data` of an operation. `variables` is JSON text.
   *
   * Raises UnreachableError where there is no answer in time, RequestError where the response has
   * `errors`.
   */
  async request(query: string, variables = "{}"): Promise<unknown> {
    const headers: Record<string, string> = {
      accept: "application/graphql-response+json, application/json;q=0.9",
      "content-type": "application/json",
    };
    if (this.#apiKey) headers["authorization"] = `Bearer ${this.#apiKey}`;
    const body = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
    const { status, text } = await this.#exchange({ method: "POST", headers, body });
    const answer = parsed(text);
    if (answer === undefined) {
      throw new UnreachableError(`The service answered ${status} without a GraphQL response.`, {
        status,
      });
    }
    if (answer.errors) throw requestError(answer.errors, answer.data);
    return answer.data;
  }

  async #exchange(request: ServiceRequest): Promise<{ status: number; text: string }> {
    try {
      // The time limit covers the body as well.
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const response = await this.#send({ ...request, signal });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UnreachableError(`The service could not be reached: ${reason}`, { cause });
    }
  }
}

/** The connection that a Worker's environment describes; raises ConfigurationError. */
export function connectionOf(env: FlowflareEnv, timeoutMs?: number): Connection {
  return new Connection({
    serviceBinding: env.FLOWFLARE,
    serviceUrl: env.FLOWFLARE_URL,
    apiKey: env.FLOWFLARE_API_KEY,
    timeoutMs,
  });
}

/** The GraphQL endpoint of a service, whether or not the URL already names it. */
export function endpoint(serviceUrl: string): string {
  let url: URL;
  try {
    url = new URL(serviceUrl);
  } catch (cause) {
    throw new ConfigurationError(`The service's URL is none: ${JSON.stringify(serviceUrl)}.`, {
      cause,
    });
  }
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith("/graphql") ? path : `${path}/graphql`;
  return url.href;
}

interface Answer {
  data?: unknown;
  errors?: readonly GraphQLFailure[];
}

function parsed(text: string): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    const isAnswer =
      typeof answer === "object" && answer !== null && ("data" in answer || "errors" in answer);
    return isAnswer ? (answer as Answer) : undefined;
  } catch {
    return undefined;
  }
}
