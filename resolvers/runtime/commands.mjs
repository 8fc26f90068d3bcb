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
 * @typedef {{ outcomes?: Outcome[], results?: unknown[], error?: string }} Result
 *
 * @typedef {object} Task
 * @property {(failure: string) => string} begin runs Python to the task's first command; takes the
 *   result of that command if it failed although the task assumed its success
 * @property {(task: number, result: string) => string} resume continues in Python after a command
 *
 * @typedef {{ batches: import("./batches.mjs").Settings, engine: import("./engine.mjs").Settings,
 *   notifications: import("./notifications.mjs").Settings }} Settings
 */

/** The members of an outcome that has the size of its text. */
const OPAQUE_LENGTH = 3;

/** @param {Settings} settings data that crosses from Python (SETTINGS in settings.py) */
export function configure({ batches, engine, notifications }) {
  configureBatches(batches);
  configureEngine(engine);
  configureNotifications(notifications);
}

/** @returns {Execution} */
export function newExecution() {
  return { texts: [], roundTrips: 0, statements: 0, rowsRead: 0, rowsWritten: 0 };
}

/**
 * Run a task to its return value. The value of a step that also has a command is valid if the command
 * succeeds; otherwise the task begins again with the command's result (see Runner).
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
      if (hasSucceeded(result)) break;
      step = JSON.parse(python.begin(JSON.stringify(result)));
      execution.texts = [];
    }
  }
  return step.done;
}

/**
 * True if a batch that was expected to succeed has: it has a handle for each opaque text. Python names
 * the failure otherwise (see refuse_absent).
 * @param {Result} result
 */
function hasSucceeded({ error, outcomes = [] }) {
  if (error !== undefined) return false;
  return outcomes.every((outcome) => outcome.length < OPAQUE_LENGTH || outcome[0] !== null);
}

/**
 * Join pieces to one text.
 * @param {(string | number)[]} pieces texts, and numbers of texts of an execution
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
