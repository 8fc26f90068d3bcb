-- The consequences of a change, in its transaction: events, counts, runs and attempts. As triggers, so
-- that no statement, not even an operator's, changes state without its event or writes an event without
-- its change.

CREATE TRIGGER instance_inserted AFTER INSERT ON instances BEGIN
  INSERT INTO workflows (name, created_at, updated_at)
    VALUES (NEW.workflow, NEW.created_at, NEW.created_at) ON CONFLICT (name) DO NOTHING;
  INSERT INTO status_counts (workflow, status, count) VALUES (NEW.workflow, NEW.status, 1)
    ON CONFLICT (workflow, status) DO UPDATE SET count = count + 1;
  INSERT INTO events (at, type, instance, run, status, data) VALUES (
    NEW.updated_at,
    CASE NEW.status
      WHEN 'RUNNING' THEN 'INSTANCE_STARTED'
      WHEN 'WAITING_FOR_PAUSE' THEN 'INSTANCE_UPDATED'
      WHEN 'UNKNOWN' THEN 'INSTANCE_UPDATED'
      ELSE 'INSTANCE_' || NEW.status
    END,
    NEW.id, NEW.run, NEW.status,
    CASE NEW.status WHEN 'ERRORED' THEN json_object('error', json_remove(NEW.error, '$.stack')) END);
END;

CREATE TRIGGER instance_updated
AFTER UPDATE OF run, ref_type, ref_id, status, input, output, output_kind, error, metadata, sleep_until ON instances
WHEN (OLD.run, OLD.ref_type, OLD.ref_id, OLD.status, OLD.input, OLD.output, OLD.output_kind, OLD.error, OLD.metadata, OLD.sleep_until)
  IS NOT (NEW.run, NEW.ref_type, NEW.ref_id, NEW.status, NEW.input, NEW.output, NEW.output_kind, NEW.error, NEW.metadata, NEW.sleep_until)
