-- The tables and functions of dogpile-postgres, version 1. It may be run again: what is in the tables is left
-- as it is. Times are microseconds since 1970 by the server's clock.
BEGIN;
-- Two who run it at once would make the same table.
SELECT pg_advisory_xact_lock(7236837127465725036);

CREATE TABLE IF NOT EXISTS dogpile_schema (version integer NOT NULL);
INSERT INTO dogpile_schema SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM dogpile_schema);

-- Unlogged: a cache needs no log. After a crash of the server, and on a replica that takes over, they are
-- empty, which is safer than an older state.
CREATE UNLOGGED TABLE IF NOT EXISTS dogpile_spaces (
  -- Of a namespace, as bytes: a text here has no zero byte.
  name bytea PRIMARY KEY,
  generation bigint NOT NULL,
  removed bigint NOT NULL
);

-- Of each key: the lease, and what is told of the value. A key may be longer than an index takes, so it is found
-- by its digest.
CREATE UNLOGGED TABLE IF NOT EXISTS dogpile_records (
  digest bytea PRIMARY KEY,
  key bytea NOT NULL,
  generation bigint NOT NULL,
  owner bytea,
  leased_until bigint NOT NULL,
  began bigint NOT NULL,
  quiet_until bigint NOT NULL,
  failures integer NOT NULL,
  worth_until bigint NOT NULL,
  space bigint NOT NULL,
  version bigint,
  made bigint,
  placed bigint,
  fresh_until bigint,
  kept_until bigint,
  expired boolean,
  value_space bigint,
  checksum bigint,
  ends bigint NOT NULL,
  CHECK (version IS NULL OR version > 0 AND num_nulls(made, placed, fresh_until, kept_until, expired, value_space, checksum) = 0)
);
CREATE INDEX IF NOT EXISTS dogpile_records_ends ON dogpile_records (ends);

-- The values stand apart, so that a change of a lease does not read them.
CREATE UNLOGGED TABLE IF NOT EXISTS dogpile_values (
  digest bytea PRIMARY KEY REFERENCES dogpile_records ON DELETE CASCADE,
  version bigint NOT NULL,
  bytes bytea NOT NULL
);
ALTER TABLE dogpile_values ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE OR REPLACE FUNCTION dogpile_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- The record of a key as it is to be taken now. `mended`: it has to be written before anybody leads.
CREATE OR REPLACE FUNCTION dogpile_load(
  k bytea, n bytea, locked boolean, OUT r dogpile_records, OUT t bigint, OUT mended boolean
) LANGUAGE plpgsql AS $$
DECLARE
  g bigint;
  gone bigint;
  ahead bigint;
BEGIN
  IF locked THEN
    SELECT x.* INTO r FROM dogpile_records x WHERE x.digest = sha256(k) FOR UPDATE;
  ELSE
    SELECT x.* INTO r FROM dogpile_records x WHERE x.digest = sha256(k);
  END IF;
  -- After the record: of two moments the later one counts for what was invalidated.
  SELECT s.generation, s.removed INTO g, gone FROM dogpile_spaces s WHERE s.name = n;
  g := coalesce(g, 0);
  gone := coalesce(gone, 0);
  t := dogpile_now();
  mended := false;
  IF r.digest IS NULL THEN
    r.generation := 0;
    r.leased_until := 0; r.began := 0; r.quiet_until := 0; r.failures := 0; r.worth_until := 0; r.space := g;
    RETURN;
  END IF;
  -- If the last creation began in the future, the clock was put back since: each end moves back with it.
  IF r.began > t + 1000000 THEN
    ahead := r.began - t;
    mended := true;
    r.began := t;
    r.leased_until := greatest(r.leased_until - ahead, 0);
    r.quiet_until := greatest(r.quiet_until - ahead, 0);
    r.worth_until := greatest(r.worth_until - ahead, 0);
  END IF;
  -- Nobody can tell how old a value is that was placed in the future: it is to be renewed.
  IF r.version IS NOT NULL AND r.placed > t + 1000000 THEN
    ahead := r.placed - t;
    mended := true;
    r.expired := true;
    r.placed := t;
    r.made := r.made - ahead;
    r.fresh_until := greatest(r.fresh_until - ahead, 0);
    r.kept_until := greatest(r.kept_until - ahead, 0);
  END IF;
  -- What bears another generation is from before the namespace was invalidated.
  IF r.space <> g THEN
    r.owner := NULL;
    r.leased_until := 0; r.began := 0; r.quiet_until := 0; r.failures := 0; r.worth_until := 0; r.space := g;
  END IF;
  IF r.value_space <> g THEN
    IF gone <= r.value_space AND r.value_space < g THEN r.expired := true; ELSE r.version := NULL; END IF;
  END IF;
  IF r.kept_until <= t THEN r.version := NULL; END IF;
