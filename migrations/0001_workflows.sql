-- Workflow definitions.
-- Values are stored in the form in which they are sent: instants are UTC text (RFC 3339, milliseconds),
-- enums are their GraphQL names, JSON columns are JSON text of at most 512 KiB.

CREATE TABLE workflows (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  description TEXT CHECK (length(description) <= 4096),
  metadata TEXT CONSTRAINT workflow_metadata CHECK (json_valid(metadata) AND octet_length(metadata) <= 524288),
  retention_days INTEGER CHECK (retention_days BETWEEN 1 AND 36500),
  -- 1 if starts are recorded although no Workflow is bound.
  track_only INTEGER NOT NULL DEFAULT 0 CHECK (track_only IN (0, 1)),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX workflows_retained ON workflows (name, retention_days) WHERE retention_days IS NOT NULL;
