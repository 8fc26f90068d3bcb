/** What went wrong in a workflow: as it is recorded, and what it means for the next attempt. */

/** An error as the service records it. */
export interface Failure {
  name: string;
  message: string;
  stack?: string;
}

// A run that is paused, restarted or terminated ends with the engine's own exception at what it
// awaits (workerd, 2026-11): who asked for that records it, and nothing has failed.
const ENGINE_STOPS = "Aborting engine:";
const PAUSE = `${ENGINE_STOPS} User called pause`;

// One more than the service keeps of them (docs/limits.md), so that it marks what it cuts.
const MAX_MESSAGE = 8193;
const MAX_STACK = 32_769;

/** Whether this is the engine stopping the run, no failure. */
export function isEngineStop(error: unknown): boolean {
  return messageOf(error).includes(ENGINE_STOPS);
}

/** Whether that stop is a pause. */
export function isPause(error: unknown): boolean {
  return messageOf(error).includes(PAUSE);
}

/** Whether the engine does not try again after this: it knows a `NonRetryableError` by its name. */
export function isNonRetryable(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { name, nonRetryable } = error as { name?: unknown; nonRetryable?: unknown };
  return (
    name === "NonRetryableError" ||
    nonRetryable === true ||
    messageOf(error).startsWith("NonRetryableError")
  );
}

/** An error, or whatever else was thrown, as it is recorded. */
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

// On its way through the engine an error may lose its class: its name is then before the message.
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
