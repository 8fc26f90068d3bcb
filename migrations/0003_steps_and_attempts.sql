-- The steps of an instance's runs, and the attempts of a step.

-- A step is identified in its run by its name and its occurrence: a loop may use a name again.
CREATE TABLE steps (
  id INTEGER PRIMARY KEY,
  instance INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  run INTEGER NOT NULL CHECK (run >= 1),
  step_index INTEGER NOT NULL CHECK (step_index BETWEEN 1 AND 1000000),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
  occurrence INTEGER NOT NULL CHECK (occurrence BETWEEN 1 AND 1000000),
  kind TEXT NOT NULL CHECK (kind IN ('TASK', 'SLEEP', 'WAIT_FOR_EVENT')),
  status TEXT NOT NULL CHECK (status IN (
    'PENDING', 'RUNNING', 'RETRYING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  output TEXT CONSTRAINT step_output CHECK (json_valid(output) AND octet_length(output) <= 524288),
  -- What `output` is of the step's result; null if there is no output. A step that is REDACTED gets none.
  output_kind TEXT CHECK (output_kind IN (
    'JSON', 'UNDEFINED', 'CONVERTED', 'TRUNCATED', 'UNSERIALIZABLE', 'REDACTED', 'SCRUBBED')),
  error TEXT CONSTRAINT step_error CHECK (json_valid(error) AND octet_length(error) <= 262144),
  retry_limit INTEGER CHECK (retry_limit >= 0),
  retry_delay INTEGER CHECK (retry_delay >= 0),
  retry_backoff TEXT CHECK (retry_backoff IN ('CONSTANT', 'LINEAR', 'EXPONENTIAL')),
  -- Number of the current attempt, from 1; 0 before the first and for steps without attempts.
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  next_retry_at TEXT,
  started_at TEXT,
  completed_at TEXT,
  updated_at TEXT NOT NULL,
  UNIQUE (instance, run, step_index),
  UNIQUE (instance, run, name, occurrence),
  CHECK (output IS NULL OR output_kind NOT IN ('UNDEFINED', 'REDACTED') AND output_kind IS NOT NULL),
  CHECK ((retry_limit IS NULL) = (retry_delay IS NULL) AND (retry_limit IS NULL) = (retry_backoff IS NULL)),
  CHECK ((completed_at IS NOT NULL) = (status IN ('COMPLETED', 'FAILED', 'CANCELLED')))
) STRICT;

CREATE TABLE attempts (
  step INTEGER NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK (number >= 1),
  status TEXT NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  error TEXT CHECK (json_valid(error) AND octet_length(error) <= 262144),
  started_at TEXT,
  ended_at TEXT,
  retry_at TEXT,
  PRIMARY KEY (step, number)
) STRICT, WITHOUT ROWID;
