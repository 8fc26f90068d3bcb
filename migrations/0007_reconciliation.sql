-- The positions of the cron trigger among the instances that it compares with the engine, a JSON array of
-- `created_at` and `id`: the next run continues there. 'QUEUED' are starts, 'STARTED' are all other
-- unfinished instances.

CREATE TABLE reconciliations (
  lane TEXT NOT NULL PRIMARY KEY,
  place TEXT NOT NULL CHECK (json_valid(place))
) STRICT, WITHOUT ROWID;
