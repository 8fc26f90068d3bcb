// The edge between workerd and Python: reads requests, performs effects, writes responses.
// Python is called with text and answers with text, so nothing is proxied; the texts that
// SQLite makes stay here and are joined into the response (see resolvers/effects.py).

import { env as bindings } from "cloudflare:workers";

/**
 * What Python asks for, or its result (see Runner in resolvers/effects.py).
 * @typedef {[sql: string, parameters: (string | number | null)[], opaque: boolean]} Statement
 * @typedef {{ status: number, headers: Record<string, string>, body: (string | number)[],
 *   cost: boolean }} Answer
 * @typedef {{ task?: number, batch?: Statement[], engine?: string[], done?: any }} Step
 * @typedef {{ texts: (string | null)[], roundTrips: number, rowsRead: number,
 *   rowsWritten: number }} Kept what one task has kept on this side, and what it has cost
 */

/** @type {Record<string, any>} */
const env = bindings;

const VARIABLES = [
  "FLOWFLARE_API_KEY",
  "FLOWFLARE_WRITE_KEY",
  "FLOWFLARE_READ_KEY",
  "ALLOWED_ORIGINS",
  "WORKFLOWS",
];

const STRICT = { fatal: true, ignoreBOM: false };
const UTF_8 = new TextDecoder("utf-8", STRICT);

/**
 * What Python gives once an isolate.
 * @type {{ begin: (...request: string[]) => string,
 *   resume: (task: number, answer: string) => string, maxBodyBytes: number,
 *   maxTextBytes: number }}
 */
let python;

/**
 * Keep the two functions that run Python; they outlive the call.
 * @param {typeof python.begin} begin
 * @param {typeof python.resume} resume
 * @param {number} maxBodyBytes
 * @param {number} maxTextBytes
 */
export function install(begin, resume, maxBodyBytes, maxTextBytes) {
  python = { begin, resume, maxBodyBytes, maxTextBytes };
}

/** The variables and secrets that Python needs, as JSON text. */
export function configuration() {
  /** @type {Record<string, any>} */
  const found = {};
  for (const name of VARIABLES) {
    const value = env[name];
    found[name] = name === "WORKFLOWS" && typeof value === "string" ? JSON.parse(value) : value;
  }
  return JSON.stringify(found);
}

/**
 * Answer an HTTP request.
 * @param {Request} request
 */
export async function serve(request) {
  const url = request.url;
  const path = url.indexOf("/", 8);
  const query = url.indexOf("?", path);
  const { body, problem } =
    request.method === "POST"
      ? await readBody(request, python.maxBodyBytes)
      : { body: "", problem: "" };
  const header = (/** @type {string} */ name) => request.headers.get(name) ?? "";
  const begin = (/** @type {string} */ failure) =>
    python.begin(
      request.method,
      query < 0 ? url.slice(path) : url.slice(path, query),
      query < 0 ? "" : url.slice(query + 1),
      header("accept"),
      header("authorization"),
      header("content-type"),
      header("origin"),
      body,
      problem,
      failure,
    );
  const kept = newKept();
  /** @type {Answer} */
  const response = await drive(begin, kept);
  if ("x-asset" in response.headers) {
    return env.ASSETS.fetch(new Request(new URL(response.headers["x-asset"], url)));
  }
  if (response.cost) {
    response.headers["d1-round-trips"] = String(kept.roundTrips);
    response.headers["d1-rows-read"] = String(kept.rowsRead);
    response.headers["d1-rows-written"] = String(kept.rowsWritten);
  }
  const text = response.body.map((piece) =>
    typeof piece === "number" ? kept.texts[piece] : piece,
  );
  const empty = response.status === 204;
  return new Response(empty ? null : text.join(""), {
    status: response.status,
    headers: response.headers,
  });
}

