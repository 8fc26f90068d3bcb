-- A statement that finds that its transaction must not be made inserts the reason here: the whole batch
-- is rolled back, and the error's message is the reason.

CREATE TABLE refusals (reason TEXT NOT NULL) STRICT;

CREATE TRIGGER refusal BEFORE INSERT ON refusals BEGIN
  SELECT RAISE(ABORT, NEW.reason);
END;
