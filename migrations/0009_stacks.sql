-- The stacks of errors that were reported for followed instances, whose histories have none. A stack may
-- be reported before or after its error is recorded, so it is joined when it is read.

CREATE TABLE stacks (
  instance INTEGER NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
  run INTEGER NOT NULL CHECK (run >= 1),
  -- The step that failed; '' and 0 for the error of the run.
  step TEXT NOT NULL,
  occurrence INTEGER NOT NULL,
  -- 0 if the report did not name it.
  attempt INTEGER NOT NULL,
  -- That of the error. The engine's own may have more before and after it.
  message TEXT NOT NULL,
  stack TEXT NOT NULL,
  PRIMARY KEY (instance, run, step, occurrence, attempt)
) STRICT, WITHOUT ROWID;
