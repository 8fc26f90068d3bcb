// The functions of the follower that the runtime calls.

import { env } from "cloudflare:workers";
import { asPythonHandler } from "../resolvers/runtime/handlers.mjs";
import { Follower } from "./follower.mjs";
import * as history from "./history.mjs";

export { install } from "./python.mjs";

/** The variable SCRUB as JSON text. */
export const scrub = () => JSON.stringify(/** @type {any} */ (env).SCRUB ?? null);

/**
 * Open a shard. Its handlers have the form in which the runtime calls Python functions.
 * @param {DurableObjectState} ctx
 */
export function open(ctx) {
  const follower = new Follower(ctx);
  return {
    follow: asPythonHandler((workflow, binding, id, toEnd) =>
      follower.follow({ workflow, binding, id }, toEnd),
    ),
    onAlarm: asPythonHandler(() => follower.onAlarm()),
    status: () => follower.status(),
  };
}

/** The method of the entrypoint that reads histories. */
export const openHistory = asPythonHandler(history.openHistory);
