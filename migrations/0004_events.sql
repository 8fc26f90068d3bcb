-- The append-only log. `id` is the cursor: AUTOINCREMENT, because a number must never come back, not
-- even after retention has removed the newest events.

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN (
    'INSTANCE_QUEUED', 'INSTANCE_STARTED', 'INSTANCE_SLEEPING', 'INSTANCE_WAITING',
    'INSTANCE_PAUSED', 'INSTANCE_RESUMED', 'INSTANCE_COMPLETED', 'INSTANCE_ERRORED',
    'INSTANCE_TERMINATED', 'INSTANCE_RESTARTED', 'INSTANCE_UPDATED',
    'STEP_STARTED', 'STEP_COMPLETED', 'STEP_FAILED', 'STEP_CANCELLED',
    'ATTEMPT_STARTED', 'ATTEMPT_FAILED')),
  instance INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  run INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN (
    'QUEUED', 'RUNNING', 'SLEEPING', 'WAITING', 'WAITING_FOR_PAUSE', 'PAUSED',
    'COMPLETED', 'ERRORED', 'TERMINATED', 'UNKNOWN')),
  -- Name and occurrence of the step that the event is about.
  step TEXT,
  occurrence INTEGER,
  attempt INTEGER,
  data TEXT CHECK (json_valid(data)),
  -- The reference that the instance left with this event: its subscribers are notified as well. It is
  -- not in `data`, because those who see the instance now may not see it there.
  moved_from TEXT CHECK (json_valid(moved_from))
) STRICT;

CREATE INDEX events_by_instance ON events (instance, id);
