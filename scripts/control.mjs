// A line protocol on standard input and output, with which tests reach into a running server.
//
// Request:  {"id": 1, "call": "evict", "class": "WorkflowTracker", "name": "…"}
//           {"id": 2, "call": "query", "binding": "DB", "sql": "…", "params": []}
// Response: control: {"id": 1, "result": …}   or   control: {"id": 1, "error": "…"}

import { createInterface } from "node:readline";

/** @typedef {Record<string, any>} Request */

/**
 * Serve requests until standard input ends.
 * @param {any} miniflare
 * @param {string} worker the Worker's name
 */
export async function serveControl(miniflare, worker) {
  /** @type {Record<string, (request: Request) => Promise<unknown>>} */
  const calls = {
    // Throws a Durable Object out of memory; its hibernating sockets stay open.
    evict: async ({ class: className, name }) => {
      const options = { name, webSockets: "hibernate" };
      await miniflare.unsafeEvictDurableObject(worker, className, options);
      return null;
    },
    // Runs one statement on a D1 database; answers with its rows.
    query: async ({ binding, sql, params }) => {
      const database = await miniflare.getD1Database(binding);
      const { results } = await database.prepare(sql).bind(...params).all();
      return results;
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    const request = JSON.parse(line);
    try {
      const call = calls[request.call];
      if (!call) throw new Error(`There is no call ${JSON.stringify(request.call)}.`);
      const result = await call(request);
      console.log(`control: ${JSON.stringify({ id: request.id, result })}`);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      console.log(`control: ${JSON.stringify({ id: request.id, error: message })}`);
    }
  }
}