// How the runtime calls a handler that it takes for a Python function (Pyodide 314's protocol;
// workerd 1.20261117, 2026-11-22): being called so spares each request a call into Python.
serve.callWithOptions = (/** @type {any} */ _options, /** @type {Request} */ request) =>
  serve(request);
serve.callRelaxed = serve;

/** @returns {Kept} */
function newKept() {
  return { texts: [], roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
}

/**
 * Run a task to its result. A step that has a result beside its effect holds if the effect
 * succeeds; if not, the task begins again and is told of the failure (see Runner).
 * @param {(failure: string) => string} begin
 * @param {Kept} kept
 */
async function drive(begin, kept) {
  /** @type {Step} */
  let step = JSON.parse(begin(""));
  while (step.task !== undefined || step.batch !== undefined) {
    const answer = await perform(step, kept);
    if (step.task !== undefined) {
      step = JSON.parse(python.resume(step.task, JSON.stringify(answer)));
    } else if (answer.error === undefined && !kept.texts.includes(null)) {
      break;
    } else {
      step = JSON.parse(begin(answer.error ?? "no row"));
      kept.texts = [];
    }
  }
  return step.done;
}

/**
 * As `drive`, for Python: from the task's first step to the result as JSON text.
 * @param {string} text
 */
export async function run(text) {
  return JSON.stringify(await drive(() => text, newKept()));
}

/**
 * @param {Step} step
 * @param {Kept} kept
 * @returns {Promise<{ outcomes?: unknown[], error?: string }>}
 */
async function perform(step, kept) {
  try {
    if (step.batch) return { outcomes: await runBatch(env.DB, step.batch, kept) };
    await askEngine(step.engine ?? []);
    return {};
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * @param {D1Database} database
 * @param {Statement[]} statements
 * @param {Kept} kept
 */
async function runBatch(database, statements, kept) {
  for (const [, parameters] of statements) parameters.forEach(refuseLongText);
  kept.roundTrips += 1;
  const results = await database.batch(
    statements.map(([sql, parameters]) => database.prepare(sql).bind(...parameters)),
  );
  return results.map(({ results: rows, meta }, index) => {
    kept.rowsRead += meta.rows_read;
    kept.rowsWritten += meta.rows_written;
    const text = rows.length === 0 ? null : Object.values(/** @type {any} */ (rows[0]))[0];
    refuseLongText(text);
    if (!statements[index][2]) return [text, meta.changes];
    const handle = kept.texts.push(text) - 1;
    return [text === null ? null : handle, meta.changes];
  });
}

/**
 * D1 on Cloudflare's network holds no longer text; workerd's own SQLite does. Refused here with
 * D1's words, so that what passes in development passes there. (There a write whose answer is
 * too long is rolled back; here it has been done.)
 * @param {unknown} value
 */
function refuseLongText(value) {
  // One UTF-16 unit is at most three bytes of UTF-8: most texts need no measuring.
  if (typeof value !== "string" || value.length * 3 <= python.maxTextBytes) return;
  if (new TextEncoder().encode(value).byteLength > python.maxTextBytes) {
    throw new Error("D1_ERROR: string or blob too big: SQLITE_TOOBIG");
  }
}

/** @param {string[]} request binding, method, instance id and what the method takes */
async function askEngine([binding, method, id, ...rest]) {
  const workflow = env[binding];
  if (workflow === undefined) throw new Error(`no binding ${binding}`);
  if (method === "create") {
    try {
      await workflow.create({ id, params: JSON.parse(rest[0]) });
    } catch (error) {
      // An id the engine has is an instance it was asked for before.
      if (!/already exists/i.test(String(error))) throw error;
    }
    return;
  }
  const instance = await workflow.get(id);
  if (method === "sendEvent") {
    await instance.sendEvent({ type: rest[0], payload: JSON.parse(rest[1]) });
  } else {
    await instance[method]();
  }
}

/**
 * The body as text; where it cannot be had, what the problem is.
 * @param {Request} request
 * @param {number} maxBytes
 */
async function readBody(request, maxBytes) {
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
