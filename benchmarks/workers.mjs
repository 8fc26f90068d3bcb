// Options for miniflare of the measured Workers: ours as it is staged, and peers in JavaScript.

import { join } from "node:path";
import { build } from "esbuild";
import { BUNDLE_OPTIONS } from "../scripts/beside.mjs";
import { ROOT, readConfig, readWorker } from "../scripts/config.mjs";

export const KEY = "key-of-the-benchmark";

/**
 * Return the staged Worker without its static files. For a Worker with static files miniflare adds
 * another Worker, which costs each request 0.4 ms on any side.
 */
export function stagedWorker() {
  const { assets: _, ...worker } = readWorker({ FLOWFLARE_API_KEY: KEY });
  return worker;
}

/**
 * Bundle a JavaScript Worker into one module, with the compatibility date of ours.
 * @param {string} entry relative to the project's root
 * @returns {Promise<any>} without bindings of databases and objects
 */
export async function bundle(entry) {
  const { outputFiles } = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: [join(ROOT, entry)],
    // Outside production mode, graphql makes additional checks, which take time.
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
