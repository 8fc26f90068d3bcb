// The resolvers. Fields without a resolver are properties of the row (see rows.mjs).

import { GraphQLError, GraphQLScalarType } from "graphql";
import { findInstances } from "./rows.mjs";
import { instancePage } from "./pages.mjs";
import { startWorkflow, updateWorkflowStep } from "./writes.mjs";

/** @typedef {import("./rows.mjs").Row} Row */
/** @typedef {import("./worker.mjs").Context} Context */

/** @param {string | null} text */
const json = (text) => (text === null ? null : JSON.parse(text));

/** @param {Row} row */
const duration = (row) =>
  row.startedAt === null || row.completedAt === null
    ? null
    : Date.parse(row.completedAt) - Date.parse(row.startedAt);

/**
 * Create the resolver of a field that needs the workflow's row; the name is known without it.
 * @param {string} name
 */
function workflowField(name) {
  /** @type {(row: Row, _: unknown, context: Context) => Promise<unknown>} */
  return async (row, _, { loaders }) => (await loaders.workflows.load(row.name))?.[name];
}

const DateTime = new GraphQLScalarType({
  name: "DateTime",
  parseValue(value) {
    const time = typeof value === "string" ? Date.parse(value) : NaN;
    if (Number.isNaN(time)) throw new TypeError("DateTime must be an RFC 3339 instant.");
    return new Date(time).toISOString();
  },
});

const Duration = new GraphQLScalarType({
  name: "Duration",
  parseValue(value) {
    if (Number.isSafeInteger(value) && Number(value) >= 0) return value;
    throw new TypeError("Duration must be a whole number of milliseconds, 0 or more.");
  },
});

export const resolvers = {
  DateTime,
  Duration,
  JSON: new GraphQLScalarType({ name: "JSON" }),

  Query: {
    /** @type {(_: unknown, args: Row, context: Context) => Promise<Row | null>} */
    async instance(_, { instanceId, workflow }, { env }) {
      const { results } = await findInstances(env.DB, instanceId, workflow).all();
      if (results.length > 1) {
        throw new GraphQLError(`Instances of several workflows have the id '${instanceId}'.`, {
          extensions: { code: "AMBIGUOUS", workflows: results.map((row) => row.workflowName) },
        });
      }
      return results[0] ?? null;
    },
    /** @type {(_: unknown, args: Row, context: Context) => Promise<Row>} */
    instances: (_, page, context) => instancePage(context, page),
    /** @type {(_: unknown, args: Row) => Row} */
    reference: (_, { refType, refId }) => ({ refType, refId }),
  },

  Mutation: { startWorkflow, updateWorkflowStep },

  Workflow: {
    /** @param {Row} row */
    id: (row) => `Workflow:${row.name}`,
    description: workflowField("description"),
    /** @type {(row: Row, _: unknown, context: Context) => Promise<unknown>} */
    metadata: async (row, _, { loaders }) =>
      json((await loaders.workflows.load(row.name))?.metadata ?? null),
    retentionDays: workflowField("retentionDays"),
    // Nothing is bound here.
    bound: () => false,
    /** @type {(row: Row, _: unknown, context: Context) => Promise<boolean>} */
    trackOnly: async (row, _, { loaders }) =>
      (await loaders.workflows.load(row.name))?.trackOnly === 1,
    createdAt: workflowField("createdAt"),
    updatedAt: workflowField("updatedAt"),
  },

  Reference: {
    /** @param {Row} row */
    id: (row) => `Reference:${JSON.stringify([row.refType, row.refId])}`,
    /** @type {(row: any, page: Row, context: Context) => Promise<Row>} */
    instances: (row, page, context) => instancePage(context, page, row),
  },

  WorkflowInstance: {
    /** @param {Row} row */
    id: (row) => `WorkflowInstance:${JSON.stringify([row.workflowName, row.instanceId])}`,
    /** @param {Row} row */
    workflow: (row) => ({ name: row.workflowName }),
    bound: () => false,
    /** @param {Row} row */
    reference: (row) => (row.refType === null ? null : { refType: row.refType, refId: row.refId }),
    /** @param {Row} row */
    input: (row) => json(row.input),
    /** @param {Row} row */
    output: (row) => json(row.output),
    /** @param {Row} row */
    error: (row) => json(row.error),
    /** @param {Row} row */
    metadata: (row) => json(row.metadata),
    duration,
    /** @type {(row: Row, _: unknown, context: Context) => Promise<Row[]>} */
    steps: (row, _, { loaders }) => loaders.steps.load(row.row),
  },

  WorkflowStep: {
    /** @type {(row: Row, _: unknown, context: Context) => Promise<string>} */
    id: async (row, _, { loaders }) => {
      const instance = await loaders.instances.load(row.instanceRow);
      const key = [instance?.workflowName, instance?.instanceId, row.run, row.name, row.occurrence];
      return `WorkflowStep:${JSON.stringify(key)}`;
    },
    /** @type {(row: Row, _: unknown, context: Context) => Promise<Row | undefined>} */
    instance: (row, _, { loaders }) => loaders.instances.load(row.instanceRow),
    /** @param {Row} row */
    output: (row) => json(row.output),
    /** @param {Row} row */
    error: (row) => json(row.error),
    /** @param {Row} row */
    retryPolicy: (row) =>
      row.retryLimit === null
        ? null
        : { limit: row.retryLimit, delay: row.retryDelay, backoff: row.retryBackoff },
    /** @type {(row: Row, _: unknown, context: Context) => Promise<Row[]>} */
    attempts: (row, _, { loaders }) => loaders.attempts.load(row.row),
    duration,
  },

  StepAttempt: {
    /** @param {Row} row */
    error: (row) => json(row.error),
  },
};
