// The tracker as the runtime calls it.
//
// Frames are joined on this side: Python never sees the texts that SQLite made, nor one socket
// after the other. What must survive eviction is execution before anything that follows from it is
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
    message: asPythonHandler((socket, data) => shard.message(socket, data)),
    closed: asPythonHandler((socket, code, reason) => shard.closed(socket, code, reason)),
    broken: asPythonHandler((socket) => shard.closed(socket)),
    alarm: asPythonHandler(() => shard.alarm()),
    accept: (/** @type {boolean} */ bound) => shard.accept(bound),
    notify: asPythonHandler(async (/** @type {string | undefined} */ prefetched) => {
      const offer = await shard.notify(prefetched ? JSON.parse(prefetched) : undefined);
      return offer && JSON.stringify(offer);
    }),
    status: () => shard.status(),
  };
}
