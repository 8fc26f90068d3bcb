// The peer: the same API on GraphQL Yoga, as a JavaScript Worker on the same tables.
//
// Yoga's caches of parsed and validated documents are on (its default), relations are loaded with
// DataLoader, and each mutation is one statement. It has no subscriptions.

import { GraphQLError } from "graphql";
import { createSchema, createYoga } from "graphql-yoga";
import { countUse } from "./counting.mjs";
import { createLoaders } from "./loaders.mjs";
import { resolvers } from "./resolvers.mjs";
import { typeDefs } from "./schema.mjs";

/**
 * @typedef {{ DB: import("./rows.mjs").Database, FLOWFLARE_API_KEY: string }} Environment
 * @typedef {{ env: Environment, loaders: import("./loaders.mjs").Loaders }} Context
 */

const encoder = new TextEncoder();

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers: /** @type {any} */ (resolvers) }),
  graphiql: false,
  landingPage: false,
  logging: false,
  cors: false,
  multipart: false,
  context: (/** @type {any} */ { request, env }) => {
    authenticate(request, env);
    return { env, loaders: createLoaders(env.DB) };
  },
});

/**
 * @param {Request} request
 * @param {Environment} env
 */
function authenticate(request, env) {
  const given = encoder.encode(request.headers.get("authorization") ?? "");
  const expected = encoder.encode(`Bearer ${env.FLOWFLARE_API_KEY}`);
  const subtle = /** @type {any} */ (crypto.subtle);
  if (given.length === expected.length && subtle.timingSafeEqual(given, expected)) return;
  throw new GraphQLError("The key is not valid.", {
    extensions: { code: "UNAUTHENTICATED", http: { status: 401 } },
  });
}

export default {
  /**
   * @param {Request} request
   * @param {Environment} env
   * @param {any} ctx
   */
  async fetch(request, env, ctx) {
    if (!request.headers.has("x-count-d1")) return yoga.fetch(request, { env, ctx });
    const { database, headers } = countUse(env.DB);
    const response = await yoga.fetch(request, { env: { ...env, DB: database }, ctx });
    return new Response(response.body, { headers: headers(), status: response.status });
  },
};
