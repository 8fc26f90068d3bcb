-- Instances, their earlier runs, and how many there are.

-- An instance is identified by its workflow and the engine's id, which is unique in a workflow only.
CREATE TABLE instances (
  id INTEGER PRIMARY KEY,
  workflow TEXT NOT NULL REFERENCES workflows (name),
  instance_id TEXT NOT NULL CHECK (length(instance_id) BETWEEN 1 AND 100),
  -- Number of the current run, from 1: a restart begins the next one.
  run INTEGER NOT NULL DEFAULT 1 CHECK (run >= 1),
  ref_type TEXT CHECK (length(ref_type) BETWEEN 1 AND 64),
  ref_id TEXT CHECK (length(ref_id) BETWEEN 1 AND 256),
  status TEXT NOT NULL CHECK (status IN (
    'QUEUED', 'RUNNING', 'SLEEPING', 'WAITING', 'WAITING_FOR_PAUSE', 'PAUSED',
    'COMPLETED', 'ERRORED', 'TERMINATED', 'UNKNOWN')),
  input TEXT CONSTRAINT instance_input CHECK (json_valid(input) AND octet_length(input) <= 524288),
  -- The input that the engine still has to get, if `input` is scrubbed.
  engine_input TEXT CHECK (json_valid(engine_input) AND octet_length(engine_input) <= 524288),
  output TEXT CONSTRAINT instance_output CHECK (json_valid(output) AND octet_length(output) <= 524288),
  -- What `output` is of the run's result; null if there is no output.
  output_kind TEXT CHECK (output_kind IN (
    'JSON', 'UNDEFINED', 'CONVERTED', 'TRUNCATED', 'UNSERIALIZABLE', 'REDACTED', 'SCRUBBED')),
  error TEXT CONSTRAINT instance_error CHECK (json_valid(error) AND octet_length(error) <= 262144),
  metadata TEXT CONSTRAINT instance_metadata CHECK (json_valid(metadata) AND octet_length(metadata) <= 524288),
  created_at TEXT NOT NULL,
  -- Start and end of the current run.
  started_at TEXT,
  completed_at TEXT,
  updated_at TEXT NOT NULL,
  sleep_until TEXT,
  -- The position that the engine's history of the run was recorded to, a JSON array of the number, time
  -- (milliseconds) and type of that event, of the time at which the run began, and of the open steps.
  -- The number is 0 while nothing of the run's history is recorded yet.
  followed TEXT CHECK (json_valid(followed)),
  -- Since when the history could not be read, if that is so at present.
  behind_since TEXT,
  -- When the instance was last given the status that the engine had for it.
  reconciled_at TEXT,
  -- Steps of the current run that wait for their next attempt; the triggers keep it.
  retrying_steps INTEGER NOT NULL DEFAULT 0 CHECK (retrying_steps >= 0),
  -- In this order, so that its index also finds an id alone, and a prefix of it.
  UNIQUE (instance_id, workflow),
  CHECK ((ref_type IS NULL) = (ref_id IS NULL)),
  CHECK (output IS NULL OR output_kind NOT IN ('UNDEFINED', 'REDACTED') AND output_kind IS NOT NULL),
  CHECK ((completed_at IS NOT NULL) = (status IN ('COMPLETED', 'ERRORED', 'TERMINATED')))
) STRICT;

-- Every list is a keyset page on one of these indexes, so a page reads about as many rows as it returns,
-- whatever the size of the table. Each ends in `id`, the number of the row, which breaks ties of time.
CREATE INDEX instances_by_created ON instances (created_at DESC, id DESC);
CREATE INDEX instances_by_updated ON instances (updated_at DESC, id DESC);
CREATE INDEX instances_by_reference ON instances (ref_type, ref_id, created_at DESC, id DESC);
CREATE INDEX instances_by_ref_type ON instances (ref_type, created_at DESC, id DESC);
CREATE INDEX instances_by_status ON instances (status, created_at DESC, id DESC);
CREATE INDEX instances_by_workflow ON instances (workflow, created_at DESC, id DESC);
CREATE INDEX instances_by_workflow_status ON instances (workflow, status, created_at DESC, id DESC);
-- Searches for a prefix of the reference's id.
CREATE INDEX instances_by_ref_id ON instances (ref_id);
-- Partial indexes for instances in trouble, and for those that retention removes.
CREATE INDEX instances_retrying ON instances (created_at DESC, id DESC) WHERE retrying_steps > 0;
CREATE INDEX instances_unfinished ON instances (updated_at, id) WHERE completed_at IS NULL;
CREATE INDEX instances_finished ON instances (workflow, completed_at) WHERE completed_at IS NOT NULL;

-- Runs before the current one.
CREATE TABLE runs (
  instance INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  run INTEGER NOT NULL CHECK (run >= 1),
  status TEXT NOT NULL CHECK (status IN ('COMPLETED', 'ERRORED', 'TERMINATED')),
  output TEXT CHECK (json_valid(output)),
  output_kind TEXT CHECK (output_kind IN (
    'JSON', 'UNDEFINED', 'CONVERTED', 'TRUNCATED', 'UNSERIALIZABLE', 'REDACTED', 'SCRUBBED')),
  error TEXT CHECK (json_valid(error)),
  started_at TEXT,
  completed_at TEXT NOT NULL,
  PRIMARY KEY (instance, run)
) STRICT, WITHOUT ROWID;

-- Instances by workflow and status, so that counting never scans.
CREATE TABLE status_counts (
  workflow TEXT NOT NULL,
  status TEXT NOT NULL,
  count INTEGER NOT NULL CHECK (count >= 0),
  PRIMARY KEY (workflow, status)
) STRICT, WITHOUT ROWID;
