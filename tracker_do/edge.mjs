// The tracker as the runtime calls it.
//
// Frames are joined on this side: Python never sees the texts that SQLite made, nor one socket
// after the other. What must survive eviction is stored before anything that follows from it is
// sent: in the sockets' attachments or in SQLite, where the runtime holds messages back until it is
// durable.

import { asPythonHandler } from "../resolvers/runtime/handlers.mjs";
import { Shard } from "./shard.mjs";

export { install } from "./python.mjs";

/**
 * A shard, its handlers in the form in which the runtime takes them for Python's.
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
