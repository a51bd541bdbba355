-- Erasing a person blanks what iam's own events said of them; that is the only change an event may ever see.
CREATE FUNCTION blank_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.data IS DISTINCT FROM jsonb_set(old.data, '{pii}', '{"name": "", "email": ""}', false)
        OR (new.id, new.type, new.key, new.at) IS DISTINCT FROM (old.id, old.type, old.key, old.at)
    THEN
        RAISE EXCEPTION 'event is append-only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

DROP TRIGGER event_is_append_only ON event;
CREATE TRIGGER event_is_append_only BEFORE DELETE OR TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION keep_event();
CREATE TRIGGER event_is_only_blanked BEFORE UPDATE ON event
FOR EACH ROW EXECUTE FUNCTION blank_event();

CREATE INDEX event_with_pii ON event (key) WHERE data ? 'pii';