BEGIN
  UPDATE status_counts SET count = count - 1
    WHERE workflow = OLD.workflow AND status = OLD.status AND OLD.status <> NEW.status;
  INSERT INTO status_counts (workflow, status, count)
    SELECT NEW.workflow, NEW.status, 1 WHERE OLD.status <> NEW.status
    ON CONFLICT (workflow, status) DO UPDATE SET count = count + 1;
  -- A restart keeps the run before it, as TERMINATED if it had not ended.
  INSERT INTO runs (instance, run, status, output, output_kind, error, started_at, completed_at)
    SELECT OLD.id, OLD.run, iif(OLD.completed_at IS NULL, 'TERMINATED', OLD.status), OLD.output, OLD.output_kind, OLD.error,
      OLD.started_at, coalesce(OLD.completed_at, NEW.updated_at)
    WHERE NEW.run <> OLD.run;
  -- The steps that the end of a run leaves open end with it, and their events come before its own.
  UPDATE steps SET status = 'CANCELLED', next_retry_at = NULL, completed_at = NEW.updated_at, updated_at = NEW.updated_at
    WHERE instance = OLD.id AND run = OLD.run AND status IN ('PENDING', 'RUNNING', 'RETRYING')
      AND OLD.completed_at IS NULL AND (NEW.completed_at IS NOT NULL OR NEW.run <> OLD.run);
  INSERT INTO events (at, type, instance, run, status, data, moved_from) VALUES (
    NEW.updated_at,
    CASE
      WHEN NEW.run <> OLD.run THEN 'INSTANCE_RESTARTED'
      WHEN NEW.status = OLD.status OR NEW.status IN ('WAITING_FOR_PAUSE', 'UNKNOWN') THEN 'INSTANCE_UPDATED'
      WHEN NEW.status = 'RUNNING' AND OLD.status IN ('QUEUED', 'UNKNOWN') THEN 'INSTANCE_STARTED'
      WHEN NEW.status = 'RUNNING' THEN 'INSTANCE_RESUMED'
      ELSE 'INSTANCE_' || NEW.status
    END,
    NEW.id, NEW.run, NEW.status,
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

-- An instance that has left QUEUED is in the engine.
CREATE TRIGGER engine_input_forgotten AFTER UPDATE OF status ON instances
WHEN OLD.engine_input IS NOT NULL AND OLD.status = 'QUEUED' AND NEW.status <> 'QUEUED'
BEGIN
  UPDATE instances SET engine_input = NULL WHERE id = OLD.id;
END;

CREATE TRIGGER instance_deleted AFTER DELETE ON instances BEGIN
  UPDATE status_counts SET count = count - 1 WHERE workflow = OLD.workflow AND status = OLD.status;
END;

-- A step's own columns have its current attempt and status; the rows of `attempts` and the events follow
-- from them.
CREATE TRIGGER step_inserted AFTER INSERT ON steps BEGIN
  -- A pending step has not started, but the instance has one more.
  INSERT INTO events (at, type, instance, run, status, step, occurrence)
    SELECT NEW.updated_at, iif(NEW.status = 'PENDING', 'INSTANCE_UPDATED', 'STEP_STARTED'),
      NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence
    FROM instances i WHERE i.id = NEW.instance;
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt)
    SELECT NEW.updated_at, 'ATTEMPT_STARTED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, NEW.attempt
    FROM instances i WHERE i.id = NEW.instance AND NEW.attempt > 0;
  -- The attempts before the first that was reported have failed; of many, only the last are kept.
  INSERT INTO attempts (step, number, status)
    SELECT NEW.id, NEW.attempt - 1 - key, 'FAILED'
    FROM json_each('[' || rtrim(replace(hex(zeroblob(min(NEW.attempt - 1, 100))), '00', '0,'), ',') || ']')
    WHERE NEW.attempt > 1;
  INSERT INTO attempts (step, number, status, error, started_at, ended_at, retry_at)
    SELECT NEW.id, NEW.attempt,
      CASE NEW.status WHEN 'RUNNING' THEN 'RUNNING' WHEN 'COMPLETED' THEN 'COMPLETED' ELSE 'FAILED' END,
      CASE WHEN NEW.status IN ('RETRYING', 'FAILED') THEN NEW.error END,
      NEW.started_at, CASE WHEN NEW.status <> 'RUNNING' THEN NEW.updated_at END, NEW.next_retry_at
    WHERE NEW.attempt > 0;
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT NEW.updated_at, 'ATTEMPT_FAILED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, NEW.attempt,
      json_object('error', json_remove(NEW.error, '$.stack'), 'retryAt', NEW.next_retry_at)
    FROM instances i WHERE i.id = NEW.instance AND NEW.attempt > 0 AND NEW.status IN ('RETRYING', 'FAILED');
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT NEW.updated_at, 'STEP_' || NEW.status, NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, nullif(NEW.attempt, 0),
      CASE NEW.status WHEN 'FAILED' THEN json_object('error', json_remove(NEW.error, '$.stack')) END
    FROM instances i WHERE i.id = NEW.instance AND NEW.status IN ('COMPLETED', 'FAILED');
  -- The follower sets the time of a followed instance once for all the changes of a batch.
  UPDATE instances
    SET updated_at = iif(followed IS NULL OR behind_since IS NOT NULL, NEW.updated_at, updated_at),
      retrying_steps = retrying_steps + (NEW.status = 'RETRYING')
    WHERE id = NEW.instance
      AND (followed IS NULL OR behind_since IS NOT NULL OR NEW.status = 'RETRYING');
END;

