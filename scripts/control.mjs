// Commands from tests to a running server: lines of JSON on standard input and output.
//
// Request:  {"id": 1, "call": "evict", "class": "WorkflowTracker", "name": "…"}
//           {"id": 2, "call": "query", "binding": "DB", "sql": "…", "params": []}
//           {"id": 3, "call": "object", "binding": "TRACKER", "name": "…", "method": "status"}
//           {"id": 4, "call": "fetch", "worker": "…", "path": "/", "method": "GET", "body": null}
//           {"id": 5, "call": "scheduled", "worker": "…", "cron": "*/5 * * * *", "time": null}
//           {"id": 6, "call": "bound", "request": {"method": "POST", "headers": {}, "body": "…"}}
// Response: control: {"id": 1, "result": …}   or   control: {"id": 1, "error": "…"}

import { createInterface } from "node:readline";

/** @typedef {Record<string, any>} Request */

const CONTROL_WORKER = "control";

/**
 * Create a Worker that calls Durable Objects of `worker` and its entrypoint for other Workers, and
 * queries the D1 databases of `worker` and `others`.
 *
 * miniflare's own proxies are not used: an object cannot be evicted while Node keeps a proxy of it,
 * and a query blocks Node (see `migrateAll`).
 * @param {any} worker
 * @param {any[]} others
 */
export function createControlWorker(worker, others) {
  const durableObjects = Object.fromEntries(
    Object.entries(worker.durableObjects).map(([binding, object]) => [
      binding,
      { ...object, scriptName: worker.name },
    ]),
  );
  const d1Databases = Object.fromEntries(
    [worker, ...others].flatMap(({ name, d1Databases: databases }) =>
      Object.entries(databases).map(([binding, database]) => [`${name}/${binding}`, database]),
    ),
  );
  const script = `import { WorkerEntrypoint } from "cloudflare:workers";
  // An engine that accepts a start but does not answer for a minute.
  export class SlowEngine extends WorkerEntrypoint {
    create() { return scheduler.wait(60_000); }
  }
  export default {
    async fetch(request, env) {
      const path = new URL(request.url).pathname;
      const { binding, name, method, ...options } = await request.json();
      if (path === "/bound") return Response.json(await bound(env.SERVICE, options));
      if (path === "/query") return query(env[binding], options);
      const answer = await env[binding].get(env[binding].idFromName(name))[method]();
      return Response.json(answer ?? null);
    },
  };
  async function query(database, { sql, params }) {
    try {
      const { results, meta } = await database.prepare(sql).bind(...params).all();
      return Response.json({ results, rowsRead: meta.rows_read });
    } catch (error) {
      return new Response(error.message, { status: 500 });
    }
  }
  async function bound(service, { request, messages, until }) {
    const response = await service.fetch("https://flowflare/graphql", request);
    const { status, webSocket } = response;
    if (webSocket) return { status, messages: await exchange(webSocket, messages, until) };
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (until && text.includes(until)) break;
    }
    return { status, text };
  }
  function exchange(socket, messages, until) {
    const received = [];
    return new Promise((done) => {
      const end = () => done(received);
      socket.addEventListener("message", ({ data }) => {
        received.push(data);
        if (until && data.includes(until)) end();
      });
      socket.addEventListener("close", ({ code }) => { received.push(code); end(); });
      socket.accept();
      for (const message of messages) socket.send(message);
    });
  }`;
  return {
    name: CONTROL_WORKER,
    compatibilityDate: worker.compatibilityDate,
    modules: [{ type: "ESModule", path: "control.mjs", contents: script }],
    d1Databases,
    durableObjects,
    serviceBindings: { SERVICE: { name: worker.name, entrypoint: "FlowflareService" } },
  };
}

/**
 * Bind the engine that does not answer, so that the variable WORKFLOWS can name it.
 * @param {any} worker the service
 */
export function bindSlowEngine(worker) {
  worker.serviceBindings = {
    ...worker.serviceBindings,
    SLOW_ENGINE: { name: CONTROL_WORKER, entrypoint: "SlowEngine" },
  };
}

/**
 * Answer requests until standard input ends.
 * @param {any} miniflare
 * @param {string} worker the Worker's name
 */
export async function serveControl(miniflare, worker) {
  const callControlWorker = async (/** @type {string} */ path, /** @type {object} */ options) => {
    const target = await miniflare.getWorker(CONTROL_WORKER);
    const body = JSON.stringify(options);
    const response = await target.fetch(`http://control${path}`, { method: "POST", body });
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  };
  /** @type {Record<string, (request: Request) => Promise<unknown>>} */
  const calls = {
    // Evict a Durable Object from memory; its hibernating sockets stay open. True if it was there.
    evict: async ({ class: className, name }) => {
      const options = { name, webSockets: "hibernate" };
      try {
        await miniflare.unsafeEvictDurableObject(worker, className, options);
        return true;
      } catch (error) {
        if (/not currently running/.test(String(error))) return false;
        throw error;
      }
    },
    // Call a method of a Durable Object, without arguments.
    object: ({ binding, name, method }) => callControlWorker("/object", { binding, name, method }),
    // Send a request to a Worker by its name; returns the status and the text.
    fetch: async ({ worker: name, path, method, headers, body }) => {
      const target = await miniflare.getWorker(name);
      const response = await target.fetch(`http://${name}${path}`, { method, headers, body });
      return { status: response.status, text: await response.text() };
    },
    // Run a Worker's cron handler to its end.
    scheduled: async ({ worker: name, cron, time }) => {
      const target = await miniflare.getWorker(name);
      const scheduledTime = time === null ? undefined : new Date(time);
      const { outcome } = await target.scheduled({ cron, scheduledTime });
      return outcome;
    },
    // Send a request to /graphql over a service binding. If it opens a socket, `messages` are sent.
    // A socket or an endless body is read until the text `until` has arrived.
    bound: ({ request, messages, until }) =>
      callControlWorker("/bound", { request, messages, until }),
    // Run one statement on a D1 database; returns its rows, and how many rows D1 has read.
    query: ({ worker: name, binding, sql, params }) =>
      callControlWorker("/query", { binding: `${name ?? worker}/${binding}`, sql, params }),
  };
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    const request = JSON.parse(line);
    try {
      const call = calls[request.call];
      if (!call) {
        const known = Object.keys(calls).join(", ");
        throw new Error(`call must be one of ${known}, not ${JSON.stringify(request.call)}.`);
      }
      const result = await call(request);
      console.log(`control: ${JSON.stringify({ id: request.id, result })}`);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      console.log(`control: ${JSON.stringify({ id: request.id, error: message })}`);
    }
  }
}
