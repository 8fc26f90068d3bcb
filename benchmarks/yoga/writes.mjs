// The mutations. Each is one upsert that returns the row; a second query is made only if it wrote none.

import { INSTANCE, STEP, findInstances } from "./rows.mjs";

/** @typedef {import("./rows.mjs").Row} Row */
/** @typedef {import("./worker.mjs").Context} Context */

const MAX_JSON_BYTES = 512 * 1024;
const UNPRINTABLE = /[\x00-\x1f\x7f]/;
/** @type {Record<string, number>} */
const STEP_RANK = { PENDING: 0, RUNNING: 1, RETRYING: 2, CANCELLED: 3, COMPLETED: 4, FAILED: 4 };
const RANK = `CASE steps.status
  WHEN 'PENDING' THEN 0 WHEN 'RUNNING' THEN 1 WHEN 'RETRYING' THEN 2
  WHEN 'CANCELLED' THEN 3 ELSE 4 END`;
/** @type {Record<string, string>} */
const AS_INSTANCE = {
  PENDING: "QUEUED",
  RUNNING: "RUNNING",
  RETRYING: "RUNNING",
  COMPLETED: "COMPLETED",
  FAILED: "ERRORED",
};

/** An expected failure of a mutation: a member of its result union. */
class Refusal extends Error {
  /**
   * @param {string} type
   * @param {string} code
   * @param {string} message
   * @param {Row} [fields]
   */
  constructor(type, code, message, fields) {
    super(message);
    this.answer = { __typename: type, code, message, ...fields };
  }
}

/**
 * Run a write and return a refusal as data; other errors are thrown.
 * @param {() => Promise<Row>} write
 */
async function catchRefusal(write) {
  try {
    return await write();
  } catch (error) {
    if (error instanceof Refusal) return error.answer;
    throw error;
  }
}

/**
 * @param {unknown} _
 * @param {{ input: Row }} args
 * @param {Context} context
 */
export function startWorkflow(_, { input }, { env }) {
  return catchRefusal(async () => {
    const instanceId = input.instanceId ?? crypto.randomUUID();
    checkText(input.workflow, "workflow", 64);
    checkText(instanceId, "instanceId", 100);
    if (input.reference) {
      checkText(input.reference.refType, "reference.refType", 64);
      checkText(input.reference.refId, "reference.refId", 256);
    }
    const now = new Date().toISOString();
    const inserted = await env.DB.prepare(
      `INSERT INTO instances
        (instance_id, workflow, ref_type, ref_id, input, metadata, status, created_at, updated_at)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'QUEUED', ?7, ?7
        WHERE ?8 OR EXISTS (SELECT 1 FROM workflows WHERE name = ?2 AND track_only)
      ON CONFLICT (instance_id, workflow) DO NOTHING RETURNING ${INSTANCE}`,
    )
      .bind(
        instanceId,
        input.workflow,
        input.reference?.refType ?? null,
        input.reference?.refId ?? null,
        jsonText(input.input, "input"),
        jsonText(input.metadata, "metadata"),
        now,
        input.trackOnly ? 1 : 0,
      )
      .first();
    if (inserted) return { __typename: "InstancePayload", instance: inserted };
    const existing = await findInstances(env.DB, instanceId, input.workflow).first();
    if (!existing) {
      const message = `No Workflow is bound for '${input.workflow}'.`;
      throw new Refusal("UnboundWorkflow", "UNBOUND_WORKFLOW", message, { suggestions: [] });
    }
    if (input.onConflict === "FAIL") {
      const message = `Instance '${instanceId}' exists already.`;
      throw new Refusal("InstanceConflict", "CONFLICT", message, { existing });
    }
    return { __typename: "InstancePayload", instance: existing };
  });
}

/**
 * @param {unknown} _
 * @param {{ input: Row }} args
 * @param {Context} context
 */
export function updateWorkflowStep(_, { input }, { env }) {
  return catchRefusal(async () => {
    checkText(input.instanceId, "instanceId", 100);
    // The names that the service would store in another form are refused here.
    checkText(input.name, "name", 256);
    if (input.workflow != null) checkText(input.workflow, "workflow", 64);
    checkNumber(input.run, "run");
    checkNumber(input.occurrence, "occurrence");
    checkNumber(input.index, "index");
    checkNumber(input.attempt, "attempt");
    const { sql, values } = stepUpsert(input);
    const step = await env.DB.prepare(sql)
      .bind(...values)
      .first();
    if (step) return { __typename: "StepPayload", step };
    return await explainUnwritten(env, input);
  });
}

/**
 * Build the upsert of a step. Its status only moves forward, and never from a terminal status.
 * @param {Row} input
 */
