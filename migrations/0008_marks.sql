-- Where the log stood before the write that is being made: what a poke brings along is read from there
-- (see resolvers/pokes.mjs). Only such a write sets it, and only what it reads looks at it.

ALTER TABLE trackers ADD COLUMN marked INTEGER;
