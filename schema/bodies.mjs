// Bodies of requests, read within their limits.

import { excessOf } from "../resolvers/runtime/json_text.mjs";

/** @typedef {{ body: string, problem: string }} Body text, or the problem (HttpRequest in messages.py) */

const STRICT = { fatal: true, ignoreBOM: false };
const UTF_8 = new TextDecoder("utf-8", STRICT);

/**
 * Leave a body unread. A small one is taken from the connection, so that the connection can be used
 * again.
 * @param {Request} request
 * @param {number} maxBytes of a small one
 * @returns {Promise<Body>}
 */
export async function skipBody(request, maxBytes) {
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) <= maxBytes) await request.arrayBuffer();
  return { body: "", problem: "UNREAD" };
}

/**
 * Read a body that holds JSON.
 * @param {Request} request
 * @param {number} maxBytes
 * @param {import("../resolvers/runtime/json_text.mjs").JsonLimits} limits
 * @returns {Promise<Body>}
 */
export async function readBody(request, maxBytes, limits) {
  const { body, problem } = await readText(request, maxBytes);
  const excess = problem || excessOf(body, limits);
  return excess ? { body: "", problem: excess } : { body, problem };
}

/**
 * @param {Request} request
 * @param {number} maxBytes
 * @returns {Promise<Body>}
 */
async function readText(request, maxBytes) {
  const tooLarge = { body: "", problem: "TOO_LARGE" };
  if (Number(request.headers.get("content-length")) > maxBytes) return tooLarge;
  try {
    if (request.headers.has("content-length")) {
      return { body: UTF_8.decode(await request.arrayBuffer()), problem: "" };
    }
    const decoder = new TextDecoder("utf-8", STRICT);
    let body = "";
    let bytes = 0;
    for await (const chunk of /** @type {any} */ (request.body ?? [])) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) return tooLarge;
      body += decoder.decode(chunk, { stream: true });
    }
    return { body: body + decoder.decode(), problem: "" };
  } catch (error) {
    if (error instanceof TypeError) return { body: "", problem: "NOT_UTF8" };
    throw error;
  }
}
