// Performs the effects that Python's coroutines suspend on (see effects.py): batches of D1, calls of
// the engine, and the pokes that follow a write. The texts that SQLite makes stay here.

import { env as bindings } from "cloudflare:workers";
import { askEngine, configure as configureEngine } from "./engine.mjs";
import { isLonger } from "./json_text.mjs";
import { configure as configurePokes, firstValue, write } from "./pokes.mjs";

/**
 * What Python asks for, or its result (see Runner in effects.py).
 * @typedef {[sql: string, parameters: (string | number | null)[], opaque: boolean]} Statement
 * @typedef {{ task?: number, batch?: Statement[], writes?: boolean,
 *   engine?: import("./engine.mjs").Calls, done?: any }} Step
 * @typedef {{ texts: (string | null)[], roundTrips: number, rowsRead: number,
 *   rowsWritten: number }} Kept what one task has kept on this side, and what it has cost
 * @typedef {[text: unknown, changes: number, size?: number]} Outcome of a statement (see database.py)
 * @typedef {{ outcomes?: Outcome[], answers?: unknown[], error?: string, sizes?: number[] }} Answer
 * @typedef {object} Task
 * @property {(failure: string) => string} begin Python, to the task's first effect; where that
 *   was expected to succeed and did not, with the answer to it
 * @property {(task: number, answer: string) => string} resume Python, from there
 */

/** @type {Record<string, any>} */
const env = bindings;

/**
 * Data that crosses from Python (SETTINGS in effects.py).
 * @typedef {import("./pokes.mjs").Settings & { textBytes: number, tooBig: string,
 *   engine: import("./engine.mjs").Settings }} Settings
 * @type {Settings}
 */
let settings;

/** @param {Settings} given */
export function configure(given) {
  settings = given;
  configureEngine(given.engine);
  configurePokes(given);
}

/** @returns {Kept} */
export function newKept() {
  return { texts: [], roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
}

/**
 * Run a task to its result. A step that has a result beside its effect holds if the effect
 * succeeds; if not, the task begins again and is told of the failure (see Runner).
 * @param {Task} python
 * @param {Kept} kept
 */
export async function drive(python, kept) {
  /** @type {Step} */
  let step = JSON.parse(python.begin(""));
  while (step.task !== undefined || step.batch !== undefined) {
    const answer = await perform(step, kept);
    if (step.task !== undefined) {
      step = JSON.parse(python.resume(step.task, JSON.stringify(answer)));
    } else {
      const failure = failureOf(answer);
      if (!failure) break;
      step = JSON.parse(python.begin(JSON.stringify(failure)));
      kept.texts = [];
    }
  }
  return step.done;
}

/**
 * True for a text that was too long for its statement to load it.
 * @param {Outcome} outcome
 */
export const isOversized = ([text, , size]) => text === null && Boolean(size);

/**
 * Say why a batch is not what was expected of it: it failed, found no row, or a text too long.
 * @param {Answer} answer
 * @returns {Answer | undefined}
 */
function failureOf({ error, outcomes = [] }) {
  if (error !== undefined) return { error };
  const opaque = outcomes.filter(({ length }) => length === 3);
  const sizes = opaque.map(([, , size]) => /** @type {number} */ (size));
  if (opaque.every(([text]) => text !== null)) return undefined;
  return sizes.includes(0) ? { error: "no row" } : { sizes };
}

/**
 * The pieces of an answer as one text.
 * @param {(string | number)[]} pieces text, and numbers of texts that were kept
 * @param {Kept["texts"]} texts
 */
export function join(pieces, texts) {
  return pieces.map((piece) => (typeof piece === "number" ? texts[piece] : piece)).join("");
}

/**
 * Read in one batch, without Python.
 * @param {Statement[]} statements
 * @param {Kept} kept
 * @returns {Promise<Outcome[]>}
 */
export function read(statements, kept) {
  return runBatch(env.DB, statements, false, kept);
}

/**
 * @param {Step} step
 * @param {Kept} kept
 * @returns {Promise<Answer>}
 */
async function perform(step, kept) {
  try {
    if (step.engine) return { answers: await askEngine(step.engine) };
    return { outcomes: await runBatch(env.DB, step.batch ?? [], Boolean(step.writes), kept) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * @param {D1Database} database
 * @param {Statement[]} statements
 * @param {boolean} writes whether subscribers are to hear of what is written
 * @param {Kept} kept
 * @returns {Promise<Outcome[]>}
 */
async function runBatch(database, statements, writes, kept) {
  for (const [, parameters] of statements) parameters.forEach(refuseLongText);
  kept.roundTrips += 1;
  const prepared = statements.map(([sql, parameters]) => database.prepare(sql).bind(...parameters));
  const { results, beside } = writes
    ? await write(database, prepared)
    : { results: await database.batch(prepared), beside: [] };
  for (const { meta } of [...results, ...beside]) {
    kept.rowsRead += meta.rows_read;
    kept.rowsWritten += meta.rows_written;
  }
  return results.map((result, index) => {
    const { changes } = result.meta;
    const text = firstValue(result);
    refuseLongText(text);
    if (!statements[index][2]) return [text, changes];
    // A statement that finds its text too long gives the size instead.
    if (typeof text === "number") return [null, changes, text];
    const handle = kept.texts.push(text) - 1;
    return text === null ? [null, changes, 0] : [handle, changes, text.length];
  });
}

/**
 * D1 on Cloudflare's network holds no longer text; workerd's own SQLite does. Refused here with
 * D1's words, so that what passes in development passes there. (There a write whose answer is
 * too long is rolled back; here it has been done.)
 * @param {unknown} value
 */
function refuseLongText(value) {
  if (typeof value === "string" && isLonger(value, settings.textBytes)) {
    throw new Error(settings.tooBig);
  }
}
