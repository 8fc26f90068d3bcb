/** Timers, independent of the runtime's types. */

export type Timer = ReturnType<typeof setTimeout>;

/** Cancel a timer, if there is one. */
export function cancel(timer: Timer | undefined): void {
  if (timer !== undefined) clearTimeout(timer);
}

// Runtimes treat a longer time as zero.
const LONGEST_MS = 2_147_483_647;

/** Call a function after a delay; never if the delay exceeds a timer's limit (24 days). */
export function after(delayMs: number, call: () => void): Timer | undefined {
  return delayMs > LONGEST_MS ? undefined : setTimeout(call, delayMs);
}

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 15_000;

/** Milliseconds before the next try, after so many failures in a row, from 0. */
export function backoff(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** failures, MAX_RETRY_MS);
}

/** Wait for any length of time. */
export async function wait(delayMs: number): Promise<void> {
  for (let left = delayMs; left > 0; left -= LONGEST_MS) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, LONGEST_MS)));
  }
}
