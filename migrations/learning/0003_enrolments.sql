-- Who takes which course and how far they are, and what a lesson shows.

-- Events of one person may arrive late or again: the newest that was told counts, and erased is for good.
ALTER TABLE person
    ADD COLUMN told_at timestamptz,
    ADD COLUMN erased boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT erased OR email IS NULL);

ALTER TABLE lesson_version
    ADD COLUMN body text NOT NULL DEFAULT '' CHECK (char_length(body) <= 50000),
    ADD COLUMN media text NOT NULL DEFAULT '' CHECK (media ~ '^([a-z0-9][a-z0-9-]{0,99}\.(webm|mp4))?$');

-- person_id is an account's id and no reference: whoever has just signed up may enrol before we are told of them.
CREATE TABLE enrolment (
    id uuid PRIMARY KEY,
    course_id uuid NOT NULL REFERENCES course,
    person_id uuid NOT NULL,
    enrolled_at timestamptz NOT NULL,
    completed_at timestamptz CHECK (completed_at >= enrolled_at),
    UNIQUE (course_id, person_id)
);
CREATE INDEX enrolment_newest ON enrolment (person_id, enrolled_at DESC, id DESC);

-- Times within the lesson are whole half seconds; `watched` is from, to, from, to, ... in order.
CREATE TABLE lesson_progress (
    enrolment_id uuid NOT NULL REFERENCES enrolment,
    lesson_id uuid NOT NULL REFERENCES lesson,
    percent smallint NOT NULL CHECK (percent BETWEEN 0 AND 100),
    position integer NOT NULL CHECK (position BETWEEN 0 AND 172800),
    positioned_at timestamptz NOT NULL,
    watched integer[] NOT NULL CHECK (cardinality(watched) % 2 = 0 AND cardinality(watched) <= 400),
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    PRIMARY KEY (enrolment_id, lesson_id),
    CHECK ((percent = 100) = (completed_at IS NOT NULL))
) WITH (fillfactor = 80); -- heartbeats rewrite rows all the time; room on the page keeps that cheap

CREATE FUNCTION progress_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.percent < old.percent THEN
        RAISE EXCEPTION 'progress never goes backwards' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER progress_stays BEFORE UPDATE OF percent ON lesson_progress
    FOR EACH ROW WHEN (new.percent < old.percent) EXECUTE FUNCTION progress_stays();
