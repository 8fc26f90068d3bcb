// Sends GraphQL requests one after the other over one connection that stays open.

import { Agent, request } from "node:http";

/**
 * @typedef {import("node:http").IncomingHttpHeaders} Headers
 * @typedef {{ status: number, headers: Headers, text: string }} Answer
 */

export class Client {
  #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #options;

  /**
   * @param {URL} url of the server
   * @param {string} key
   */
  constructor(url, key) {
    this.#options = {
      host: url.hostname,
      port: url.port,
      path: "/graphql",
      method: "POST",
      agent: this.#agent,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
      },
    };
  }

  /**
   * @param {string} body
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>}
   */
  send(body, headers = {}) {
    const bytes = Buffer.from(body);
    const all = { ...this.#options.headers, "content-length": bytes.length, ...headers };
    return new Promise((resolve, reject) => {
      const sent = request({ ...this.#options, headers: all }, (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        });
      });
      sent.on("error", reject);
      sent.end(bytes);
    });
  }

  close() {
    this.#agent.destroy();
  }
}
