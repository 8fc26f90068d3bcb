// Starts miniflare with the options that `make serve`, tests and benchmarks share.

import { join } from "node:path";
import { ROOT } from "./config.mjs";

/** The folder of the local data, unless another one is given. */
export const DEFAULT_STATE = process.env.FLOWFLARE_STATE || join(ROOT, ".flowflare", "state");

process.env.MINIFLARE_WORKERD_PATH ??= join(ROOT, ".flowflare", "workerd");

/**
 * Start `worker`. Await `ready` of the result before using it.
 * @param {any} worker in the form of `readWorker`
 * @param {{ port: number, state: string, beside?: any[] }} options port 0 takes any free port;
 *   `beside` are Workers that the port does not reach
 */
export async function startMiniflare(worker, { port, state, beside = [] }) {
  const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = await import("miniflare");
  return new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port,
      log: new Log(LogLevel.WARN),
      logRequests: false,
      // Otherwise miniflare downloads a sample of request.cf.
      cf: false,
      unsafeTriggerHandlers: true,
      resourcePersistencePath: join(state, "v3"),
      workers: [worker, ...beside],
    }),
  );
}
