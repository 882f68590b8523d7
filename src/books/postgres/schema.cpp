// The schema in PostgreSQL: tables, the functions of leases, roles.
#include "books/postgres/schema.h"

#include "books/leases/unit_rules.h"
#include "books/postgres/blob_pieces.h"
#include "books/postgres/connection.h"
#include "ground/base/file.h"

namespace lathe::books {
namespace {

constexpr int kMostWords = 1 << 16;

// Names are compared byte by byte, as everywhere else in this house.
constexpr const char* kPgTables = R"sql(
CREATE TABLE meta (format integer NOT NULL);

CREATE TABLE run (
  id text COLLATE "C" PRIMARY KEY, recipe text NOT NULL, title text NOT NULL, state text NOT NULL,
  created_ms bigint NOT NULL);
CREATE TABLE record (
  run text COLLATE "C" NOT NULL REFERENCES run (id), seq bigint NOT NULL, t_ms bigint NOT NULL,
  joules double precision, kind text NOT NULL, body text NOT NULL, PRIMARY KEY (run, seq));
CREATE TABLE queue (
  run text COLLATE "C" PRIMARY KEY, added_ms bigint NOT NULL, paused integer NOT NULL);
CREATE TABLE label (
  run text COLLATE "C" NOT NULL, unit text COLLATE "C" NOT NULL, blob text COLLATE "C" NOT NULL,
  accept integer NOT NULL, reason text NOT NULL, by text NOT NULL, t_ms bigint NOT NULL,
  revision bigint NOT NULL, PRIMARY KEY (run, unit, blob));
CREATE TABLE ledger (
  number bigint PRIMARY KEY, body text NOT NULL, run text COLLATE "C" NOT NULL, start_ms bigint);
CREATE INDEX ledger_by_run ON ledger (run) WHERE run <> '';
CREATE TABLE ledger_tip (one integer PRIMARY KEY CHECK (one = 1), number bigint NOT NULL,
  hash text NOT NULL);
INSERT INTO ledger_tip VALUES (1, 0, '');
CREATE TABLE price_table (sha256 text COLLATE "C" PRIMARY KEY, bytes bytea NOT NULL);
CREATE TABLE intent (id text COLLATE "C" PRIMARY KEY, owner text NOT NULL, body text NOT NULL);
CREATE TABLE blob (sha256 text COLLATE "C" PRIMARY KEY, bytes bytea NOT NULL);
ALTER TABLE blob ALTER bytes SET STORAGE EXTERNAL;
-- What a watcher asks for: the sum grows with each change. Several rows, so that those who write
-- at once do not wait for each other.
CREATE TABLE change (shard integer PRIMARY KEY, version bigint NOT NULL);
INSERT INTO change SELECT shard, 0 FROM generate_series(0, 15) AS shard;

CREATE TABLE node (
  id text COLLATE "C" PRIMARY KEY, tier text NOT NULL, clearance integer NOT NULL,
  cert text NOT NULL, caps text NOT NULL, state integer NOT NULL, load text NOT NULL,
  seen_ms bigint NOT NULL);
CREATE TABLE unit (
  run text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL,
  privacy integer NOT NULL, home text COLLATE "C" NOT NULL, needs jsonb NOT NULL,
  deps jsonb NOT NULL, prio bigint NOT NULL, state integer NOT NULL DEFAULT 0,
  waiting bigint NOT NULL, epoch bigint NOT NULL DEFAULT 0,
  holder text COLLATE "C" NOT NULL DEFAULT '', held_epoch bigint NOT NULL DEFAULT 0,
  since_ms bigint NOT NULL DEFAULT 0, until_ms bigint NOT NULL DEFAULT 0,
  copy_holder text COLLATE "C" NOT NULL DEFAULT '', copy_epoch bigint NOT NULL DEFAULT 0,
  copy_since_ms bigint NOT NULL DEFAULT 0, copy_until_ms bigint NOT NULL DEFAULT 0,
  attempts jsonb NOT NULL DEFAULT '{}', passed integer NOT NULL DEFAULT 1,
  hash text COLLATE "C" NOT NULL DEFAULT '', reason text NOT NULL DEFAULT '',
  body text NOT NULL DEFAULT 'null', done_by text COLLATE "C" NOT NULL DEFAULT '',
  done_epoch bigint NOT NULL DEFAULT 0, done_ms bigint NOT NULL DEFAULT 0,
  took_ms bigint NOT NULL DEFAULT 0, alarm integer NOT NULL DEFAULT 0, PRIMARY KEY (run, id));
CREATE INDEX unit_open ON unit (prio DESC, run, id) WHERE state < 2 AND waiting = 0;
CREATE INDEX unit_passed ON unit (kind, done_ms, run, id) WHERE state = 2;
CREATE TABLE dep (
  run text COLLATE "C" NOT NULL, on_unit text COLLATE "C" NOT NULL, unit text COLLATE "C" NOT NULL,
  PRIMARY KEY (run, on_unit, unit));
)sql";

// What format 2 has more than format 1. A blob that is larger than a piece stands in pieces: who
// says so has to be looked at, for nobody here has the hash of all of them.
constexpr const char* kPgSecond = R"sql(
ALTER TABLE unit ADD COLUMN stale jsonb NOT NULL DEFAULT '{}';
CREATE TABLE piece (
  sha256 text COLLATE "C" NOT NULL, by text COLLATE "C" NOT NULL, at bigint NOT NULL,
  size bigint NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (sha256, by, at));
ALTER TABLE piece ALTER bytes SET STORAGE EXTERNAL;
DROP FUNCTION IF EXISTS blob_get(text);
)sql";

