-- The shards of the tracker that have subscribers: a write reads in its own batch whom to poke.
-- `checked` is the head of the log when the cron trigger last poked the shard.

CREATE TABLE trackers (
  shard TEXT NOT NULL PRIMARY KEY,
  checked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
