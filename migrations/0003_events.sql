-- The append-only log. `id` is the cursor: AUTOINCREMENT, because a number must never
-- come back, not even after retention has removed the newest entries.
-- `step` is the step's name: it stays readable when a restart has removed the step itself.

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN (
    'INSTANCE_QUEUED', 'INSTANCE_STARTED', 'INSTANCE_SLEEPING', 'INSTANCE_WAITING',
    'INSTANCE_PAUSED', 'INSTANCE_RESUMED', 'INSTANCE_COMPLETED', 'INSTANCE_ERRORED',
    'INSTANCE_TERMINATED', 'INSTANCE_RESTARTED', 'INSTANCE_UPDATED',
    'STEP_STARTED', 'STEP_COMPLETED', 'STEP_FAILED', 'ATTEMPT_STARTED', 'ATTEMPT_FAILED')),
  instance INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  status TEXT NOT NULL CHECK (status IN (
    'QUEUED', 'RUNNING', 'SLEEPING', 'WAITING', 'WAITING_FOR_PAUSE', 'PAUSED',
    'COMPLETED', 'ERRORED', 'TERMINATED', 'UNKNOWN')),
  step TEXT,
  attempt INTEGER,
  data TEXT CHECK (json_valid(data))
) STRICT;

CREATE INDEX events_by_instance ON events (instance, id);
