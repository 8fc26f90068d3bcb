-- What the cron trigger needs to find its work and to say what it did.

-- When an instance was last given the status that the engine had for it. The event of that change
-- says so.
ALTER TABLE instances ADD COLUMN reconciled_at TEXT;

-- Finished instances by age, which retention removes.
CREATE INDEX instances_finished ON instances (workflow, completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX workflows_retained ON workflows (name, retention_days) WHERE retention_days IS NOT NULL;

-- How far the trigger has come among the instances it compares, a JSON array of `created_at` and
-- `id`: the next run goes on there. 'QUEUED' are starts, 'STARTED' all other unfinished ones.
CREATE TABLE reconciliations (
  lane TEXT NOT NULL PRIMARY KEY,
  place TEXT NOT NULL CHECK (json_valid(place))
) STRICT, WITHOUT ROWID;

DROP TRIGGER instance_updated;
-- As in 0006, but for `reconciled` in the event's data.
CREATE TRIGGER instance_updated
AFTER UPDATE OF workflow, ref_type, ref_id, status, input, output, error, metadata, sleep_until ON instances
WHEN (OLD.workflow, OLD.ref_type, OLD.ref_id, OLD.status, OLD.input, OLD.output, OLD.error, OLD.metadata, OLD.sleep_until)
  IS NOT (NEW.workflow, NEW.ref_type, NEW.ref_id, NEW.status, NEW.input, NEW.output, NEW.error, NEW.metadata, NEW.sleep_until)
BEGIN
  INSERT INTO workflows (name, created_at, updated_at)
    SELECT NEW.workflow, NEW.updated_at, NEW.updated_at WHERE NEW.workflow <> OLD.workflow
    ON CONFLICT (name) DO NOTHING;
  UPDATE status_counts SET count = count - 1
    WHERE workflow = OLD.workflow AND status = OLD.status
      AND (OLD.workflow, OLD.status) <> (NEW.workflow, NEW.status);
  INSERT INTO status_counts (workflow, status, count)
    SELECT NEW.workflow, NEW.status, 1 WHERE (OLD.workflow, OLD.status) <> (NEW.workflow, NEW.status)
    ON CONFLICT (workflow, status) DO UPDATE SET count = count + 1;
  INSERT INTO events (at, type, instance, status, data, moved_from) VALUES (
    NEW.updated_at,
    CASE
      WHEN NEW.status = OLD.status OR NEW.status IN ('WAITING_FOR_PAUSE', 'UNKNOWN') THEN 'INSTANCE_UPDATED'
      WHEN NEW.status = 'RUNNING' AND OLD.status IN ('QUEUED', 'UNKNOWN') THEN 'INSTANCE_STARTED'
      WHEN NEW.status = 'RUNNING' THEN 'INSTANCE_RESUMED'
      -- No update leads back to QUEUED but from UNKNOWN, and that one keeps `started_at`.
      WHEN NEW.status = 'QUEUED' AND (OLD.status <> 'UNKNOWN' OR OLD.started_at IS NOT NEW.started_at)
        THEN 'INSTANCE_RESTARTED'
      ELSE 'INSTANCE_' || NEW.status
    END,
    NEW.id, NEW.status,
    CASE
      WHEN NEW.status = 'ERRORED' AND NEW.status <> OLD.status AND NEW.reconciled_at IS NOT OLD.reconciled_at
        THEN json_object('error', json_remove(NEW.error, '$.stack'), 'reconciled', json('true'))
      WHEN NEW.status = 'ERRORED' AND NEW.status <> OLD.status
        THEN json_object('error', json_remove(NEW.error, '$.stack'))
      WHEN NEW.reconciled_at IS NOT OLD.reconciled_at THEN json_object('reconciled', json('true'))
    END,
    CASE WHEN (OLD.ref_type, OLD.ref_id) IS NOT (NEW.ref_type, NEW.ref_id) AND OLD.ref_type IS NOT NULL
      THEN json_array(OLD.ref_type, OLD.ref_id) END);
END;
