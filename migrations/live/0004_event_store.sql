-- The whole of the event store: days, dead letters, pauses, replays and rebuilds.
-- Every context that tells or hears of events has this same file; a test keeps the copies identical.

-- An event's id is a version 7 UUID, so its first 48 bits are the millisecond of its making: days are ranges of ids,
-- the id alone stays the primary key, and whoever has an id looks into one day.
CREATE FUNCTION first_event_id(since timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT
RETURN (lpad(to_hex((extract(epoch FROM since) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

CREATE FUNCTION event_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT
RETURN to_timestamp(('x' || lpad(translate(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0);

ALTER TABLE event RENAME TO event_before;
ALTER TABLE event_before RENAME CONSTRAINT event_pkey TO event_before_pkey;

-- Drawn under the aggregate's lock like the outbox's: of one key positions are in the order in which things happened.
CREATE SEQUENCE event_position AS bigint;

CREATE TABLE event (
    id uuid PRIMARY KEY,
    type text NOT NULL CHECK (type LIKE 'banyan.%.v%'),
    key text NOT NULL CHECK (key <> ''),
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    at timestamptz NOT NULL,
    request_id text, -- of the request that made it happen, so that its log lines are found
    traceparent text, -- of that request's trace, if it had one
    position bigint NOT NULL DEFAULT nextval('event_position')
) PARTITION BY RANGE (id);

CREATE INDEX event_by_position ON event (position);
CREATE INDEX event_of_key ON event (key, position);

-- Where no day is ready: a wrong clock must not make an operation fail.
CREATE TABLE event_stray PARTITION OF event DEFAULT;

-- The day's partition, if it is not there yet. Whatever strayed into its range moves into it.
CREATE FUNCTION make_event_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'event_' || to_char(day, 'YYYYMMDD');
    low uuid := first_event_id(day::timestamp AT TIME ZONE 'UTC');
    high uuid := first_event_id((day + 1)::timestamp AT TIME ZONE 'UTC');
    moved bigint;
BEGIN
    -- Two who make the same day take turns; nobody who reads or writes waits for that.
    LOCK TABLE ONLY event IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    LOCK TABLE event_stray IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('INSERT INTO %I SELECT * FROM event_stray WHERE id >= %L AND id < %L', name, low, high);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved > 0 THEN
        ALTER TABLE event_stray DISABLE TRIGGER USER;
        DELETE FROM event_stray WHERE id >= low AND id < high;
        ALTER TABLE event_stray ENABLE TRIGGER USER;
    END IF;
    EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, low, high);
    RETURN true;
END
$$;

-- What is older than so many days, or has an id that tells no time, strays until it is archived from there.
SELECT make_event_day(day)
FROM (
    (SELECT DISTINCT (event_time(id) AT TIME ZONE 'UTC')::date AS day FROM event_before
     WHERE substr(id::text, 15, 1) = '7' AND event_time(id) < now() + interval '7 days' ORDER BY day DESC LIMIT 100)
    UNION SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 7) AS n
) AS days ORDER BY day;

-- In the order of their making; what was made in the same millisecond, as it was written.
INSERT INTO event (id, type, key, data, at, request_id, traceparent)
SELECT id, type, key, data, at, request_id, traceparent FROM event_before
ORDER BY CASE WHEN substr(id::text, 15, 1) = '7' THEN event_time(id) ELSE at END, ctid;

-- Whoever might read the old table may read the new one: at a server that somebody else runs, the relay has a name of
-- its own.
DO $$
DECLARE
    reader record;
BEGIN
    FOR reader IN
        SELECT pg_get_userbyid(grantee) AS name
        FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'event_before'::regclass
            AND privilege_type = 'SELECT' AND grantee NOT IN (0, relowner)
    LOOP
        EXECUTE format('GRANT SELECT ON event TO %I', reader.name);
    END LOOP;
END
$$;
DROP TABLE event_before;

-- Never changed; the only thing that goes is a whole day, when it is in the archive.
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON event
FOR EACH ROW EXECUTE FUNCTION keep_event();
CREATE TRIGGER event_is_not_emptied BEFORE TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION keep_event();

-- A file in the object store, of a day or of what strayed.
CREATE TABLE archived_day (
    name text PRIMARY KEY, -- in the object store
    day date NOT NULL,
    strays boolean NOT NULL, -- of those that no day took, by when they happened
    rows bigint NOT NULL CHECK (rows > 0),
    bytes bigint NOT NULL,
    checksum text NOT NULL, -- SHA-256 of the file
    first_id uuid NOT NULL, -- the lowest and the highest in it, as are the positions
    last_id uuid NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX archived_day_by_position ON archived_day (last_position);

-- A replay is for all who subscribed, or for one of them.
ALTER TABLE outbox ADD COLUMN consumer text;
-- How long it has waited is no matter of when it happened: a replay is of what happened long ago.
ALTER TABLE outbox ADD COLUMN since timestamptz NOT NULL DEFAULT now();

-- The relay says here when it rests; while it works anyway, nobody needs to wake it, and the lock that NOTIFY takes at
-- each commit is not taken. Unlogged: a crash leaves it empty, and then it is woken as if it rested.
CREATE UNLOGGED TABLE relay_rest (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    resting boolean NOT NULL
);

DO $$
DECLARE
    reader record;
BEGIN
    FOR reader IN
        SELECT pg_get_userbyid(grantee) AS name
        FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'outbox'::regclass
            AND privilege_type = 'DELETE' AND grantee NOT IN (0, relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON relay_rest TO %I', reader.name);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM relay_rest WHERE NOT resting) THEN
        PERFORM pg_notify('outbox', '');
    END IF;
    RETURN NULL;
END
$$;

-- What is known of each consumer here, whichever process it runs in.
CREATE TABLE consumer (
    name text PRIMARY KEY,
    paused_at timestamptz,
    paused_by text NOT NULL DEFAULT '',
    forgotten_to uuid -- its inbox has lost rows below this id, however long inboxes remember by now
);

-- A key that a consumer cannot go on with. Whoever handles an event of it shares this row's lock; whoever redrives it
-- has the lock alone: so nothing overtakes what is parked, and nothing is parked behind a key that is free again.
CREATE TABLE stuck_key (
    consumer text NOT NULL,
    key text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    redrive_at timestamptz, -- due then; NULL: it waits for somebody
    redrives integer NOT NULL DEFAULT 0, -- tries that came to no end
    PRIMARY KEY (consumer, key)
);
CREATE INDEX stuck_key_to_redrive ON stuck_key (consumer, redrive_at) WHERE redrive_at IS NOT NULL;

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- of one key in its order
    consumer text NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL, -- of what is no event, one made from its bytes
    type text NOT NULL,
    body bytea NOT NULL, -- as it came, at most 1 MB
    state text NOT NULL CHECK (state IN ('failed', 'unknown', 'malformed', 'parked')),
    attempts integer NOT NULL CHECK (attempts >= 0),
    error text NOT NULL,
    traceback text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer, event_id),
    FOREIGN KEY (consumer, key) REFERENCES stuck_key
);
CREATE INDEX dead_letter_of_key ON dead_letter (consumer, key, id);

CREATE TABLE replay (
    id uuid PRIMARY KEY,
    filter jsonb NOT NULL,
    consumer text,
    rate integer NOT NULL CHECK (rate > 0),
    total bigint NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    last_position bigint NOT NULL, -- of what is done; a replay is of a past that no longer changes
    end_position bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
    detail text NOT NULL DEFAULT '',
    asked_by text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

CREATE TABLE rebuild (
    id uuid PRIMARY KEY,
    consumer text NOT NULL,
    total bigint NOT NULL DEFAULT 0, -- 0: not known
    done bigint NOT NULL DEFAULT 0,
    state text NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
    detail text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX rebuild_one_at_a_time ON rebuild (consumer) WHERE state = 'running';
