// The data with which every side starts: 2,000 instances of 100 references, always the same.

const REFERENCES = 100;
const INSTANCES_PER_REFERENCE = 20;
const COUNT = REFERENCES * INSTANCES_PER_REFERENCE;
const STEPS_OF_HOT_INSTANCES = 10;
const ROWS_PER_STATEMENT = 500;
const START = Date.UTC(2026, 0, 5, 8);

/** The reference whose instances have ten steps each. */
export const HOT_REFERENCE = { refType: "order", refId: "order-042" };
const HOT = 42;

const WORKFLOWS = ["fulfilment", "invoicing", "onboarding", "refund", "renewal"];
const STATUSES = [...Array(3).fill("COMPLETED"), ...["RUNNING", "ERRORED", "WAITING", "QUEUED"]];
const STEP_NAMES = [
  "validate",
  "reserve stock",
  "authorise payment",
  "pick",
  "pack",
  "print label",
  "hand over",
  "capture payment",
  "notify customer",
  "archive",
];

/** @param {number} n the n-th instance, from 0 */
export const instanceIdOf = (n) => `instance-${String(n).padStart(5, "0")}`;

/** Running instances of other references, to which steps are added. */
export const STEP_TARGETS = Array.from({ length: COUNT }, (_, n) => n)
  .filter((n) => n % REFERENCES !== HOT && statusOf(n) === "RUNNING")
  .slice(0, 200);

/** @param {number} n */
function statusOf(n) {
  // Looks random, but is the same in every run.
  return STATUSES[Math.floor(hash(n) * STATUSES.length)];
}

/**
 * A number in [0, 1) that depends on n alone.
 * @param {number} n
 */
function hash(n) {
  let x = Math.imul(n + 1, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

/** @param {number} ms after START */
const instant = (ms) => new Date(START + ms).toISOString();

/** @param {string} message */
const failure = (message) =>
  JSON.stringify({ name: "PaymentError", message, stack: "PaymentError\n    at pay.js:12:9" });

/** @param {number} n */
function instanceRow(n) {
  const status = statusOf(n);
  const at = n * 60_000;
  const finished = status === "COMPLETED" || status === "ERRORED";
  return {
    id: instanceIdOf(n),
    workflow: WORKFLOWS[n % WORKFLOWS.length],
    ref: `order-${String(n % REFERENCES).padStart(3, "0")}`,
    status,
    input: JSON.stringify({
      orderNumber: 100_000 + n,
      items: [{ sku: `SKU-${n % 97}`, quantity: 1 + (n % 3) }],
      note: "Ring twice; say “hello”",
    }),
    output: status === "COMPLETED" ? JSON.stringify({ ok: true, total: 1999 + n }) : null,
    error: status === "ERRORED" ? failure("card declined") : null,
    metadata: JSON.stringify({ region: n % 2 ? "eu" : "us", priority: n % 5 }),
    createdAt: instant(at),
    startedAt: status === "QUEUED" ? null : instant(at + 150 + (n % 40)),
    completedAt: finished ? instant(at + 30_000 + (n % 7) * 1_111) : null,
  };
}

/**
 * @param {number} n the instance
 * @param {number} count of steps
 */
function stepRows(n, count) {
  const at = n * 60_000 + 200;
  return Array.from({ length: count }, (_, i) => {
    const failed = statusOf(n) === "ERRORED" && i === count - 1;
    return {
      instance: instanceIdOf(n),
      index: i + 1,
      name: STEP_NAMES[i],
      status: failed ? "FAILED" : "COMPLETED",
      output: failed ? null : JSON.stringify({ step: i + 1, reference: `R-${n}-${i}` }),
      error: failed ? failure("card declined") : null,
      // Every third step has a second attempt.
      attempt: (n + i) % 3 === 0 ? 2 : 1,
      startedAt: instant(at + i * 2_000),
      completedAt: instant(at + i * 2_000 + 1_500),
    };
  });
}

const INSERT_INSTANCES = `INSERT INTO instances (instance_id, workflow, ref_type, ref_id, status,
    input, output, output_kind, error, metadata, created_at, started_at, updated_at, completed_at)
  SELECT value ->> 'id', value ->> 'workflow', 'order', value ->> 'ref', value ->> 'status',
    value ->> 'input', value ->> 'output', iif(value ->> 'output' IS NULL, NULL, 'JSON'),
    value ->> 'error', value ->> 'metadata',
    value ->> 'createdAt', value ->> 'startedAt',
    coalesce(value ->> 'completedAt', value ->> 'createdAt'), value ->> 'completedAt'
  FROM json_each(?)`;

const INSERT_STEPS = `INSERT INTO steps (instance, run, step_index, name, occurrence, kind, status,
    output, output_kind, error, attempt, started_at, completed_at, updated_at)
  SELECT i.id, i.run, value ->> 'index', value ->> 'name', 1, 'TASK', value ->> 'status',
    value ->> 'output', iif(value ->> 'output' IS NULL, NULL, 'JSON'),
    value ->> 'error', value ->> 'attempt', value ->> 'startedAt',
    value ->> 'completedAt', value ->> 'completedAt'
  FROM json_each(?) JOIN instances i ON i.instance_id = value ->> 'instance'`;

// The triggers know no more of earlier attempts than that they failed.
const INSERT_FIRST_ATTEMPTS = `INSERT OR REPLACE INTO attempts
    (step, number, status, error, started_at, ended_at, retry_at)
  SELECT id, 1, 'FAILED', json_object('name', 'Timeout', 'message', 'no answer', 'stack', NULL),
    started_at, started_at, started_at FROM steps WHERE attempt = 2`;

/**
 * Fill an empty database that has been migrated.
 * @param {any} database a D1 binding
 */
export async function seed(database) {
  const all = Array.from({ length: COUNT }, (_, n) => n);
  const steps = all.flatMap((n) =>
    stepRows(n, n % REFERENCES === HOT ? STEPS_OF_HOT_INSTANCES : 3),
  );
  const statements = [
    ...chunks(all.map(instanceRow)).map((rows) => database.prepare(INSERT_INSTANCES).bind(rows)),
    ...chunks(steps).map((rows) => database.prepare(INSERT_STEPS).bind(rows)),
    database.prepare(INSERT_FIRST_ATTEMPTS),
  ];
  for (const statement of statements) await statement.run();
}

/**
 * @param {unknown[]} rows
 * @returns {string[]} JSON texts of up to ROWS_PER_STATEMENT rows each
 */
function chunks(rows) {
  const texts = [];
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) {
    texts.push(JSON.stringify(rows.slice(i, i + ROWS_PER_STATEMENT)));
  }
  return texts;
}
