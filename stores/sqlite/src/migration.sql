-- The tables of dogpile-sqlite, version 1. It may be run again: what is there is left as it is.
-- Times are nanoseconds since 1970.
BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS dogpile_schema (version INTEGER NOT NULL);
INSERT INTO dogpile_schema SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM dogpile_schema);

-- What was invalidated as a whole.
CREATE TABLE IF NOT EXISTS dogpile_spaces (
  name TEXT PRIMARY KEY NOT NULL,
  generation INTEGER NOT NULL,
  removed INTEGER NOT NULL
) WITHOUT ROWID;

-- Of each key: the lease, and what is told of the value. The value stands in a table of its own, so that
-- a renewal of the lease does not write it again.
CREATE TABLE IF NOT EXISTS dogpile_records (
  id INTEGER PRIMARY KEY NOT NULL,
  key BLOB NOT NULL UNIQUE,
  generation INTEGER NOT NULL,
  owner BLOB,
  leased_until INTEGER NOT NULL,
  began INTEGER NOT NULL,
  quiet_until INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  worth_until INTEGER NOT NULL,
  space INTEGER NOT NULL,
  version INTEGER,
  made INTEGER,
  placed INTEGER,
  fresh_until INTEGER,
  kept_until INTEGER,
  expired INTEGER,
  value_space INTEGER,
  checksum INTEGER,
  ends INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS dogpile_records_ends ON dogpile_records (ends);

CREATE TABLE IF NOT EXISTS dogpile_values (
  id INTEGER PRIMARY KEY NOT NULL,
  bytes BLOB NOT NULL
);
CREATE TRIGGER IF NOT EXISTS dogpile_values_go AFTER DELETE ON dogpile_records BEGIN
  DELETE FROM dogpile_values WHERE id = old.id;
END;

COMMIT;
