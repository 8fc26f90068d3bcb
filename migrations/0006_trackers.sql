-- The shards of the tracker that have subscribers: a write reads in its own batch which to notify.

CREATE TABLE trackers (
  shard TEXT NOT NULL PRIMARY KEY,
  -- The head of the log when the cron trigger last notified the shard.
  checked INTEGER NOT NULL DEFAULT 0,
  -- The head of the log before the write that is being made: a prefetch reads the events after it. Only
  -- such a write sets it, and only its own statements read it.
  marked INTEGER
) STRICT, WITHOUT ROWID;
