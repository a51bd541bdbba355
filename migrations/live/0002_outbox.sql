-- What has happened here, what of it the relay has yet to publish, and what has been consumed here.
-- Every context that tells or hears of events has this same file; a test keeps the copies identical.

-- The store: never changed, never deleted from by the program.
CREATE TABLE event (
    id uuid PRIMARY KEY,
    type text NOT NULL CHECK (type LIKE 'banyan.%.v%'),
    key text NOT NULL CHECK (key <> ''),
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    at timestamptz NOT NULL,
    request_id text -- of the request that made it happen, so that its log lines are found
);

CREATE FUNCTION keep_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION keep_event();

-- Thin, because rows come and go at once. The relay deletes what it has published; positions are not committed in
-- their order, so nobody may remember "the last one" of them.
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01);

CREATE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_wakes_relay AFTER INSERT ON outbox
FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();

CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- On a server that somebody else runs, the operator makes the relay's role and its rights (docs/guides).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'relay') THEN
        GRANT SELECT ON event TO relay;
        GRANT SELECT, DELETE ON outbox TO relay;
    END IF;
END
$$;
