-- A key per person, with which what events say of them is sealed; destroying it erases that, wherever it has been copied.
-- The keys are sealed themselves, by a secret of the data folder.
CREATE TABLE person_key (
    account_id uuid PRIMARY KEY REFERENCES account,
    sealed     bytea NOT NULL,
    made_at    timestamptz NOT NULL
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0); -- a destroyed one does not linger

-- Made once, for whom there is, and gone for good. Waits for whoever is erasing the account.
CREATE FUNCTION keep_person_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'a person''s key never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    PERFORM FROM account WHERE id = new.account_id AND erased_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'who is erased gets no new key' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER person_key_is_made_once BEFORE INSERT OR UPDATE ON person_key
FOR EACH ROW EXECUTE FUNCTION keep_person_key();

-- Whether an event says who somebody is for all to read, as all did before this.
CREATE FUNCTION in_plain_text(data jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN data -> 'pii' ? 'email' AND data -> 'pii' <> '{"name": "", "email": ""}';

-- Empty once all of them are sealed.
CREATE INDEX event_in_plain_text ON event (position) WHERE in_plain_text(data);

-- The only change an event may ever see: what it says of a person in plain text becomes sealed.
CREATE OR REPLACE FUNCTION keep_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN
        IF in_plain_text(old.data)
            AND new.data -> 'pii' ->> 'sealed' <> ''
            AND new.data -> 'pii' ->> 'person' = old.key
            AND new.data -> 'pii' = jsonb_build_object(
                'person', new.data -> 'pii' -> 'person', 'sealed', new.data -> 'pii' -> 'sealed')
            AND new.data - 'pii' = old.data - 'pii'
            AND to_jsonb(new) - 'data' = to_jsonb(old) - 'data'
        THEN
            RETURN new;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
DROP FUNCTION blank_event();
