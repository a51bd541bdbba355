-- What watchers of a course are told: how many learners it has, and what that number was before.
-- Positions count the changes behind one slug. They are given under the course's row lock, so they commit in their order.

CREATE TABLE course (
    id uuid PRIMARY KEY,
    slug text NOT NULL CHECK (slug <> ''),
    learners integer NOT NULL CHECK (learners >= 0),
    position bigint NOT NULL CHECK (position > 0),
    at timestamptz NOT NULL -- of the newest enrolment told of
);

-- Not unique: a slug may pass from one course to another, which then goes on from the other's position.
CREATE INDEX course_by_slug ON course (slug);

-- Where a watcher goes on that was away for a while. Bounded by number when it grows and by age in between.
CREATE TABLE journal (
    course_id uuid NOT NULL REFERENCES course,
    position bigint NOT NULL,
    learners integer NOT NULL,
    kept_at timestamptz NOT NULL,
    PRIMARY KEY (course_id, position)
);

CREATE INDEX journal_by_age ON journal USING brin (kept_at) WITH (autosummarize = on);
