// One Worker in miniflare, with the options that every local run shares: `make serve`, the tests
// and the benchmarks.

import { join } from "node:path";
import { ROOT } from "./config.mjs";

process.env.MINIFLARE_WORKERD_PATH ??= join(ROOT, ".flowflare", "workerd");

/**
 * Start `worker`; await the result's `ready` before anything else.
 * @param {any} worker as `readWorker` gives it, or one of the same form
 * @param {{ port: number, state: string, beside?: any[] }} options port 0 takes any free one;
 *   `beside` are Workers that no request reaches
 */
export async function startMiniflare(worker, { port, state, beside = [] }) {
  const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = await import("miniflare");
  return new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port,
      log: new Log(LogLevel.WARN),
      logRequests: false,
      // No look-up of the request.cf of a real request: it goes to the network.
      cf: false,
      unsafeTriggerHandlers: true,
      resourcePersistencePath: join(state, "v3"),
      workers: [worker, ...beside],
    }),
  );
}
