/** Reports from outside of a run, which are sent at once. */

import { connectionOf } from "./connection.ts";
import type { FlowflareEnv } from "./connection.ts";
import { describe } from "./failures.ts";
import type { Known } from "./plan.ts";
import { Sender } from "./sender.ts";
import type { Update } from "./updates.ts";
import { warn } from "./warnings.ts";

export interface Reporter {
  /** Send an update, without waiting for it. */
  add(update: Update): void;
  /** Wait for the updates so far, at most five seconds; true if all of them are recorded. */
  close(): Promise<boolean>;
}

const TIME_LIMIT_MS = 5000;

/**
 * A reporter that never throws: what goes wrong is one line of the log, which begins with
 * `subject`. `known` is what the service is assumed to know already.
 */
export function reporterOf(env: FlowflareEnv, subject: string, known: Known): Reporter {
  let sender: Sender;
  try {
    sender = new Sender(connectionOf(env, TIME_LIMIT_MS), async () => known);
  } catch (error) {
    warn(`${subject} is not tracked: ${describe(error).message}`);
    return { add() {}, close: async () => false };
  }
  return {
    add(update) {
      sender.add({ updates: [update] }, { soon: true });
    },
    async close() {
      await sender.flush(TIME_LIMIT_MS);
      const undelivered = sender.close();
      if (undelivered) warn(`${subject}: ${undelivered}`);
      return undelivered === undefined;
    },
  };
}
