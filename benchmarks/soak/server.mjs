// Runs the server of `make serve` in a process group of its own, so that it can be killed.

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
  /** The greatest resident size of workerd since the start. */
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

  /** @param {string} folder for the data */
  constructor(folder) {
    this.#folder = folder;
  }

  static async start() {
    const server = new Server(await mkdtemp(join(tmpdir(), "flowflare-soak-")));
    try {
      await server.spawn();
    } catch (error) {
      await server.stop();
      throw error;
    }
    server.#sampling = setInterval(() => server.residentBytes(), SAMPLE_MS);
    return server;
  }

  /** Start the process. After a kill it uses the same port and data again. */
  async spawn() {
    const port = this.url.port || "0";
    const options = ["--port", port, "--state", this.#folder, "--var", `FLOWFLARE_API_KEY:${KEY}`];
    const child = spawn(process.execPath, ["scripts/serve.mjs", ...options], {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.url = await new Promise((resolve, reject) => {
      const fail = (/** @type {string} */ reason) =>
        reject(new Error(`The server ${reason}. Its log:\n${this.log}`));
      const seconds = START_DEADLINE_MS / 1000;
      const timer = setTimeout(() => fail(`did not start in ${seconds} s`), START_DEADLINE_MS);
      child.on("exit", () => fail("exited"));
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

  /** The last lines of output. */
  get log() {
    return this.#log.join("\n");
  }

  /** @returns {number} the size of workerd; 0 if it has ended, or there is no /proc */
  residentBytes() {
    try {
      const bytes = this.#workerd === undefined ? 0 : residentBytes(this.#workerd);
      this.peakBytes = Math.max(this.peakBytes, bytes);
      return bytes;
    } catch {
      return 0;
    }
  }

  /** Kill the server and workerd without warning. */
  async kill() {
    const child = this.#process;
    this.#process = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    process.kill(-child.pid, "SIGKILL");
    await ended;
  }

  /** Kill the server and remove its data. */
  async stop() {
    clearInterval(this.#sampling);
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
