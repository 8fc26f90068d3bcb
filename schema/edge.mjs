// The edge between workerd and Python: reads requests, performs effects, writes responses.
// Python is called with text and answers with text, so nothing is proxied; the texts that
// SQLite makes stay here and are joined into the response (see resolvers/effects.py).

import { env as bindings } from "cloudflare:workers";
import { configure, drive, join, newKept } from "../resolvers/effects.mjs";
import { excessOf } from "../resolvers/json_text.mjs";
import { connect, openSocket } from "./sockets.mjs";
import { eventsOf, streamEvents } from "./sse.mjs";

/**
 * A response as Python has it; its kinds are those of messages.py.
 * @typedef {{ status: number, kind: "answer" | "asset" | "stream" | "event",
 *   headers: Record<string, string>, body: (string | number)[], cost: boolean }} Answer
 */

/** @type {Record<string, any>} */
const env = bindings;

const VARIABLES = [
  "FLOWFLARE_API_KEY",
  "FLOWFLARE_WRITE_KEY",
  "FLOWFLARE_READ_KEY",
  "ALLOWED_ORIGINS",
  "WORKFLOWS",
  "TRACKER_SHARDS",
  "MAX_SOCKETS",
];

const STRICT = { fatal: true, ignoreBOM: false };
const UTF_8 = new TextDecoder("utf-8", STRICT);
const UNREAD = { body: "", problem: "UNREAD" };

/**
 * What Python gives once an isolate.
 * @type {{ begin: (request: string, body: string, failure: string) => string,
 *   resume: (task: number, answer: string) => string,
 *   admitsUntil: (authorization: string) => number }}
 */
let python;
/**
 * @type {{ bodyBytes: number, json: import("../resolvers/json_text.mjs").JsonLimits,
 *   passedBytes: number, knownCallers: number, keepAliveMs: number,
 *   effects: import("../resolvers/effects.mjs").Settings }}
 */
let settings;
/** @type {Map<string, number>} until when an Authorization header is valid, seconds since 1970 */
const knownCallers = new Map();

/**
 * Keep the functions that run Python; they outlive the call.
 * @param {string} text the settings, JSON
 * @param {typeof python.begin} begin
 * @param {typeof python.resume} resume
 * @param {typeof python.admitsUntil} admitsUntil
 */
export function install(text, begin, resume, admitsUntil) {
  settings = JSON.parse(text);
  python = { begin, resume, admitsUntil };
  configure(settings.effects);
}

/** The variables and secrets that Python needs, as JSON text. */
export function configuration() {
  /** @type {Record<string, any>} */
  const found = {};
  for (const name of VARIABLES) found[name] = env[name];
  return JSON.stringify(found);
}

/**
 * Answer an HTTP request from anywhere.
 * @param {Request} request
 */
export const serve = (request) => respond(request, false);

/**
 * Answer a request that another Worker's binding brought. Which of the two functions is called is
 * the only sign of that: nothing in a request can say so.
 * @param {Request} request
 */
export const serveBound = (request) => respond(request, true);

/**
 * @param {Request} request
 * @param {boolean} bound whether it needs no key
 */
async function respond(request, bound) {
  const url = request.url;
  const start = url.indexOf("/", 8);
  const query = url.indexOf("?", start);
  const path = query < 0 ? url.slice(start) : url.slice(start, query);
  const header = (/** @type {string} */ name) => request.headers.get(name) ?? "";
  if (path === "/graphql" && header("upgrade").toLowerCase() === "websocket") {
    return connect(request, bound);
  }
  const authorization = header("authorization");
  let body = "";
  let problem = "";
  if (request.method === "POST" && path === "/graphql") {
    const isAdmitted = (bound && !authorization) || admits(authorization);
    ({ body, problem } = isAdmitted ? await readBody(request) : await pass(request));
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
  const kept = newKept();
  /** @type {Answer} */
  const response = await drive({ begin, resume: python.resume }, kept);
  let text = join(response.body, kept.texts);
  if (response.kind === "asset") return env.ASSETS.fetch(new Request(new URL(text, url)));
  if (response.kind === "stream") {
    const socket = await openSocket(bound);
    const events = streamEvents(socket, authorization, text, settings.keepAliveMs);
    return new Response(events, response);
  }
  if (response.kind === "event") text = eventsOf(text);
  if (response.cost) {
    response.headers["d1-round-trips"] = String(kept.roundTrips);
    response.headers["d1-rows-read"] = String(kept.rowsRead);
    response.headers["d1-rows-written"] = String(kept.rowsWritten);
  }
  return new Response(response.status === 204 ? null : text, {
    status: response.status,
    headers: response.headers,
  });
}

// How the runtime calls a handler that it takes for a Python function (Pyodide 314's protocol;
// workerd 1.20261117, 2026-11-22): being called so spares each request a call into Python.
serve.callWithOptions = (/** @type {any} */ _options, /** @type {Request} */ request) =>
  serve(request);
serve.callRelaxed = serve;

/**
 * Run a task for Python: from its first step to the result as JSON text.
 * @param {string} first
 */
export async function run(first) {
  return JSON.stringify(await drive({ begin: () => first, resume: python.resume }, newKept()));
}

/**
 * Say whether a body is worth reading, without a call of Python for a header seen before. Python looks
 * at the key of each request all the same.
 * @param {string} authorization
 */
function admits(authorization) {
  let until = knownCallers.get(authorization);
  if (until === undefined) {
    until = python.admitsUntil(authorization);
    if (until === 0) return false;
    if (knownCallers.size >= settings.knownCallers) knownCallers.clear();
    knownCallers.set(authorization, until);
  }
  return until > Date.now() / 1000;
}

/**
 * Leave a body unread. A small one is taken from the connection, which can then be used again.
 * @param {Request} request
 */
async function pass(request) {
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) <= settings.passedBytes) await request.arrayBuffer();
  return UNREAD;
}

/**
 * The body as text; where it cannot be had, what the problem is (HttpRequest in messages.py).
 * @param {Request} request
 */
async function readBody(request) {
  const { body, problem } = await readText(request, settings.bodyBytes);
  const excess = problem || excessOf(body, settings.json);
  return excess ? { body: "", problem: excess } : { body, problem };
}

/**
 * @param {Request} request
 * @param {number} maxBytes
 */
async function readText(request, maxBytes) {
  const tooLarge = { body: "", problem: "TOO_LARGE" };
  if (Number(request.headers.get("content-length")) > maxBytes) return tooLarge;
  try {
    if (request.headers.has("content-length")) {
      return { body: UTF_8.decode(await request.arrayBuffer()), problem: "" };
    }
    const decoder = new TextDecoder("utf-8", STRICT);
    let body = "";
    let bytes = 0;
    for await (const chunk of /** @type {any} */ (request.body ?? [])) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) return tooLarge;
      body += decoder.decode(chunk, { stream: true });
    }
    return { body: body + decoder.decode(), problem: "" };
  } catch (error) {
    if (error instanceof TypeError) return { body: "", problem: "NOT_UTF8" };
    throw error;
  }
}
