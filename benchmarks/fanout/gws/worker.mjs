// The peer: graphql-workers-subscriptions, set up as in its README. Its mutations only publish: it
// stores subscriptions in D1, but no events.

import { createSchema, createYoga } from "graphql-yoga";
import {
  createDefaultPublishableContext,
  createWsConnectionPoolClass,
  handleSubscriptions,
  subscribe,
} from "graphql-workers-subscriptions";
import { REFERENCE, pageOf } from "../events.mjs";
import { typeDefs } from "./schema.mjs";

/** @typedef {import("../events.mjs").Update} Update */
/**
 * @typedef {object} Environment
 * @property {any} WS_CONNECTION_POOL
 * @property {any} SUBSCRIPTIONS
 * @property {string} FLOWFLARE_API_KEY
 */

const TOPIC = "WORKFLOW_EVENTS";

/** The number of events published so far. */
let published = 0;

/**
 * Publish updates as one page, because each publish costs a query, an execution for every subscriber
 * and a request to the pool.
 * @param {any} context
 * @param {Update[]} updates
 */
function publish(context, updates) {
  const workflowEvents = pageOf(updates, published);
  published += updates.length;
  // The library compares a filter with the members of the payload.
  context.publish(TOPIC, { ...REFERENCE, workflowEvents });
  return workflowEvents.events;
}

const resolvers = {
  Query: { ping: () => "pong" },
  Mutation: {
    /**
     * @param {unknown} _
     * @param {{ input: Update }} input
     * @param {any} context
     */
    updateWorkflowInstance(_, { input }, context) {
      const [{ instance }] = publish(context, [input]);
      return { __typename: "InstancePayload", instance };
    },
    /**
     * @param {unknown} _
     * @param {{ updates: { instance: Update }[] }} input
     * @param {any} context
     */
    track(_, { updates }, context) {
      publish(
        context,
        updates.map(({ instance }) => instance),
      );
      return { __typename: "TrackPayload", applied: updates.length };
    },
  },
  Subscription: {
    workflowEvents: {
      subscribe: subscribe(TOPIC, {
        filter: (/** @type {unknown} */ _, /** @type {any} */ { filter }) => filter?.reference,
      }),
    },
  },
};

const settings = {
  schema: createSchema({ typeDefs, resolvers: /** @type {any} */ (resolvers) }),
  wsConnectionPool: (/** @type {Environment} */ env) => env.WS_CONNECTION_POOL,
  subscriptionsDb: (/** @type {Environment} */ env) => env.SUBSCRIPTIONS,
};

/**
 * @param {unknown} authorization
 * @param {Environment} env
 */
const isKey = (authorization, env) => authorization === `Bearer ${env.FLOWFLARE_API_KEY}`;

const yoga = createYoga({
  schema: settings.schema,
  graphiql: false,
  landingPage: false,
  logging: false,
  cors: false,
  multipart: false,
});

/** @type {any} because the library's types need globals of an older types package */
const library = {
  createDefaultPublishableContext,
  createWsConnectionPoolClass,
  handleSubscriptions,
};

/**
 * Answer requests that do not open a socket.
 * @param {Request} request
 * @param {Environment} env
 * @param {any} executionCtx
 */
function answer(request, env, executionCtx) {
  if (!isKey(request.headers.get("authorization"), env)) return new Response(null, { status: 401 });
  const context = library.createDefaultPublishableContext({ env, executionCtx, ...settings });
  return yoga.handleRequest(request, context);
}

export default {
  fetch: library.handleSubscriptions({
    ...settings,
    fetch: answer,
    // One object for all sockets is fastest, because a publish makes one request for each object.
    pooling: "global",
    isPublishAuthorized: () => false,
  }),
};

export const WsConnectionPool = library.createWsConnectionPoolClass({
  ...settings,
  onConnect: (/** @type {any} */ { connectionParams, extra }) =>
    isKey(connectionParams?.authorization, extra.env),
});
