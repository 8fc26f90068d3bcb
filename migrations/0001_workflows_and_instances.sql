-- Workflow definitions and their instances.
-- Stored form = wire form: instants are UTC text (RFC 3339, milliseconds), enums their
-- GraphQL names, JSON columns hold JSON text of at most 512 KiB.

CREATE TABLE workflows (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  description TEXT CHECK (length(description) <= 4096),
  metadata TEXT CONSTRAINT workflow_metadata CHECK (json_valid(metadata) AND octet_length(metadata) <= 524288),
  retention_days INTEGER CHECK (retention_days BETWEEN 1 AND 36500),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE instances (
  id INTEGER PRIMARY KEY,
  instance_id TEXT NOT NULL UNIQUE CHECK (length(instance_id) BETWEEN 1 AND 100),
  workflow TEXT NOT NULL REFERENCES workflows (name),
  ref_type TEXT CHECK (length(ref_type) BETWEEN 1 AND 64),
  ref_id TEXT CHECK (length(ref_id) BETWEEN 1 AND 256),
  status TEXT NOT NULL CHECK (status IN (
    'QUEUED', 'RUNNING', 'SLEEPING', 'WAITING', 'WAITING_FOR_PAUSE', 'PAUSED',
    'COMPLETED', 'ERRORED', 'TERMINATED', 'UNKNOWN')),
  input TEXT CONSTRAINT instance_input CHECK (json_valid(input) AND octet_length(input) <= 524288),
  output TEXT CONSTRAINT instance_output CHECK (json_valid(output) AND octet_length(output) <= 524288),
  error TEXT CONSTRAINT instance_error CHECK (json_valid(error) AND octet_length(error) <= 262144),
  metadata TEXT CONSTRAINT instance_metadata CHECK (json_valid(metadata) AND octet_length(metadata) <= 524288),
  created_at TEXT NOT NULL,
  started_at TEXT,
  updated_at TEXT NOT NULL,
  completed_at TEXT,
  sleep_until TEXT,
  -- Kept by the triggers of 0004: steps that wait for their next attempt.
  retrying_steps INTEGER NOT NULL DEFAULT 0 CHECK (retrying_steps >= 0),
  CHECK ((ref_type IS NULL) = (ref_id IS NULL)),
  CHECK ((completed_at IS NOT NULL) = (status IN ('COMPLETED', 'ERRORED', 'TERMINATED')))
) STRICT;

-- Every list is a keyset page on one of these, so a page reads what it returns however
-- large the table. Each ends in `id`, the row's number, which breaks ties of time.
CREATE INDEX instances_by_created ON instances (created_at DESC, id DESC);
CREATE INDEX instances_by_updated ON instances (updated_at DESC, id DESC);
CREATE INDEX instances_by_reference ON instances (ref_type, ref_id, created_at DESC, id DESC);
CREATE INDEX instances_by_ref_type ON instances (ref_type, created_at DESC, id DESC);
CREATE INDEX instances_by_status ON instances (status, created_at DESC, id DESC);
CREATE INDEX instances_by_workflow ON instances (workflow, created_at DESC, id DESC);
CREATE INDEX instances_by_workflow_status ON instances (workflow, status, created_at DESC, id DESC);
-- Prefix search by the external id alone.
CREATE INDEX instances_by_ref_id ON instances (ref_id);
-- Small partial indexes for the two questions asked about trouble.
CREATE INDEX instances_retrying ON instances (created_at DESC, id DESC) WHERE retrying_steps > 0;
CREATE INDEX instances_unfinished ON instances (updated_at, id) WHERE completed_at IS NULL;