function stepUpsert(input) {
  const { status } = input;
  const terminal = status === "COMPLETED" || status === "FAILED";
  const isTask = (input.kind ?? "TASK") === "TASK";
  const policy = input.retryPolicy;
  const now = new Date().toISOString();
  const rank = STEP_RANK[status];
  const current = "iif(steps.kind = 'TASK', max(steps.attempt, 1), steps.attempt)";
  let attempt = current;
  if (input.attempt != null) attempt = "excluded.attempt";
  else if (status === "PENDING") attempt = "steps.attempt";
  else if (status === "RUNNING" || status === "COMPLETED") {
    attempt = `iif(steps.status = 'RETRYING', steps.attempt + 1, ${current})`;
  }
  const changes = [
    "status = excluded.status",
    `attempt = ${attempt}`,
    "next_retry_at = excluded.next_retry_at",
    "started_at = coalesce(steps.started_at, excluded.started_at)",
    "completed_at = excluded.completed_at",
    "updated_at = excluded.updated_at",
  ];
  if (status === "COMPLETED") changes.push("error = NULL");
  else if ("error" in input) changes.push("error = excluded.error");
  if ("output" in input)
    changes.push("output = excluded.output", "output_kind = excluded.output_kind");
  if (input.kind != null) changes.push("kind = excluded.kind");
  if (policy) {
    changes.push(
      "retry_limit = excluded.retry_limit",
      "retry_delay = excluded.retry_delay",
      "retry_backoff = excluded.retry_backoff",
    );
  }
  const alive = terminal ? "" : "AND i.status NOT IN ('COMPLETED', 'ERRORED', 'TERMINATED')";
  const sql = `INSERT INTO steps (instance, run, step_index, name, occurrence, kind, status,
      output, output_kind, error, retry_limit, retry_delay, retry_backoff, attempt, next_retry_at,
      started_at, completed_at, updated_at)
    SELECT i.id, i.run,
      coalesce(?1, (SELECT coalesce(max(s.step_index), 0) + 1
        FROM steps s WHERE s.instance = i.id AND s.run = i.run)),
      ?2, ?3, ?4, ?5, ?6, iif(?6 IS NULL, NULL, 'JSON'), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
    FROM instances i WHERE i.id = (
        SELECT iif(count(*) = 1, max(o.id), NULL) FROM instances o
        WHERE o.instance_id = ?16 AND (?17 IS NULL OR o.workflow = ?17))
      AND (?18 IS NULL OR i.run = ?18) ${alive}
    ON CONFLICT (instance, run, name, occurrence) DO UPDATE SET ${changes.join(", ")}
      WHERE steps.status NOT IN ('COMPLETED', 'FAILED')
        AND (${attempt}, ${rank}) > (steps.attempt, ${RANK})
    RETURNING ${STEP}`;
  const values = [
    input.index ?? null,
    input.name,
    input.occurrence,
    input.kind ?? "TASK",
    status,
    jsonText(input.output, "output"),
    input.error ? JSON.stringify(input.error) : null,
    policy?.limit ?? null,
    policy?.delay ?? null,
    policy?.backoff ?? null,
    input.attempt ?? (isTask && status !== "PENDING" ? 1 : 0),
    status === "RETRYING" ? (input.retryAt ?? null) : null,
    status === "PENDING" ? null : now,
    terminal ? now : null,
    now,
    input.instanceId,
    input.workflow ?? null,
    input.run ?? null,
  ];
  return { sql, values };
}

/**
 * Return the result if the upsert wrote nothing: the step if it has the status already, or a refusal
 * if the instance is unknown or the transition illegal.
 * @param {Context["env"]} env
 * @param {Row} input
 */
async function explainUnwritten(env, input) {
  const [instances, steps] = await env.DB.batch([
    findInstances(env.DB, input.instanceId, input.workflow),
    env.DB.prepare(
      `SELECT ${STEP} FROM steps
      WHERE (instance, run) = (SELECT id, run FROM instances
          WHERE instance_id = ?1 AND (?2 IS NULL OR workflow = ?2))
        AND name = ?3 AND occurrence = ?4`,
    ).bind(input.instanceId, input.workflow ?? null, input.name, input.occurrence),
  ]);
  const instance = /** @type {Row | undefined} */ (instances.results[0]);
  const step = /** @type {Row | undefined} */ (steps.results[0]);
  if (!instance) {
    throw new Refusal("NotFound", "NOT_FOUND", `No instance '${input.instanceId}' is tracked.`);
  }
  if (instances.results.length > 1) {
    const message = `Instances of several workflows have the id '${input.instanceId}'.`;
    throw new Refusal("AmbiguousInstance", "AMBIGUOUS", message, { instances: instances.results });
  }
  if (input.run != null && input.run !== instance.run) {
    const message = `'${input.instanceId}' is in run ${instance.run}.`;
    throw new Refusal("RunMismatch", "RUN_MISMATCH", message, { run: instance.run });
  }
  if (step?.status === input.status) return { __typename: "StepPayload", step };
  const from = step ? AS_INSTANCE[step.status] : instance.status;
  const subject = step
    ? `Step '${input.name}' of '${input.instanceId}' is ${step.status} and`
    : `'${input.instanceId}' is ${from}; its step '${input.name}'`;
  throw new Refusal(
    "IllegalTransition",
    "ILLEGAL_TRANSITION",
    `${subject} cannot become ${input.status}.`,
    { from, to: AS_INSTANCE[input.status] },
  );
}

/**
 * @param {string} text
 * @param {string} field
 * @param {number} limit
 */
function checkText(text, field, limit) {
  if (text.length < 1 || text.length > limit) {
    throw invalidInput(field, `must have 1 to ${limit} characters`);
  }
  if (UNPRINTABLE.test(text)) throw invalidInput(field, "must not contain control characters");
}

/**
 * @param {number | null | undefined} value
 * @param {string} field
 */
function checkNumber(value, field) {
  if (value != null && (value < 1 || value > 1_000_000)) {
    throw invalidInput(field, "must be from 1 to 1000000");
  }
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function jsonText(value, field) {
  if (value == null) return null;
  const text = JSON.stringify(value);
  // UTF-8 needs at most three bytes per UTF-16 unit, so most texts need not be encoded.
  if (text.length * 3 > MAX_JSON_BYTES && new TextEncoder().encode(text).length > MAX_JSON_BYTES) {
    throw invalidInput(field, `the value is larger than ${MAX_JSON_BYTES} bytes`);
  }
  return text;
}

/**
 * @param {string} field
 * @param {string} message
 */
function invalidInput(field, message) {
  const path = ["input", ...field.split(".")];
  return new Refusal("InvalidInput", "INVALID_INPUT", `${path.join(".")}: ${message}`, { path });
}
