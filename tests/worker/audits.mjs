// Runs the server audits of npm `graphql-http` against URL with the key KEY (from the
// environment), and prints each audit's id, name, status and the reason where it is not "ok".

import { serverAudits } from "graphql-http";

const { URL: url, KEY: key } = process.env;
if (!url || !key) throw new Error("URL and KEY must be set.");

/**
 * @param {string} address
 * @param {RequestInit} [init]
 */
const fetchFn = (address, init) => {
  const headers = new Headers(init?.headers);
  headers.set("authorization", `Bearer ${key}`);
  return fetch(address, { ...init, headers });
};

const results = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  const reason = "reason" in result ? result.reason : null;
  results.push({ id: result.id, name: result.name, status: result.status, reason });
}
console.log(JSON.stringify(results));
