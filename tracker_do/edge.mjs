// The functions of the tracker that the runtime calls.
//
// Frames are joined in JavaScript: Python sees neither the texts that SQLite made nor the single
// sockets they are sent to. What must survive eviction is stored, in the sockets' attachments or in
// SQLite, before anything that follows from it is sent; the runtime holds messages back until SQLite's
// writes are durable.

import { asPythonHandler } from "../resolvers/runtime/handlers.mjs";
import { Shard } from "./shard.mjs";

export { install } from "./python.mjs";

/**
 * Open a shard. Its handlers have the form in which the runtime calls Python functions.
 * @param {DurableObjectState} ctx
 */
export function open(ctx) {
  const shard = new Shard(ctx);
  return {
    onMessage: asPythonHandler((socket, data) => shard.onMessage(socket, data)),
    onClose: asPythonHandler((socket, code, reason) => shard.onClose(socket, code, reason)),
    onError: asPythonHandler((socket) => shard.onClose(socket)),
    onAlarm: asPythonHandler(() => shard.onAlarm()),
    accept: (/** @type {boolean} */ isBound) => shard.accept(isBound),
    notify: asPythonHandler(async (/** @type {string | undefined} */ prefetched) => {
      const prefetch = await shard.notify(prefetched ? JSON.parse(prefetched) : undefined);
      return prefetch && JSON.stringify(prefetch);
    }),
    status: () => shard.status(),
  };
}
