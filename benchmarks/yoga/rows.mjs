// The columns to read. They are named like the GraphQL fields, so that most need no resolver.

/** @typedef {import("@cloudflare/workers-types").D1Database} Database */
/** @typedef {Record<string, any>} Row */

export const INSTANCE = `id AS row, instance_id AS instanceId, workflow AS workflowName, run,
  ref_type AS refType, ref_id AS refId, status, input, output, error, metadata,
  created_at AS createdAt, started_at AS startedAt, updated_at AS updatedAt,
  completed_at AS completedAt, sleep_until AS sleepUntil`;

export const STEP = `id AS row, instance AS instanceRow, run, step_index AS "index", name, occurrence,
  kind, status, output, error, retry_limit AS retryLimit, retry_delay AS retryDelay,
  retry_backoff AS retryBackoff, attempt AS attemptCount, next_retry_at AS nextRetryAt,
  started_at AS startedAt, completed_at AS completedAt`;

export const ATTEMPT = `step AS stepRow, number, status, error, started_at AS startedAt,
  ended_at AS endedAt, retry_at AS retryAt`;

export const WORKFLOW = `name, description, metadata, retention_days AS retentionDays,
  track_only AS trackOnly, created_at AS createdAt, updated_at AS updatedAt`;

const MAX_SAME_ID = 100;

/**
 * Select the instances with an id: at most one if a workflow is given.
 * @param {Database} db
 * @param {string} instanceId
 * @param {string | null | undefined} workflow
 */
export const findInstances = (db, instanceId, workflow) =>
  db
    .prepare(
      `SELECT ${INSTANCE} FROM instances
      WHERE instance_id = ?1 AND (?2 IS NULL OR workflow = ?2)
      ORDER BY workflow LIMIT ${MAX_SAME_ID}`,
    )
    .bind(instanceId, workflow ?? null);
