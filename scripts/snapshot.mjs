// Starts a Worker once, so that workerd writes its memory snapshot. snapshot.py sets the flags for
// this through MINIFLARE_WORKERD_PATH.
//
//   node scripts/snapshot.mjs WORKER.py

import { dirname, join } from "node:path";
import { readFileSync } from "node:fs";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { DEVELOPMENT_FLAG, ROOT, readConfig, readVendored } from "./config.mjs";

const worker = process.argv[2];
const config = readConfig();
// The name must differ from every module of the project: the snapshot contains this module as
// imported, so one named `worker` would be used instead of the real one.
const main = join(dirname(join(ROOT, config.main)), "flowflare_warm.py");
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    log: new Log(LogLevel.WARN),
    logRequests: false,
    workers: [
      {
        name: "warm",
        compatibilityDate: config.compatibility_date,
        compatibilityFlags: [...config.compatibility_flags, DEVELOPMENT_FLAG],
        rootPath: ROOT,
        modulesRoot: dirname(main),
        modules: [
          { type: "PythonModule", path: main, contents: readFileSync(worker, "utf8") },
          ...readVendored(dirname(main)),
        ],
      },
    ],
  }),
);
const response = await fetch(await miniflare.ready);
const text = await response.text();
await miniflare.dispose();
if (text !== "warm") {
  console.error(`The warm worker answered ${response.status}: ${text}`);
  process.exit(1);
}
