-- The route table: which requests are whose, and which side answers them. The rules live in gateway/domain/routes.py;
-- what is checked here is what would hurt even if that file were wrong.
CREATE TABLE route (
    name     text    PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    path     text    NOT NULL CHECK (path ~ '^/[!-~]*$' AND length(path) <= 1000 AND path NOT LIKE '/\_banyan/%'),
    method   text    NOT NULL DEFAULT '*' CHECK (method ~ '^([A-Z]{1,20}|\*)$'),
    host     text    NOT NULL DEFAULT '*' CHECK (host = lower(host) AND length(host) BETWEEN 1 AND 253),
    query    text    NOT NULL DEFAULT '' CHECK (query ~ '^[!-~]*$'),
    fate     text    NOT NULL DEFAULT 'move' CHECK (fate IN ('move', 'keep', 'retire')),
    side     text    NOT NULL CHECK (side IN ('old', 'new')),
    old_twin boolean NOT NULL,
    service  text    CHECK (service ~ '^[a-z][a-z0-9-]{0,62}$'),
    added_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (method, host, path, query),
    CONSTRAINT old_side_exists CHECK (side = 'new' OR old_twin),
    CONSTRAINT new_side_exists CHECK (side = 'old' OR service IS NOT NULL)
);

-- One row: every change of the table adds one to the revision, so a reader sees cheaply that nothing changed, and
-- whoever writes takes this row first. `seeded_at` says that the default routes were given once; an operator who
-- removed one does not get it back at the next start.
CREATE TABLE route_table (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision  bigint  NOT NULL DEFAULT 0,
    seeded_at timestamptz
);
INSERT INTO route_table DEFAULT VALUES;

-- What was changed when, and what became of it. Lines are only ever added.
CREATE TABLE route_change (
    id      bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    route   text NOT NULL,
    action  text NOT NULL CHECK (action IN ('seed', 'add', 'move', 'remove')),
    detail  text NOT NULL,
    outcome text NOT NULL
);

CREATE FUNCTION refuse_to_rewrite_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'route_change is a log: lines are only ever added' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON route_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history();