END
$$;

-- Sees to it that there is a row, and removes two that are over.
CREATE OR REPLACE FUNCTION dogpile_enter(k bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t bigint := dogpile_now();
BEGIN
  INSERT INTO dogpile_records AS x (digest, key, generation, leased_until, began, quiet_until, failures, worth_until, space, ends)
  VALUES (sha256(k), k, 0, 0, 0, 0, 0, 0, 0, t + 10000000)
  ON CONFLICT (digest) DO NOTHING;
  IF FOUND THEN
    DELETE FROM dogpile_records x WHERE x.digest IN (
      SELECT y.digest FROM dogpile_records y WHERE y.ends < t AND y.digest <> sha256(k)
      ORDER BY y.ends LIMIT 2 FOR UPDATE SKIP LOCKED
    );
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION dogpile_save(r dogpile_records, t bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  kept boolean := r.version IS NOT NULL;
BEGIN
  UPDATE dogpile_records x SET
    generation = r.generation, owner = r.owner, leased_until = r.leased_until, began = r.began,
    quiet_until = r.quiet_until, failures = r.failures, worth_until = r.worth_until, space = r.space,
    version = r.version,
    made = CASE WHEN kept THEN r.made END, placed = CASE WHEN kept THEN r.placed END,
    fresh_until = CASE WHEN kept THEN r.fresh_until END, kept_until = CASE WHEN kept THEN r.kept_until END,
    expired = CASE WHEN kept THEN r.expired END, value_space = CASE WHEN kept THEN r.value_space END,
    checksum = CASE WHEN kept THEN r.checksum END,
    -- What holds nothing is kept for ten seconds, for the order of its numbers.
    ends = greatest(t + 10000000, r.worth_until, CASE WHEN r.owner IS NOT NULL THEN r.leased_until END,
      CASE WHEN kept THEN r.kept_until END)
  WHERE x.digest = r.digest;
  IF NOT kept THEN
    DELETE FROM dogpile_values v WHERE v.digest = r.digest;
  END IF;
END
$$;

-- A write or an invalidation: whoever leads has lost, and whoever asks next need not wait.
CREATE OR REPLACE FUNCTION dogpile_overtake(r dogpile_records, t bigint) RETURNS dogpile_records
LANGUAGE plpgsql AS $$
BEGIN
  r.generation := greatest(r.generation + 1, t);
  r.owner := NULL;
  r.leased_until := 0; r.began := 0; r.quiet_until := 0; r.failures := 0; r.worth_until := 0;
  RETURN r;
END
$$;

-- A hint. A key that is too long for it is told as its namespace.
CREATE OR REPLACE FUNCTION dogpile_tell(hints boolean, kind text, v bigint, k bytea, n bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT hints THEN RETURN; END IF;
  IF k IS NOT NULL AND length(k) <= 3000 THEN
    PERFORM pg_notify('dogpile_hints', kind || v || ' ' || encode(k, 'hex'));
  ELSIF kind <> 'R' AND length(n) <= 3000 THEN
    PERFORM pg_notify('dogpile_hints', CASE WHEN kind IN ('W', 'H', 'N') THEN 'N' ELSE 'n' END || '0 ' || encode(n, 'hex'));
  END IF;
END
$$;

-- The value if it is fresh, else the lease if it is free, of each record.
CREATE OR REPLACE FUNCTION dogpile_ask(
  keys bytea[], names bytea[], owners bytea[], leases bigint[], knowns bigint[], floors bigint[], aheads boolean[],
  intervals bigint[]
) RETURNS TABLE (
  o_at integer, o_kind text, o_fence bigint, o_wait bigint, o_failures integer, o_version bigint, o_age bigint,
  o_fresh bigint, o_over bigint, o_expired boolean, o_checksum bigint, o_bytes bytea
) LANGUAGE plpgsql AS $$
DECLARE
  i integer;
  locked boolean;
  l record;
  r dogpile_records;
  t bigint;
  leased boolean;
  over bigint;
  fresh boolean;
  early boolean;
  writes boolean;
BEGIN
  -- Rows are locked in one order, whatever that of the asks is: else two callers would wait for each other.
  FOR i IN SELECT s FROM generate_subscripts(keys, 1) s ORDER BY sha256(keys[s]), s LOOP
    locked := false;
    LOOP
      IF locked THEN PERFORM dogpile_enter(keys[i]); END IF;
      SELECT * INTO l FROM dogpile_load(keys[i], names[i], locked);
      r := l.r;
      t := l.t;
      -- It was removed between the two.
      CONTINUE WHEN locked AND r.digest IS NULL;
      leased := r.owner IS NOT NULL AND t < r.leased_until;
      over := r.quiet_until;
      IF r.began > 0 THEN over := greatest(over, r.began + intervals[i]); END IF;
      fresh := r.version IS NOT NULL AND NOT r.expired AND t < r.fresh_until AND r.version > floors[i];
      early := aheads[i] AND owners[i] IS NOT NULL AND r.version IS NOT DISTINCT FROM knowns[i];
      o_at := i;
      o_wait := 0;
      writes := l.mended AND owners[i] IS NOT NULL;
      IF leased AND r.owner = owners[i] THEN
        o_kind := 'L';
        writes := true;
        r.leased_until := t + leases[i];
      ELSIF fresh AND (NOT early OR leased OR t < over) THEN
        o_kind := 'F';
      ELSIF leased THEN
        o_kind := 'B';
        o_wait := r.leased_until - t;
      ELSIF t < over THEN
        o_kind := 'Q';
        o_wait := over - t;
      ELSIF owners[i] IS NULL THEN
        o_kind := 'I';
      ELSE
        o_kind := 'L';
        writes := true;
        r.generation := greatest(r.generation + 1, t);
        r.owner := owners[i];
        r.leased_until := t + leases[i];
        r.began := t;
        r.worth_until := greatest(r.worth_until, t + intervals[i]);
      END IF;
      IF writes AND NOT locked THEN
        locked := true;
        CONTINUE;
      END IF;
      o_bytes := NULL;
      IF r.version <> knowns[i] THEN
        SELECT v.bytes INTO o_bytes FROM dogpile_values v WHERE v.digest = r.digest AND v.version = r.version;
        -- Another took its place, or it is lost: then this is no value.
        IF NOT FOUND THEN
          IF NOT locked THEN
            locked := true;
            CONTINUE;
          END IF;
          r.version := NULL;
          PERFORM dogpile_save(r, t);
          CONTINUE;
        END IF;
      END IF;
      IF writes THEN PERFORM dogpile_save(r, t); END IF;
      EXIT;
    END LOOP;
    o_fence := r.generation;
    o_failures := r.failures;
    o_version := r.version;
    o_age := greatest(t - r.made, 0);
    o_fresh := greatest(r.fresh_until - t, 0);
    o_over := greatest(t - r.fresh_until, 0);
    o_expired := r.expired;
    o_checksum := r.checksum;
    RETURN NEXT;
  END LOOP;
END
$$;

-- Stores a value on a condition: L (owner, number), A, V (number), *.
CREATE OR REPLACE FUNCTION dogpile_put(
  k bytea, n bytea, guard text, o bytea, number bigint, value bytea, sum bigint, age bigint, fresh bigint, keep bigint,
  hints boolean, OUT o_kind text, OUT o_version bigint
) LANGUAGE plpgsql AS $$
DECLARE
  l record;
  r dogpile_records;
  t bigint;
BEGIN
  LOOP
    IF guard <> 'L' THEN PERFORM dogpile_enter(k); END IF;
    SELECT * INTO l FROM dogpile_load(k, n, true);
    r := l.r;
    t := l.t;
    EXIT WHEN guard = 'L' OR r.digest IS NOT NULL;
  END LOOP;
  o_kind := 'R';
  o_version := coalesce(r.version, 0);
  IF r.digest IS NULL THEN
    o_kind := 'G';
    RETURN;
  ELSIF guard = 'L' THEN
    -- It was sent twice.
    IF r.version = number THEN o_kind := 'S'; RETURN; END IF;
    IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN; END IF;
    r.owner := NULL; r.failures := 0; r.quiet_until := 0;
  ELSE
    IF guard = 'A' AND o_version <> 0 OR guard = 'V' AND o_version <> number THEN RETURN; END IF;
    r := dogpile_overtake(r, t);
  END IF;
  r.version := r.generation; r.made := t - age; r.placed := t; r.fresh_until := t + fresh;
  r.kept_until := t + keep; r.expired := false; r.value_space := r.space; r.checksum := sum;
  PERFORM dogpile_save(r, t);
  INSERT INTO dogpile_values AS v (digest, version, bytes) VALUES (r.digest, r.version, value)
  ON CONFLICT (digest) DO UPDATE SET version = excluded.version, bytes = excluded.bytes;
  -- A commit leaves copies of the value before it to their end, a write does not.
  PERFORM dogpile_tell(hints, CASE WHEN guard = 'L' THEN 'C' ELSE 'W' END, r.version, k, n);
  o_kind := 'S';
  o_version := r.version;
END
$$;

CREATE OR REPLACE FUNCTION dogpile_renew(k bytea, n bytea, o bytea, number bigint, lease bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  l record;
  r dogpile_records;
  t bigint;
BEGIN
  SELECT * INTO l FROM dogpile_load(k, n, true);
  r := l.r;
  t := l.t;
  IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN false; END IF;
  r.leased_until := t + lease;
  PERFORM dogpile_save(r, t);
  RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION dogpile_release(k bytea, n bytea, o bytea, number bigint, quiet bigint, hints boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  l record;
  r dogpile_records;
  t bigint;
BEGIN
  SELECT * INTO l FROM dogpile_load(k, n, true);
  r := l.r;
  t := l.t;
  IF r.owner IS DISTINCT FROM o OR r.generation <> number THEN RETURN false; END IF;
  r.owner := NULL;
  IF quiet > 0 THEN
    -- For as long again the count of failures tells how long the next span is.
    r.failures := r.failures + 1;
    r.quiet_until := t + quiet;
    r.worth_until := greatest(r.worth_until, t + 2 * quiet);
  ELSIF r.version IS NULL THEN
    -- Given up, perhaps by a caller who left: the next one need not wait for that.
    r.began := 0;
  END IF;
  PERFORM dogpile_save(r, t);
  PERFORM dogpile_tell(hints, 'R', 0, k, n);
  RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION dogpile_invalidate(k bytea, n bytea, hard boolean, only_version bigint, hints boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  l record;
  r dogpile_records;
  t bigint;
BEGIN
  SELECT * INTO l FROM dogpile_load(k, n, true);
  r := l.r;
  t := l.t;
  IF only_version <> 0 AND r.version IS DISTINCT FROM only_version THEN RETURN false; END IF;
  IF r.digest IS NOT NULL THEN
    r := dogpile_overtake(r, t);
    IF hard THEN r.version := NULL; ELSE r.expired := true; END IF;
    PERFORM dogpile_save(r, t);
  END IF;
  -- Also if there is nothing here: others may have copies of what the server has forgotten.
  PERFORM dogpile_tell(hints, CASE WHEN hard THEN 'H' ELSE 'S' END, 0, k, n);
  RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION dogpile_invalidate_all(n bytea, hard boolean, hints boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  t bigint := dogpile_now();
BEGIN
  INSERT INTO dogpile_spaces AS s (name, generation, removed)
  VALUES (n, greatest(t, 1), CASE WHEN hard THEN greatest(t, 1) ELSE 0 END)
  ON CONFLICT (name) DO UPDATE SET
    generation = greatest(s.generation + 1, t),
    removed = CASE WHEN hard THEN greatest(s.generation + 1, t) ELSE s.removed END;
  PERFORM dogpile_tell(hints, CASE WHEN hard THEN 'N' ELSE 'n' END, 0, NULL, n);
  RETURN true;
END
$$;

COMMIT;
