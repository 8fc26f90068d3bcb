// The service as `make serve` runs it, in a process group of its own that can be killed.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "../../scripts/config.mjs";
import { residentBytes, workerdProcesses } from "../fanout/processes.mjs";
import { KEY } from "../workers.mjs";

const READY = "Flowflare is ready: ";
const START_DEADLINE_MS = 60_000;
const SAMPLE_MS = 200;
const LOG_LINES = 50;

export class Server {
  /** Of the newest workerd; the greatest of all since it was last read. */
  peakBytes = 0;
  url = new URL("http://127.0.0.1");
  #folder;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;
  /** @type {number | undefined} */
  #workerd;
  /** @type {NodeJS.Timeout | undefined} */
  #sampling;
  /** @type {string[]} */
  #log = [];

  /** @param {string} folder of its data */
  constructor(folder) {
    this.#folder = folder;
  }

  static async start() {
    const server = new Server(await mkdtemp(join(tmpdir(), "flowflare-soak-")));
    try {
      await server.run();
    } catch (error) {
      await server.stop();
      throw error;
    }
    server.#sampling = setInterval(() => server.residentBytes(), SAMPLE_MS);
    return server;
  }

  /** Start it, on the port and the data that it had. */
  async run() {
    const port = this.url.port || "0";
    const options = ["--port", port, "--state", this.#folder, "--var", `FLOWFLARE_API_KEY:${KEY}`];
    const child = spawn(process.execPath, ["scripts/serve.mjs", ...options], {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.url = await new Promise((resolve, reject) => {
      const fail = (/** @type {string} */ why) =>
        reject(new Error(`The server ${why}:\n${this.#log.join("\n")}`));
      const timer = setTimeout(() => fail("did not start in time"), START_DEADLINE_MS);
      child.on("exit", () => fail("has ended"));
      for (const output of [child.stdout, child.stderr]) {
        createInterface({ input: output }).on("line", (line) => {
          this.#log = [...this.#log, line].slice(-LOG_LINES);
          if (!line.startsWith(READY)) return;
          clearTimeout(timer);
          resolve(new URL(line.slice(READY.length)));
        });
      }
    });
    [this.#workerd] = workerdProcesses(child.pid);
  }

  /** The last lines that it printed. */
  get log() {
    return this.#log.join("\n");
  }

  /** @returns {number} of workerd; 0 where it is gone, or there is no /proc */
  residentBytes() {
    try {
      const bytes = this.#workerd === undefined ? 0 : residentBytes(this.#workerd);
      this.peakBytes = Math.max(this.peakBytes, bytes);
      return bytes;
    } catch {
      return 0;
    }
  }

  /** Kill the server and workerd in the middle of what they do. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Kill it, and remove its data. */
  async stop() {
    clearInterval(this.#sampling);
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const child = this.#process;
    this.#process = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    process.kill(-child.pid, signal);
    await ended;
  }
}
