-- Accounts, their sessions, and what protects both. Nothing secret is readable here: passwords are hashed, references
-- and links are kept as digests, private keys are encrypted with a secret of the data folder.
CREATE TABLE account (
    id            uuid PRIMARY KEY,
    email         text UNIQUE CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    name          text NOT NULL CHECK (length(name) <= 50),
    roles         text[] NOT NULL CHECK (roles <@ ARRAY['learner', 'instructor', 'admin', 'operator']),
    locale        text NOT NULL CHECK (locale IN ('ko', 'en')),
    password_hash text,
    created_at    timestamptz NOT NULL,
    erased_at     timestamptz,
    CONSTRAINT erased_means_empty CHECK (
        (erased_at IS NULL AND email IS NOT NULL AND name <> '')
        OR (erased_at IS NOT NULL AND email IS NULL AND name = '' AND password_hash IS NULL AND roles = '{}')
    )
);

-- `id` is the `sid` of its tokens; the browser's reference is known here by its digest only.
CREATE TABLE session (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES account,
    reference    bytea NOT NULL UNIQUE CHECK (length(reference) = 32),
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    device       text NOT NULL,
    address      text NOT NULL
);
CREATE INDEX session_of_account ON session (account_id) WHERE ended_at IS NULL;
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX session_expiry ON session (expires_at);

-- Browsers an account has signed in with: their failures are counted apart, so strangers cannot lock the owner out.
CREATE TABLE known_device (
    account_id uuid NOT NULL REFERENCES account,
    device     bytea NOT NULL CHECK (length(device) = 32),
    seen_at    timestamptz NOT NULL,
    PRIMARY KEY (account_id, device)
);

-- Failed attempts only. `key` is a digest of an e-mail address, a network address or a device.
CREATE TABLE attempt (
    scope     text NOT NULL,
    key       bytea NOT NULL,
    failures  integer NOT NULL,
    last_at   timestamptz NOT NULL,
    open_at   timestamptz NOT NULL,
    forget_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX attempt_forget ON attempt (forget_at);

CREATE TABLE password_reset (
    token      bytea PRIMARY KEY CHECK (length(token) = 32),
    account_id uuid NOT NULL REFERENCES account,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX password_reset_of_account ON password_reset (account_id);

-- Signs from `signs_from`, a while after it was published, so that every verifier knows it by then.
CREATE TABLE signing_key (
    kid        text PRIMARY KEY,
    public     text NOT NULL,
    private    text NOT NULL,
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL UNIQUE
);

-- Mails to be sent, written in the operation's transaction; a row goes when its mail has gone.
CREATE TABLE mail (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account,
    recipient  text NOT NULL,
    subject    text NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    give_up_at timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0
);
CREATE INDEX mail_due ON mail (next_at);

-- Who did what to whom. Ids only, so that nothing has to be erased from it.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   uuid,
    action  text NOT NULL,
    subject uuid NOT NULL,
    detail  text NOT NULL
);
CREATE INDEX audit_of_subject ON audit (subject, id);

CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
