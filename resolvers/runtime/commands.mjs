// Performs the commands that Python's coroutines suspend on (see commands.py): batches of D1 and
// requests to the engine. The texts that SQLite makes stay on this side.

import { configure as configureBatches, runBatch } from "./batches.mjs";
import { configure as configureEngine, sendRequests } from "./engine.mjs";
import { configure as configureNotifications } from "./notifications.mjs";

/**
 * A step of a task (see Runner in runner.py): a command, the task's return value, or both.
 * @typedef {{ task?: number, batch?: Statement[], writes?: boolean,
 *   engine?: import("./engine.mjs").Requests, done?: any }} Step
 *
 * @typedef {import("./batches.mjs").Statement} Statement
 * @typedef {import("./batches.mjs").Outcome} Outcome
 * @typedef {import("./batches.mjs").Execution} Execution
 * @typedef {{ outcomes?: Outcome[], results?: unknown[], error?: string, sizes?: number[] }} Result
 *
 * @typedef {object} Task
 * @property {(failure: string) => string} begin runs Python to the task's first command; takes the
 *   result of that command if the task assumed that it succeeds and it did not
 * @property {(task: number, result: string) => string} resume runs Python on from a command
 *
 * @typedef {{ batches: import("./batches.mjs").Settings, engine: import("./engine.mjs").Settings,
 *   notifications: import("./notifications.mjs").Settings }} Settings
 */

/** @param {Settings} settings data that crosses from Python (SETTINGS in settings.py) */
export function configure({ batches, engine, notifications }) {
  configureBatches(batches);
  configureEngine(engine);
  configureNotifications(notifications);
}

/** @returns {Execution} */
export function newExecution() {
  return { texts: [], roundTrips: 0, rowsRead: 0, rowsWritten: 0 };
}

/**
 * Run a task to its return value. The value of a step that also has a command is valid if the command
 * succeeds; if not, the task begins again with the failure (see Runner).
 * @param {Task} python
 * @param {Execution} execution
 */
export async function runTask(python, execution) {
  /** @type {Step} */
  let step = JSON.parse(python.begin(""));
  while (step.task !== undefined || step.batch !== undefined) {
    const result = await perform(step, execution);
    if (step.task !== undefined) {
      step = JSON.parse(python.resume(step.task, JSON.stringify(result)));
    } else {
      const failure = failureOf(result);
      if (!failure) break;
      step = JSON.parse(python.begin(JSON.stringify(failure)));
      execution.texts = [];
    }
  }
  return step.done;
}

/**
 * Name the failure of a batch that was expected to succeed: an error, no row, or a text too long.
 * @param {Result} result
 * @returns {Result | undefined}
 */
function failureOf({ error, outcomes = [] }) {
  if (error !== undefined) return { error };
  const opaque = outcomes.filter(({ length }) => length === 3);
  const sizes = opaque.map(([, , size]) => /** @type {number} */ (size));
  if (opaque.every(([text]) => text !== null)) return undefined;
  return sizes.includes(0) ? { error: "no row" } : { sizes };
}

/**
 * Join pieces to one text.
 * @param {(string | number)[]} pieces texts, and numbers of the texts of an execution
 * @param {Execution["texts"]} texts
 */
export function join(pieces, texts) {
  return pieces.map((piece) => (typeof piece === "number" ? texts[piece] : piece)).join("");
}

/**
 * @param {Step} step
 * @param {Execution} execution
 * @returns {Promise<Result>}
 */
async function perform(step, execution) {
  try {
    if (step.engine) return { results: await sendRequests(step.engine) };
    return { outcomes: await runBatch(step.batch ?? [], execution, { writes: step.writes }) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
