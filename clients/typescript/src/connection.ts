/**
 * Requests to the service: over a service binding, which stays inside Cloudflare and needs no key,
 * or over HTTPS with a key.
 */

import { ConfigurationError, UnreachableError, requestError } from "./errors.ts";
import type { GraphQLFailure } from "./errors.ts";

/** The request passed to `fetch`. */
export interface ServiceRequest {
  method: string;
  headers: Record<string, string>;
  body: string;
  signal?: AbortSignal;
}

/** The members of a response that are read. */
export interface ServiceResponse {
  readonly status: number;
  text(): Promise<string>;
}

/** A service binding to Flowflare, such as `env.FLOWFLARE`. */
export interface ServiceBinding {
  fetch(input: string, init: ServiceRequest): Promise<ServiceResponse>;
}

/** The address of the service: a binding, or else a URL. */
export interface ServiceAddress {
  /** Binding to the entrypoint `FlowflareService`; it takes precedence. */
  serviceBinding?: ServiceBinding | undefined;
  /** URL of the service, such as `https://flowflare.example.com`. */
  serviceUrl?: string | undefined;
  /** A key or token. Not needed over a binding to `FlowflareService`. */
  apiKey?: string | undefined;
  /** Milliseconds after which a call is given up; 10,000 by default. */
  timeoutMs?: number | undefined;
}

/** The bindings and variables of a Worker that name the service. */
export interface FlowflareEnv {
  FLOWFLARE?: ServiceBinding | undefined;
  FLOWFLARE_URL?: string | undefined;
  FLOWFLARE_API_KEY?: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 10_000;
// A binding ignores the host, but a URL needs one.
const BINDING_URL = "https://flowflare/graphql";

/** Sends operations; each call is one HTTP request. */
export class Connection {
  readonly #send: (request: ServiceRequest) => Promise<ServiceResponse>;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;

  /** Throws ConfigurationError if neither a binding nor a URL is given. */
  constructor({ serviceBinding, serviceUrl, apiKey, timeoutMs }: ServiceAddress) {
    if (serviceBinding) {
      this.#send = (request) => serviceBinding.fetch(BINDING_URL, request);
    } else if (serviceUrl) {
      const url = endpoint(serviceUrl);
      this.#send = (request) => fetch(url, request);
    } else {
      throw new ConfigurationError(
        "serviceBinding (FLOWFLARE) or serviceUrl (FLOWFLARE_URL) must be given.",
      );
    }
    this.#apiKey = apiKey || undefined;
    this.#timeoutMs = timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /**
   * Run an operation and return its `data`. `variables` is JSON text.
   *
   * Throws UnreachableError without an answer in time, RequestError for a response with `errors`.
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

/** The connection for a Worker's environment; throws ConfigurationError. */
export function connectionOf(env: FlowflareEnv, timeoutMs?: number): Connection {
  return new Connection({
    serviceBinding: env.FLOWFLARE,
    serviceUrl: env.FLOWFLARE_URL,
    apiKey: env.FLOWFLARE_API_KEY,
    timeoutMs,
  });
}

/** The GraphQL endpoint of a service, whether or not `serviceUrl` already names it. */
export function endpoint(serviceUrl: string): string {
  let url: URL;
  try {
    url = new URL(serviceUrl);
  } catch (cause) {
    throw new ConfigurationError(
      `serviceUrl must be an http(s) URL, not ${JSON.stringify(serviceUrl)}.`,
      { cause },
    );
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
