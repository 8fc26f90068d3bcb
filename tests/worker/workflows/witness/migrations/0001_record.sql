CREATE TABLE calls (
  instance_id TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE attempts (
  instance_id TEXT NOT NULL,
  step TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
