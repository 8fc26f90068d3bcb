// The edge between workerd and Python: reads requests, runs Python's tasks, writes responses. Python
// takes and returns text, so nothing is proxied; the texts that SQLite makes stay on this side and are
// joined to the response.

import { env as bindings } from "cloudflare:workers";
import { configure, join, newExecution, runTask } from "../resolvers/runtime/commands.mjs";
import { asPythonHandler } from "../resolvers/runtime/handlers.mjs";
import { readBody, skipBody } from "./bodies.mjs";
import { KnownCallers } from "./callers.mjs";
import { streamEvents, eventsOf } from "./sse.mjs";
import { connect, openSocket } from "./tracker.mjs";

/**
 * A response as Python makes it (HttpResponse in messages.py); it also names the kinds.
 * @typedef {{ status: number, kind: "answer" | "asset" | "stream" | "event",
 *   headers: Record<string, string>, body: (string | number)[], cost: boolean }} PythonResponse
 */

/** @type {Record<string, any>} */
const env = bindings;

/**
 * Functions of Python, for as long as the isolate lives.
 * @type {{ begin: (request: string, body: string, failure: string) => string,
 *   resume: (task: number, result: string) => string }}
 */
let python;
/**
 * @type {{ bodyBytes: number, json: import("../resolvers/runtime/json_text.mjs").JsonLimits,
 *   skippedBytes: number, knownCallers: number, keepAliveMs: number,
 *   costHeaders: [roundTrips: string, rowsRead: string, rowsWritten: string],
 *   commands: import("../resolvers/runtime/commands.mjs").Settings }}
 */
let settings;
/** @type {KnownCallers} */
let callers;

/**
 * Keep the functions of Python; they outlive the call.
 * @param {string} text the settings, JSON
 * @param {typeof python.begin} begin
 * @param {typeof python.resume} resume
 * @param {(authorization: string) => number} validUntil
 */
export function install(text, begin, resume, validUntil) {
  settings = JSON.parse(text);
  python = { begin, resume };
  callers = new KnownCallers(validUntil, settings.knownCallers);
  configure(settings.commands);
}

/**
 * The variables and secrets that Python needs, as JSON text.
 * @param {string} names as JSON text
 */
export function configuration(names) {
  return JSON.stringify(
    Object.fromEntries(JSON.parse(names).map((/** @type {string} */ name) => [name, env[name]])),
  );
}

/**
 * Answer an HTTP request.
 * @param {Request} request
 */
export const serve = asPythonHandler((/** @type {Request} */ request) => respond(request, false));

/**
 * Answer a request that came over a service binding. Only this function knows that it did: nothing in
 * a request can claim it.
 * @param {Request} request
 */
export const serveBound = (request) => respond(request, true);

/**
 * @param {Request} request
 * @param {boolean} bound true if it needs no key
 */
async function respond(request, bound) {
  const url = request.url;
  const start = url.indexOf("/", 8);
  const query = url.indexOf("?", start);
  const path = query < 0 ? url.slice(start) : url.slice(start, query);
  const header = (/** @type {string} */ name) => request.headers.get(name) ?? "";
  // Python has the routes (application.py). Only this one has sockets and bodies.
  if (path === "/graphql" && header("upgrade").toLowerCase() === "websocket") {
    return connect(request, bound);
  }
  const authorization = header("authorization");
  let body = "";
  let problem = "";
  if (request.method === "POST" && path === "/graphql") {
    const isKnown = (bound && !authorization) || callers.has(authorization);
    ({ body, problem } = isKnown
      ? await readBody(request, settings.bodyBytes, settings.json)
      : await skipBody(request, settings.skippedBytes));
  }
  // Named as in HttpRequest.
  const line = JSON.stringify({
    method: request.method,
    path,
    query_string: query < 0 ? "" : url.slice(query + 1),
    accept: header("accept"),
    authorization,
    content_type: header("content-type"),
    origin: header("origin"),
    last_event_id: header("last-event-id"),
    problem,
    bound,
  });
  const begin = (/** @type {string} */ failure) => python.begin(line, body, failure);
  const execution = newExecution();
  /** @type {PythonResponse} */
  const response = await runTask({ begin, resume: python.resume }, execution);
  let text = join(response.body, execution.texts);
  if (response.kind === "asset") return env.ASSETS.fetch(new Request(new URL(text, url)));
  if (response.kind === "stream") {
    const socket = await openSocket(bound);
    const events = streamEvents(socket, authorization, text, settings.keepAliveMs);
    return new Response(events, response);
  }
  if (response.kind === "event") text = eventsOf(text);
  if (response.cost) {
    const [roundTrips, rowsRead, rowsWritten] = settings.costHeaders;
    response.headers[roundTrips] = String(execution.roundTrips);
    response.headers[rowsRead] = String(execution.rowsRead);
    response.headers[rowsWritten] = String(execution.rowsWritten);
  }
  return new Response(response.status === 204 ? null : text, {
    status: response.status,
    headers: response.headers,
  });
}

/**
 * Run a task of Python from its first step to its return value, JSON text.
 * @param {string} first
 */
export async function run(first) {
  return JSON.stringify(
    await runTask({ begin: () => first, resume: python.resume }, newExecution()),
  );
}
