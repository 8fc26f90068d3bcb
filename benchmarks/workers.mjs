// The Workers under measurement, as options for miniflare: ours as it is staged, and peers
// written in JavaScript.

import { join } from "node:path";
import { build } from "esbuild";
import { ROOT, readConfig, readWorker } from "../scripts/config.mjs";

export const KEY = "key-of-the-benchmark";

/**
 * The staged Worker without its static files: miniflare answers for a Worker that has them through
 * one more Worker, which costs each request 0.4 ms on any side.
 */
export function stagedWorker() {
  const { assets: _, ...worker } = readWorker({ FLOWFLARE_API_KEY: KEY });
  return worker;
}

/**
 * A JavaScript Worker as one module, for the runtime and date that ours has.
 * @param {string} entry from the project's root
 * @returns {Promise<any>} without bindings to databases or objects
 */
export async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, entry)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["browser", "module", "main"],
    // graphql checks more, and slower, where it does not know that this is production.
    define: { "process.env.NODE_ENV": '"production"' },
    minify: true,
    logLevel: "warning",
  });
  return {
    name: "peer",
    compatibilityDate: readConfig().compatibility_date,
    modules: [{ type: "ESModule", path: "worker.mjs", contents: outputFiles[0].text }],
    bindings: { FLOWFLARE_API_KEY: KEY },
  };
}
