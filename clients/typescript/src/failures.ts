/** Errors of a workflow: their record, and their effect on the next attempt. */

/** An error as the service records it. */
export interface Failure {
  name: string;
  message: string;
  stack?: string;
}

// A run that is paused, restarted or terminated gets the engine's own exception from whatever it
// awaits (workerd, 2026-11). Nothing has failed then, and whoever asked for it records it.
const ENGINE_STOPS = "Aborting engine:";
const PAUSE = `${ENGINE_STOPS} User called pause`;
const RESTART = `${ENGINE_STOPS} User called restart`;

// One more than the service keeps (docs/limits.md), so that it marks the text as cut.
const MAX_MESSAGE = 8193;
const MAX_STACK = 32_769;

/** True if the engine has stopped the run, so that nothing has failed. */
export function isEngineStop(error: unknown): boolean {
  return messageOf(error).includes(ENGINE_STOPS);
}

/** True if the engine has paused the run. */
export function isPause(error: unknown): boolean {
  return messageOf(error).includes(PAUSE);
}

/** True if the engine has ended the run to begin the next one. */
export function isRestart(error: unknown): boolean {
  return messageOf(error).includes(RESTART);
}

/** True if the engine does not retry after this error; it knows `NonRetryableError` by name. */
export function isNonRetryable(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { name, nonRetryable } = error as { name?: unknown; nonRetryable?: unknown };
  return (
    name === "NonRetryableError" ||
    nonRetryable === true ||
    messageOf(error).startsWith("NonRetryableError")
  );
}

/** The record of an error, or of any other value that was thrown. */
export function describe(error: unknown): Failure {
  if (typeof error !== "object" || error === null) {
    return { name: "Error", message: messageOf(error).slice(0, MAX_MESSAGE) };
  }
  const { name: given, stack } = error as { name?: unknown; stack?: unknown };
  const { name, message } = unprefixed(given, messageOf(error));
  return {
    name,
    message: message.slice(0, MAX_MESSAGE),
    ...(typeof stack === "string" && stack !== "" && { stack: stack.slice(0, MAX_STACK) }),
  };
}

// An error may lose its class in the engine; its name then precedes the message.
function unprefixed(given: unknown, message: string): { name: string; message: string } {
  const name = typeof given === "string" && given !== "" ? given : "Error";
  if (message.startsWith(`${name}: `)) return { name, message: message.slice(name.length + 2) };
  const [, prefix, rest] = /^([A-Z]\w*(?:Error|Exception)): ([\s\S]*)$/.exec(message) ?? [];
  if (name !== "Error" || prefix === undefined || rest === undefined) return { name, message };
  return { name: prefix, message: rest };
}

function messageOf(error: unknown): string {
  const message: unknown =
    typeof error === "object" && error !== null ? (error as { message?: unknown }).message : error;
  return typeof message === "string" ? message : String(message);
}
