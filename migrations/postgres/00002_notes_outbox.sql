-- Times are microseconds since 1970, UTC, where a column is a bigint. Names of types are those of the wire.

-- +goose Up
CREATE TABLE note (
    seq            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which notes were created; never used twice
    id             uuid    NOT NULL UNIQUE,
    title          text    NOT NULL,
    content        text    NOT NULL,
    tags           jsonb   NOT NULL CHECK (jsonb_typeof(tags) = 'array'),
    user_id        text    NOT NULL,
    has_ai_content boolean NOT NULL,
    has_links      boolean NOT NULL,
    suggested_tags jsonb   NOT NULL CHECK (jsonb_typeof(suggested_tags) = 'array'),
    revision       bigint  NOT NULL,
    created_at     bigint  NOT NULL,
    updated_at     bigint  NOT NULL
);

CREATE INDEX note_tags ON note USING gin (tags jsonb_path_ops);

-- The full-text index follows the note's content by way of a job. It is a table of its own, lest every change of a note
-- write its words again.
CREATE TABLE note_index (
    note  bigint   PRIMARY KEY REFERENCES note (seq) ON DELETE CASCADE,
    words tsvector NOT NULL
);

CREATE INDEX note_index_words ON note_index USING gin (words);

-- What the last analysis found in the content: each row is a link to a title or to a URL, the other one is empty.
CREATE TABLE note_link (
    note  bigint  NOT NULL REFERENCES note (seq) ON DELETE CASCADE,
    place integer NOT NULL,
    title text    NOT NULL,
    url   text    NOT NULL,
    PRIMARY KEY (note, place)
);

-- Titles may be longer than an index can hold.
CREATE INDEX note_link_title ON note_link USING hash (title) WHERE title <> '';

-- Changes that are committed and not yet published. body is the JSON of a worker event or a note event in the form that
-- producers send, with event_id and occurred_at, or of a canary: an object with its event_id. Positions do not rise in
-- commit order: delete what was read, and not what is below something that was read.
CREATE TABLE outbox (
    position   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL, -- worker, note or canary
    body       text        NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000); -- every row goes soon

-- The notification is a bell, once for a transaction: it says that there is something, and the rows are what there is.
-- Transactions that notify commit one after the other, which a busy application must not suffer from. So the reader holds
-- an advisory lock while it is awake and looks by itself; then nobody rings. The lock is only tried and given back at once:
-- the reader could never get it from a busy application otherwise. Its number spells "mtrb".
--
-- A transaction that has notified cannot be prepared (PREPARE TRANSACTION), which an application's must not suffer from.
-- Where two-phase commit is possible nobody rings, and the reader finds records at its next look.
-- +goose StatementBegin
CREATE FUNCTION outbox_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('max_prepared_transactions') = '0' AND pg_try_advisory_lock_shared(1836348002, 0) THEN
        PERFORM pg_advisory_unlock_shared(1836348002, 0);
        PERFORM pg_notify('matric_outbox', '');
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER outbox_ring AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_ring();

-- +goose Down
DROP TABLE outbox;
DROP FUNCTION outbox_ring;
DROP TABLE note_index;
DROP TABLE note_link;
DROP TABLE note;
