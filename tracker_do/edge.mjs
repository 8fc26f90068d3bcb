// The tracker as the runtime calls it.
//
// Frames are joined on this side: Python never sees the texts that SQLite made, nor one socket
// after the other. What must survive eviction is kept before anything that follows from it is
// sent: in the sockets' attachments or in SQLite, where the runtime holds messages back until it is
// durable.

import { Shard } from "./shard.mjs";

export { install } from "./python.mjs";

/**
 * A shard, its handlers in the form in which the runtime takes them for Python's.
 * @param {DurableObjectState} ctx
 */
export function open(ctx) {
  const shard = new Shard(ctx);
  return {
    message: handler((socket, data) => shard.message(socket, data)),
    closed: handler((socket, code, reason) => shard.closed(socket, code, reason)),
    broken: handler((socket) => shard.closed(socket)),
    alarm: handler(() => shard.alarm()),
    accept: (/** @type {boolean} */ bound) => shard.accept(bound),
    poke: handler(async (/** @type {string | undefined} */ carried) => {
      const offer = await shard.poke(carried ? JSON.parse(carried) : undefined);
      return offer && JSON.stringify(offer);
    }),
    status: () => shard.status(),
  };
}

/**
 * See `serve` in schema/edge.mjs.
 * @param {(...given: any[]) => unknown} handle
 */
function handler(handle) {
  return Object.assign((/** @type {any[]} */ ...given) => handle(...given), {
    callWithOptions: (/** @type {unknown} */ _options, /** @type {any[]} */ ...given) =>
      handle(...given),
    callRelaxed: handle,
  });
}
