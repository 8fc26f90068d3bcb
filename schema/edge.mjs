// The edge between workerd and Python: reads requests, performs effects, writes responses.
// Python is called with text and answers with text, so nothing is proxied; the texts that
// SQLite makes stay here and are joined into the response (see resolvers/effects.py).

import { env } from "cloudflare:workers";

const VARIABLES = [
  "FLOWFLARE_API_KEY",
  "FLOWFLARE_WRITE_KEY",
  "FLOWFLARE_READ_KEY",
  "ALLOWED_ORIGINS",
  "WORKFLOWS",
];
const HEADERS = ["content-type", "accept", "authorization", "origin"];

/** What Python gives once an isolate: begin(request) and resume(task, answer). */
let python;

/** Keep the two functions that run Python; they outlive the call. */
export function install(begin, resume) {
  python = { begin, resume };
}

/** The variables and secrets that Python needs, as JSON text. */
export function configuration() {
  const found = {};
  for (const name of VARIABLES) {
    const value = env[name];
    found[name] = name === "WORKFLOWS" && typeof value === "string" ? JSON.parse(value) : value;
  }
  return JSON.stringify(found);
}

/** Answer an HTTP request. */
export async function serve(request, maxBodyBytes) {
  const url = request.url;
  const path = url.indexOf("/", 8);
  const query = url.indexOf("?", path);
  const headers = {};
  for (const name of HEADERS) {
    const value = request.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  const { body, problem } =
    request.method === "POST" ? await readBody(request, maxBodyBytes) : { body: "", problem: "" };
  const kept = newKept();
  const step = python.begin(
    request.method,
    query < 0 ? url.slice(path) : url.slice(path, query),
    query < 0 ? "" : url.slice(query + 1),
    JSON.stringify(headers),
    body,
    problem,
  );
  const response = await drive(step, kept);
  if ("x-asset" in response.headers) {
    return env.ASSETS.fetch(new Request(new URL(response.headers["x-asset"], url)));
  }
  if (response.cost) {
    response.headers["d1-round-trips"] = String(kept.roundTrips);
    response.headers["d1-rows-read"] = String(kept.rowsRead);
    response.headers["d1-rows-written"] = String(kept.rowsWritten);
  }
  const text = response.body.map((piece) => (typeof piece === "number" ? kept.texts[piece] : piece));
  const empty = response.status === 204;
  return new Response(empty ? null : text.join(""), {
    status: response.status,
    headers: response.headers,
  });
}

/** What one task has kept on this side, and what it has cost. */
export function newKept() {
  return { texts: [], roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
}

/** Run a task from its first step to its result. */
export async function drive(text, kept) {
  let step = JSON.parse(text);
  while (step.task !== undefined) {
    const answer = await perform(step, kept);
    step = JSON.parse(python.resume(step.task, JSON.stringify(answer)));
  }
  return step.done;
}

/** As `drive`, for Python: the result as JSON text. */
export async function run(text) {
  return JSON.stringify(await drive(text, newKept()));
}

async function perform(step, kept) {
  try {
    if (step.batch) return { outcomes: await runBatch(env.DB, step.batch, kept) };
    await askEngine(step.engine);
    return {};
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}

async function runBatch(database, statements, kept) {
  const results = await database.batch(
    statements.map(([sql, parameters]) => database.prepare(sql).bind(...parameters)),
  );
  kept.roundTrips += 1;
  return results.map(({ results: rows, meta }, index) => {
    kept.rowsRead += meta.rows_read;
    kept.rowsWritten += meta.rows_written;
    if (rows.length === 0) return [null, meta.changes];
    const text = Object.values(rows[0])[0];
    const opaque = statements[index][2];
    return [opaque && text !== null ? kept.texts.push(text) - 1 : text, meta.changes];
  });
}

async function askEngine([binding, method, id, ...rest]) {
  const workflow = env[binding];
  if (workflow === undefined) throw new Error(`no binding ${binding}`);
  if (method === "create") {
    try {
      await workflow.create({ id, params: JSON.parse(rest[0]) });
    } catch (error) {
      // An id the engine has is an instance it was asked for before.
      if (!/already exists/i.test(String(error?.message))) throw error;
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

/** The body as text; where it cannot be had, what the problem is. */
async function readBody(request, maxBytes) {
  const tooLarge = { body: "", problem: "TOO_LARGE" };
  if (Number(request.headers.get("content-length")) > maxBytes) return tooLarge;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    if (request.headers.has("content-length")) {
      return { body: decoder.decode(await request.arrayBuffer()), problem: "" };
    }
    let body = "";
    let bytes = 0;
    for await (const chunk of request.body ?? []) {
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
