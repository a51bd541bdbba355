-- Courses in versions. Learners see the version a course points to as published; publishing moves that pointer.
-- Ids are version 7 UUIDs made by the program, because servers before PostgreSQL 18 cannot make them.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A copy, fed by iam's events. E-mail is not unique here: events of two people may arrive in either order.
CREATE TABLE person (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    email text CHECK (email LIKE '%_@_%') -- none once the person is erased
);

CREATE TABLE course (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug IS NFC NORMALIZED AND char_length(slug) BETWEEN 1 AND 100),
    instructor_id uuid NOT NULL REFERENCES person,
    draft_version_id uuid NOT NULL,
    published_version_id uuid,
    learners integer NOT NULL DEFAULT 0 CHECK (learners >= 0),
    created_at timestamptz NOT NULL,
    published_at timestamptz,
    updated_at timestamptz,
    CONSTRAINT published_has_its_times CHECK (
        (published_version_id IS NULL) = (published_at IS NULL)
        AND (published_version_id IS NULL) = (updated_at IS NULL)
        AND published_at <= updated_at
    )
);

CREATE TABLE course_version (
    id uuid PRIMARY KEY,
    course_id uuid NOT NULL REFERENCES course DEFERRABLE INITIALLY DEFERRED,
    number integer NOT NULL CHECK (number > 0),
    revision integer NOT NULL CHECK (revision > 0),
    title text NOT NULL CHECK (title IS NFC NORMALIZED AND char_length(title) BETWEEN 1 AND 200),
    summary text NOT NULL CHECK (char_length(summary) <= 500),
    description text NOT NULL CHECK (char_length(description) <= 20000),
    outcomes text[] NOT NULL CHECK (cardinality(outcomes) <= 20),
    language text NOT NULL CHECK (language IN ('ko', 'en')),
    level text NOT NULL CHECK (level IN ('beginner', 'intermediate', 'advanced')),
    category text NOT NULL CHECK (category ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND char_length(category) <= 50),
    title_lower text NOT NULL GENERATED ALWAYS AS (lower(title)) STORED, -- LIKE on it is far quicker than ILIKE
    price integer NOT NULL CHECK (price BETWEEN 0 AND 100000000),
    lessons integer NOT NULL CHECK (lessons >= 0),
    duration_seconds integer NOT NULL CHECK (duration_seconds >= 0),
    written_at timestamptz NOT NULL,
    UNIQUE (course_id, number),
    UNIQUE (course_id, id)
);

-- Both pointers lead to versions of the same course only.
ALTER TABLE course
    ADD FOREIGN KEY (id, draft_version_id) REFERENCES course_version (course_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (id, published_version_id) REFERENCES course_version (course_id, id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE section (
    version_id uuid NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    course_id uuid NOT NULL,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    PRIMARY KEY (version_id, position),
    UNIQUE (course_id, version_id, position),
    FOREIGN KEY (course_id, version_id) REFERENCES course_version (course_id, id)
);

-- What progress, notes and questions refer to: it stays the same lesson when a new version renames or moves it.
CREATE TABLE lesson (
    id uuid PRIMARY KEY,
    course_id uuid NOT NULL REFERENCES course,
    UNIQUE (course_id, id)
);

CREATE TABLE lesson_version (
    version_id uuid NOT NULL,
    section_position integer NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    course_id uuid NOT NULL,
    lesson_id uuid NOT NULL,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    kind text NOT NULL CHECK (kind IN ('video', 'text')),
    preview boolean NOT NULL,
    duration_seconds integer NOT NULL CHECK (duration_seconds BETWEEN 0 AND 86400),
    PRIMARY KEY (version_id, section_position, position),
    UNIQUE (lesson_id, version_id),
    FOREIGN KEY (course_id, version_id, section_position) REFERENCES section (course_id, version_id, position),
    FOREIGN KEY (course_id, lesson_id) REFERENCES lesson (course_id, id)
);

-- Every move of a published pointer, for good.
CREATE TABLE publication (
    id uuid PRIMARY KEY,
    course_id uuid NOT NULL,
    version_id uuid NOT NULL,
    published_by uuid NOT NULL REFERENCES person,
    published_at timestamptz NOT NULL,
    FOREIGN KEY (course_id, version_id) REFERENCES course_version (course_id, id)
);

-- The two orders of the course list, and its filters.
CREATE INDEX course_newest ON course (published_at DESC, id DESC) WHERE published_version_id IS NOT NULL;
CREATE INDEX course_popular ON course (learners DESC, id DESC) WHERE published_version_id IS NOT NULL;
CREATE INDEX course_by_instructor ON course (instructor_id);
CREATE UNIQUE INDEX course_by_published_version ON course (published_version_id);
CREATE INDEX course_version_title ON course_version USING gin (title_lower gin_trgm_ops);
CREATE INDEX publication_by_version ON publication (version_id);
CREATE INDEX publication_by_course ON publication (course_id, published_at);

-- Counts the moves of published pointers. A reader that knows the total of some list knows by this whether it still
-- holds. The row's lock puts publishers in line, so no reader sees a number whose courses it does not see.
CREATE TABLE catalogue (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    generation bigint NOT NULL DEFAULT 0
);
INSERT INTO catalogue DEFAULT VALUES;

CREATE FUNCTION count_publication() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalogue SET generation = generation + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER publication_is_counted AFTER INSERT ON publication
    FOR EACH STATEMENT EXECUTE FUNCTION count_publication();

-- What has once been published never changes; the next edit is a new version.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', tg_table_name USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER publication_is_append_only BEFORE UPDATE OR DELETE ON publication
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_change_of_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM publication WHERE version_id = (to_jsonb(old) ->> tg_argv[0])::uuid) THEN
        RAISE EXCEPTION 'a published version never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
END $$;

CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON course_version
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published('id');
CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON section
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published('version_id');
CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON lesson_version
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published('version_id');

-- Once a statement and not once a row, so that bulk loads stay quick.
CREATE FUNCTION refuse_addition_to_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added JOIN publication USING (version_id)) THEN
        RAISE EXCEPTION 'a published version never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER published_gains_nothing AFTER INSERT ON section REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_addition_to_published();
CREATE TRIGGER published_gains_nothing AFTER INSERT ON lesson_version REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_addition_to_published();