CREATE TRIGGER step_updated AFTER UPDATE OF status, attempt ON steps
WHEN (OLD.status, OLD.attempt) <> (NEW.status, NEW.attempt)
BEGIN
  INSERT INTO events (at, type, instance, run, status, step, occurrence)
    SELECT NEW.updated_at, 'STEP_STARTED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence
    FROM instances i
    WHERE i.id = NEW.instance AND NEW.status NOT IN ('PENDING', 'CANCELLED')
      AND (OLD.status = 'PENDING' OR (OLD.status = 'CANCELLED' AND OLD.started_at IS NULL));
  -- An attempt that is overtaken by another has failed, though nobody reported it.
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT NEW.updated_at, 'ATTEMPT_FAILED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, OLD.attempt,
      json_object('error', NULL, 'retryAt', NULL)
    FROM instances i JOIN attempts a ON a.step = NEW.id AND a.number = OLD.attempt
    WHERE i.id = NEW.instance AND NEW.attempt > OLD.attempt AND a.status IN ('RUNNING', 'CANCELLED');
  UPDATE attempts SET status = 'FAILED', ended_at = coalesce(ended_at, NEW.updated_at)
    WHERE step = NEW.id AND number = OLD.attempt AND number < NEW.attempt AND status IN ('RUNNING', 'CANCELLED');
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt)
    SELECT NEW.updated_at, 'ATTEMPT_STARTED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, NEW.attempt
    FROM instances i WHERE i.id = NEW.instance AND NEW.attempt > OLD.attempt;
  -- The attempts in between, as in `step_inserted`.
  INSERT INTO attempts (step, number, status)
    SELECT NEW.id, NEW.attempt - 1 - key, 'FAILED'
    FROM json_each('[' || rtrim(replace(hex(zeroblob(min(NEW.attempt - OLD.attempt - 1, 100))), '00', '0,'), ',') || ']')
    WHERE NEW.attempt > OLD.attempt + 1;
  -- Unless the attempt has failed before, as that of a step that is RETRYING has.
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT NEW.updated_at, 'ATTEMPT_FAILED', NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, NEW.attempt,
      json_object('error', json_remove(NEW.error, '$.stack'), 'retryAt', NEW.next_retry_at)
    FROM instances i
    WHERE i.id = NEW.instance AND NEW.attempt > 0 AND NEW.status IN ('RETRYING', 'FAILED')
      AND NOT EXISTS (SELECT 1 FROM attempts WHERE step = NEW.id AND number = NEW.attempt AND status = 'FAILED');
  INSERT INTO attempts (step, number, status, error, started_at, ended_at, retry_at)
    SELECT NEW.id, NEW.attempt,
      CASE NEW.status
        WHEN 'RUNNING' THEN 'RUNNING' WHEN 'COMPLETED' THEN 'COMPLETED' WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'FAILED'
      END,
      CASE WHEN NEW.status IN ('RETRYING', 'FAILED') THEN NEW.error END,
      NEW.updated_at, CASE WHEN NEW.status <> 'RUNNING' THEN NEW.updated_at END, NEW.next_retry_at
    WHERE NEW.attempt > 0
    ON CONFLICT (step, number) DO UPDATE
      SET status = excluded.status, error = excluded.error, ended_at = excluded.ended_at, retry_at = excluded.retry_at
      WHERE attempts.status IN ('RUNNING', 'CANCELLED');
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT NEW.updated_at, 'STEP_' || NEW.status, NEW.instance, NEW.run, i.status, NEW.name, NEW.occurrence, nullif(NEW.attempt, 0),
      CASE NEW.status WHEN 'FAILED' THEN json_object('error', json_remove(NEW.error, '$.stack')) END
    FROM instances i WHERE i.id = NEW.instance AND NEW.status IN ('COMPLETED', 'FAILED');
  -- The instance has its next status already; its last event has the one before.
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt)
    SELECT NEW.updated_at, 'STEP_CANCELLED', NEW.instance, NEW.run,
      coalesce((SELECT status FROM events WHERE instance = NEW.instance ORDER BY id DESC LIMIT 1), i.status),
      NEW.name, NEW.occurrence, nullif(NEW.attempt, 0)
    FROM instances i WHERE i.id = NEW.instance AND NEW.status = 'CANCELLED';
  UPDATE instances
    SET updated_at = iif(followed IS NULL OR behind_since IS NOT NULL, NEW.updated_at, updated_at),
      retrying_steps = retrying_steps + (NEW.status = 'RETRYING') - (OLD.status = 'RETRYING')
    WHERE id = NEW.instance
      AND (followed IS NULL OR behind_since IS NOT NULL OR 'RETRYING' IN (NEW.status, OLD.status));
END;

-- A report that is overtaken by the next attempt gives its failed attempt the error.
CREATE TRIGGER attempt_filled AFTER UPDATE OF error ON attempts
WHEN OLD.status = 'FAILED' AND NEW.status = 'FAILED' AND OLD.error IS NULL AND NEW.error IS NOT NULL
BEGIN
  UPDATE instances SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE id = (SELECT instance FROM steps WHERE id = NEW.step);
  INSERT INTO events (at, type, instance, run, status, step, occurrence, attempt, data)
    SELECT i.updated_at, 'ATTEMPT_FAILED', i.id, s.run, i.status, s.name, s.occurrence, NEW.number,
      json_object('error', json_remove(NEW.error, '$.stack'), 'retryAt', NEW.retry_at)
    FROM steps s JOIN instances i ON i.id = s.instance WHERE s.id = NEW.step;
END;

CREATE TRIGGER step_deleted AFTER DELETE ON steps BEGIN
  UPDATE instances SET retrying_steps = retrying_steps - 1
    WHERE id = OLD.instance AND OLD.status = 'RETRYING';
END;