// The rules of books/leases/unit_rules.h, once more: here they must hold whoever calls. {lease_ms}
// and the other numbers are that header's.
constexpr const char* kPgRules = R"sql(
CREATE OR REPLACE FUNCTION format() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = lathe, pg_temp AS $$ SELECT format FROM meta $$;

-- The only clock.
CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint $$;

CREATE OR REPLACE FUNCTION speak_for(p_node text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF session_user <> p_node AND NOT pg_has_role(session_user, 'lathe_desk', 'USAGE') THEN
    RAISE EXCEPTION 'user % may not speak for node %', session_user, p_node
      USING ERRCODE = 'LT001';
  END IF;
END $$;

-- What a node says of itself and of its work is read again and again by whoever drives runs.
CREATE OR REPLACE FUNCTION be_short(p_words text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF octet_length(p_words) > {most_words} THEN
    RAISE EXCEPTION USING ERRCODE = 'LT002', MESSAGE = octet_length(p_words) ||
      ' bytes of a node; at most {most_words} are taken';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION member(p_node text) RETURNS node LANGUAGE plpgsql AS $$
DECLARE
  found_node node;
BEGIN
  PERFORM speak_for(p_node);
  SELECT * INTO found_node FROM node WHERE id = p_node;
  IF NOT FOUND OR found_node.state = 3 THEN
    RAISE EXCEPTION USING ERRCODE = 'LT003', MESSAGE = p_node;
  END IF;
  RETURN found_node;
END $$;

CREATE OR REPLACE FUNCTION is_poison(p_attempts jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(sum(value::bigint), 0) >=
         CASE WHEN count(*) >= 2 THEN {poison} ELSE {poison_alone} END
  FROM jsonb_each_text(p_attempts)
$$;

CREATE OR REPLACE FUNCTION one_more(p_attempts jsonb, p_node text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT p_attempts ||
         jsonb_build_object(p_node, coalesce((p_attempts ->> p_node)::bigint, 0) + 1)
$$;

CREATE OR REPLACE FUNCTION median_ms(p_kind text) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN count(*) >= {median_least}
              THEN (array_agg(took_ms ORDER BY took_ms))[count(*) / 2 + 1] END
  FROM (SELECT took_ms FROM unit WHERE kind = p_kind AND state = 2
        ORDER BY done_ms DESC, run DESC, id DESC LIMIT {median_of}) AS last
$$;

-- Of a unit that was given up, which is rare, and whoever waits for it is told.
CREATE OR REPLACE FUNCTION lose_dependents(p_run text, p_id text) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify('lathe_end', '');
  WITH RECURSIVE lost (id) AS (
    SELECT unit FROM dep WHERE run = p_run AND on_unit = p_id
    UNION SELECT dep.unit FROM dep JOIN lost ON dep.on_unit = lost.id WHERE dep.run = p_run)
  UPDATE unit SET state = 3, passed = 0, reason = 'dependency: ' || p_id
  WHERE run = p_run AND state = 0 AND id IN (SELECT id FROM lost)
$$;

CREATE OR REPLACE FUNCTION too_late(p_node text, p_run text, p_id text, p_epoch bigint)
RETURNS integer LANGUAGE sql AS $$
  UPDATE unit SET stale = one_more(stale, p_node)
  WHERE run = p_run AND id = p_id AND p_epoch BETWEEN 1 AND epoch;
  SELECT 2
$$;

-- Nobody is woken for nothing: whoever notifies waits for all others that do.
CREATE OR REPLACE FUNCTION wake() RETURNS void LANGUAGE sql AS $$ SELECT pg_notify('lathe', '') $$;

CREATE OR REPLACE FUNCTION end_lease(p_node text, p_run text, p_id text, p_epoch bigint, p_attempt boolean)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  u unit;
BEGIN
  PERFORM speak_for(p_node);
  SELECT * INTO u FROM unit
  WHERE run = p_run AND id = p_id AND state = 1 AND
        ((held_epoch = p_epoch AND holder = p_node) OR
         (copy_epoch = p_epoch AND copy_holder = p_node)) FOR UPDATE;
  IF NOT FOUND OR p_epoch < 1 THEN
    RETURN too_late(p_node, p_run, p_id, p_epoch);
  END IF;
  IF u.held_epoch = p_epoch THEN
    u.holder := u.copy_holder;
    u.held_epoch := u.copy_epoch;
    u.since_ms := u.copy_since_ms;
    u.until_ms := u.copy_until_ms;
  END IF;
  IF p_attempt THEN
    u.attempts := one_more(u.attempts, p_node);
  END IF;
  IF u.held_epoch = 0 THEN
    u.state := CASE WHEN p_attempt AND is_poison(u.attempts) THEN 3 ELSE 0 END;
  END IF;
  UPDATE unit SET
    holder = u.holder, held_epoch = u.held_epoch, since_ms = u.since_ms, until_ms = u.until_ms,
    copy_holder = '', copy_epoch = 0, copy_since_ms = 0, copy_until_ms = 0,
    attempts = u.attempts, state = u.state,
    passed = CASE WHEN u.state = 3 THEN 0 ELSE passed END,
    reason = CASE WHEN u.state = 3 THEN '{node_failures}' ELSE reason END
  WHERE run = p_run AND id = p_id;
  IF u.state = 3 THEN
    PERFORM lose_dependents(p_run, p_id);
  ELSE
    PERFORM wake();
  END IF;
  RETURN 0;
END $$;
)sql";

constexpr const char* kPgLeases = R"sql(
CREATE OR REPLACE FUNCTION lease(p_node text, p_caps jsonb, p_run text)
RETURNS TABLE (o_run text, o_id text, o_epoch bigint, o_since_ms bigint, o_until_ms bigint,
  o_copy integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
DECLARE
  n node := member(p_node);
  at_ms bigint := now_ms();
  u unit;
BEGIN
  IF n.state <> 0 THEN
    RETURN;
  END IF;
  p_caps := coalesce(
    (SELECT jsonb_agg(cap) FROM jsonb_array_elements_text(p_caps) AS cap
     WHERE NOT starts_with(cap, '{name_cap}') OR n.caps::jsonb ? cap), '[]');
  LOOP
    SELECT * INTO u FROM unit
    WHERE state < 2 AND waiting = 0 AND
          (state = 0 OR greatest(until_ms, copy_until_ms) < at_ms) AND
          (CASE home WHEN '' THEN n.clearance WHEN p_node THEN 0 ELSE greatest(n.clearance, 1) END) <= privacy AND
          needs <@ p_caps AND (p_run = '' OR run = p_run)
    ORDER BY prio DESC, run, id LIMIT 1 FOR UPDATE SKIP LOCKED;
    EXIT WHEN NOT FOUND;
    IF u.held_epoch > 0 THEN
      u.attempts := one_more(u.attempts, u.holder);
      IF u.copy_epoch > 0 THEN
        u.attempts := one_more(u.attempts, u.copy_holder);
      END IF;
      IF is_poison(u.attempts) THEN
        UPDATE unit SET
          state = 3, passed = 0, reason = '{node_failures}', attempts = u.attempts, holder = '',
          held_epoch = 0, since_ms = 0, until_ms = 0, copy_holder = '', copy_epoch = 0,
          copy_since_ms = 0, copy_until_ms = 0
        WHERE run = u.run AND id = u.id;
        PERFORM lose_dependents(u.run, u.id);
        CONTINUE;
      END IF;
    END IF;
    UPDATE unit SET
      state = 1, epoch = u.epoch + 1, holder = p_node, held_epoch = u.epoch + 1, since_ms = at_ms,
      until_ms = at_ms + {lease_ms}, copy_holder = '', copy_epoch = 0, copy_since_ms = 0,
      copy_until_ms = 0, attempts = u.attempts
    WHERE run = u.run AND id = u.id;
    RETURN QUERY SELECT u.run, u.id, u.epoch + 1, at_ms, at_ms + {lease_ms}, 0;
    RETURN;
  END LOOP;
  SELECT t.* INTO u FROM unit AS t
  JOIN (SELECT kinds.kind, median_ms(kinds.kind) AS usual_ms
        FROM (SELECT DISTINCT kind FROM unit WHERE state < 2 AND waiting = 0 AND state = 1)
          AS kinds) AS k ON k.kind = t.kind
  WHERE t.state = 1 AND t.waiting = 0 AND t.copy_epoch = 0 AND t.until_ms >= at_ms AND
        t.holder <> p_node AND at_ms - t.since_ms > {slower} * k.usual_ms AND
        (CASE t.home WHEN '' THEN n.clearance WHEN p_node THEN 0 ELSE greatest(n.clearance, 1) END) <= t.privacy AND
        t.needs <@ p_caps AND (p_run = '' OR t.run = p_run) AND t.state < 2
  ORDER BY t.prio DESC, t.run, t.id LIMIT 1 FOR UPDATE OF t SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE unit SET
    epoch = u.epoch + 1, copy_holder = p_node, copy_epoch = u.epoch + 1, copy_since_ms = at_ms,
    copy_until_ms = at_ms + {lease_ms}
  WHERE run = u.run AND id = u.id;
  RETURN QUERY SELECT u.run, u.id, u.epoch + 1, at_ms, at_ms + {lease_ms}, 1;
END $$;

CREATE OR REPLACE FUNCTION heartbeat(p_node text, p_leases jsonb, p_load text)
RETURNS TABLE (o_run text, o_id text, o_epoch bigint, o_since_ms bigint, o_until_ms bigint,
  o_copy integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
DECLARE
  at_ms bigint := now_ms();
  l record;
BEGIN
  PERFORM member(p_node);
  PERFORM be_short(p_load);
  UPDATE node SET load = p_load, seen_ms = at_ms WHERE id = p_node;
  -- In one order, whoever it is: two that hold the same units do not wait for each other.
  FOR l IN SELECT * FROM jsonb_to_recordset(p_leases) AS held (run text, id text, epoch bigint)
           WHERE epoch > 0 ORDER BY run COLLATE "C", id COLLATE "C", epoch LOOP
    RETURN QUERY UPDATE unit SET until_ms = at_ms + {lease_ms}
      WHERE run = l.run AND id = l.id AND state = 1 AND held_epoch = l.epoch AND holder = p_node
      RETURNING run, id, held_epoch, since_ms, until_ms, 0;
    RETURN QUERY UPDATE unit SET copy_until_ms = at_ms + {lease_ms}
      WHERE run = l.run AND id = l.id AND state = 1 AND copy_epoch = l.epoch AND
            copy_holder = p_node
      RETURNING run, id, copy_epoch, copy_since_ms, copy_until_ms, 1;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION complete(p_node text, p_run text, p_id text, p_epoch bigint, p_passed integer,
  p_hash text, p_reason text, p_body text)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
DECLARE
  at_ms bigint := now_ms();
  changed bigint;
  freed bigint := 0;
  u unit;
BEGIN
  PERFORM speak_for(p_node);
  PERFORM be_short(p_hash || p_reason || p_body);
  UPDATE unit SET
    state = CASE WHEN p_passed <> 0 THEN 2 ELSE 3 END,
    took_ms = at_ms - CASE WHEN held_epoch = p_epoch THEN since_ms ELSE copy_since_ms END,
    passed = p_passed, hash = p_hash, reason = p_reason, body = p_body, done_by = p_node,
    done_epoch = p_epoch, done_ms = at_ms, holder = '', held_epoch = 0, since_ms = 0,
    until_ms = 0, copy_holder = '', copy_epoch = 0, copy_since_ms = 0, copy_until_ms = 0
  WHERE run = p_run AND id = p_id AND state = 1 AND p_epoch > 0 AND
        ((held_epoch = p_epoch AND holder = p_node) OR
         (copy_epoch = p_epoch AND copy_holder = p_node));
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed = 1 THEN
    IF p_passed = 0 THEN
      PERFORM lose_dependents(p_run, p_id);
      RETURN 0;
    END IF;
    PERFORM 1 FROM unit
    WHERE run = p_run AND
          id IN (SELECT dep.unit FROM dep WHERE dep.run = p_run AND dep.on_unit = p_id)
    ORDER BY id FOR UPDATE;
    UPDATE unit SET waiting = waiting - 1
    WHERE run = p_run AND
          id IN (SELECT dep.unit FROM dep WHERE dep.run = p_run AND dep.on_unit = p_id);
    GET DIAGNOSTICS freed = ROW_COUNT;
    IF freed > 0 THEN
      PERFORM wake();
    END IF;
    RETURN 0;
  END IF;
  SELECT * INTO u FROM unit WHERE run = p_run AND id = p_id;
  IF NOT FOUND THEN
    RETURN 2;
  END IF;
  IF u.done_epoch > 0 AND u.done_epoch = p_epoch AND u.done_by = p_node AND u.hash = p_hash AND
     u.passed = p_passed THEN
    RETURN 1;
  END IF;
  IF u.state = 2 AND p_passed <> 0 AND p_hash <> '' AND u.hash <> '' AND u.hash <> p_hash AND
     p_epoch BETWEEN 1 AND u.epoch THEN
    UPDATE unit SET alarm = 1 WHERE run = p_run AND id = p_id;
    RETURN 3;
  END IF;
  RETURN too_late(p_node, p_run, p_id, p_epoch);
END $$;

CREATE OR REPLACE FUNCTION fail(p_node text, p_run text, p_id text, p_epoch bigint) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = lathe, pg_temp AS
$$ SELECT end_lease(p_node, p_run, p_id, p_epoch, true) $$;

CREATE OR REPLACE FUNCTION release(p_node text, p_run text, p_id text, p_epoch bigint) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = lathe, pg_temp AS
$$ SELECT end_lease(p_node, p_run, p_id, p_epoch, false) $$;

CREATE OR REPLACE FUNCTION blob_put(p_bytes bytea) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
  INSERT INTO blob VALUES (encode(sha256(p_bytes), 'hex'), p_bytes) ON CONFLICT DO NOTHING;
  SELECT encode(sha256(p_bytes), 'hex')
$$;

-- Who says that it is there, how large it is and how much of it there is: the database itself (no
-- name) before the caller before others.
CREATE OR REPLACE FUNCTION blob_there(p_sha256 text)
RETURNS TABLE (o_by text, o_size bigint, o_there bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
  SELECT * FROM (
    SELECT '', octet_length(bytes)::bigint, octet_length(bytes)::bigint FROM blob
    WHERE sha256 = p_sha256
    UNION ALL
    SELECT by, size, sum(octet_length(bytes))::bigint FROM piece WHERE sha256 = p_sha256
    GROUP BY by, size) AS told (by, size, there)
  ORDER BY by <> '', by <> session_user, by
$$;

CREATE OR REPLACE FUNCTION blob_read(p_sha256 text, p_by text, p_at bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
  SELECT CASE WHEN p_by = ''
    THEN (SELECT substring(bytes FROM p_at::integer + 1 FOR {piece}) FROM blob
          WHERE sha256 = p_sha256)
    ELSE (SELECT bytes FROM piece WHERE sha256 = p_sha256 AND by = p_by AND at = p_at) END
$$;

-- One piece behind the other, under the caller's own name: how much is there now.
CREATE OR REPLACE FUNCTION blob_add(p_sha256 text, p_size bigint, p_at bigint, p_bytes bytea)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = lathe, pg_temp AS $$
DECLARE
  there bigint;
BEGIN
  SELECT coalesce(sum(octet_length(bytes)), 0) INTO there FROM piece
  WHERE sha256 = p_sha256 AND by = session_user;
  IF p_sha256 !~ '^[0-9a-f]{64}$' OR p_size > {most_blob} OR p_at > there OR
     octet_length(p_bytes) NOT BETWEEN 1 AND {piece} OR p_at + octet_length(p_bytes) > p_size THEN
    RAISE EXCEPTION USING ERRCODE = 'LT002',
      MESSAGE = 'a piece of ' || octet_length(p_bytes) || ' bytes at ' || p_at || ' of a blob of ' ||
        p_size || ', of which ' || there || ' are there';
  END IF;
  IF p_at = there THEN
    INSERT INTO piece VALUES (p_sha256, session_user, p_at, p_size, p_bytes)
    ON CONFLICT DO NOTHING;
    there := there + octet_length(p_bytes);
  END IF;
  RETURN there;
END $$;
)sql";

// Functions may be called by everybody when they are made: here only by those that are named.
constexpr const char* kPgRights = R"sql(
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lathe FROM PUBLIC;
GRANT USAGE ON SCHEMA lathe TO lathe_node;
GRANT EXECUTE ON FUNCTION format(), lease(text, jsonb, text), heartbeat(text, jsonb, text),
  complete(text, text, text, bigint, integer, text, text, text), fail(text, text, text, bigint),
  release(text, text, text, bigint), blob_put(bytea), blob_there(text),
  blob_read(text, text, bigint), blob_add(text, bigint, bigint, bytea) TO lathe_node;
)sql";

constexpr const char* kPgRoles = R"sql(
DO $$
DECLARE
  r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['lathe_desk', 'lathe_node'] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    END IF;
  END LOOP;
  IF NOT pg_has_role(session_user, 'lathe_desk', 'MEMBER') THEN
    EXECUTE format('GRANT lathe_desk TO %I', session_user);
  END IF;
END $$;
CREATE SCHEMA lathe AUTHORIZATION lathe_desk;
)sql";

constexpr const char* kPgOwner = R"sql(
SET LOCAL ROLE lathe_desk;
SET LOCAL search_path = lathe, pg_temp;
)sql";

std::string with_numbers(std::string sql) {
  const std::pair<std::string_view, std::string> numbers[] = {
      {"{lease_ms}", std::to_string(kLeaseMs)},
      {"{slower}", std::to_string(kSlowerThanMedian)},
      {"{median_of}", std::to_string(kMedianOf)},
      {"{median_least}", std::to_string(kMedianLeast)},
      {"{poison}", std::to_string(kPoisonAttempts)},
      {"{poison_alone}", std::to_string(kPoisonAttemptsAlone)},
      {"{name_cap}", std::string(kNameCap)},
      {"{piece}", std::to_string(kBlobPiece)},
      {"{most_words}", std::to_string(kMostWords)},
      {"{most_blob}", std::to_string(kMaxFileBytes)},
      {"{node_failures}", std::string(kNodeFailures)}};
  for (const auto& [name, value] : numbers)
    for (std::size_t at = 0; (at = sql.find(name, at)) != std::string::npos; at += value.size())
      sql.replace(at, name.size(), value);
  return sql;
}

}  // namespace

std::string postgres_greeting() {
  return fmt::format(R"sql(
SET search_path = lathe, pg_temp;
DO $$
DECLARE
  there integer := lathe.format();
BEGIN
  IF there > {0} THEN
    RAISE EXCEPTION USING ERRCODE = 'LT002', MESSAGE = 'it was made by a newer lathe (format ' ||
      there || ', this one knows up to {0}): use that lathe';
  ELSIF there < {0} THEN
    RAISE EXCEPTION USING ERRCODE = 'LT002', MESSAGE = 'it was made by an older lathe (format ' ||
      there || ', this one wants {0}): run `lathe fleet init --db ADDRESS`';
  END IF;
END $$)sql",
                     kPostgresFormat);
}

Result<PostgresInit> init_postgres(const std::string& address) {
  LATHE_TRY(auto connection, PgConnection::open(address));
  PostgresInit done;
  done.place = connection->place();
  LATHE_TRY(PgTransaction change, PgTransaction::begin(*connection, "be set up"));
  // Two that set it up at once: one after the other.
  LATHE_TRY_STATUS(connection->execute("be set up", "SELECT pg_advisory_xact_lock(5283457810)"));
  LATHE_TRY(const PgRows found,
            connection->run("be set up",
                            "SELECT current_setting('server_version'), to_regnamespace('lathe') IS "
                            "NOT NULL AND to_regprocedure('lathe.format()') IS NULL, "
                            "to_regprocedure('lathe.format()') IS NOT NULL"));
  done.server = found[0].text(0);
  if (found[0].text(1) == "t")
    return invalid(
        "{}: holds a schema `lathe` that is another program's; give the address of another "
        "database with --db",
        done.place);
  done.fresh = found[0].text(2) != "t";
  if (!done.fresh) {
    LATHE_TRY(const PgRows format, connection->run("be set up", "SELECT lathe.format()"));
    done.before = static_cast<int>(format[0].integer(0));
    if (done.before < 1 || done.before >= kPostgresFormat) {
      LATHE_TRY_STATUS(connection->execute("be used", postgres_greeting()));
      return done;
    }
  }
  std::vector<std::string> parts;
  if (done.fresh) parts.emplace_back(kPgRoles);
  parts.emplace_back(kPgOwner);
  if (done.fresh) parts.emplace_back(kPgTables);
  for (const char* part : {kPgSecond, kPgRules, kPgLeases, kPgRights})
    parts.push_back(with_numbers(part));
  parts.push_back(fmt::format("DELETE FROM meta; INSERT INTO meta VALUES ({})", kPostgresFormat));
  for (const std::string& part : parts) LATHE_TRY_STATUS(connection->execute("be set up", part));
  LATHE_TRY_STATUS(change.commit("be set up"));
  return done;
}

}  // namespace lathe::books
