-- Times are microseconds since 1970, UTC. Identifiers are lower-case UUIDs.

-- +goose Up
CREATE TABLE note (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which notes were created; never used twice
    id             TEXT    NOT NULL UNIQUE,
    title          TEXT    NOT NULL,
    content        TEXT    NOT NULL,
    tags           TEXT    NOT NULL CHECK (json_type(tags) = 'array'),
    user_id        TEXT    NOT NULL,
    has_ai_content INTEGER NOT NULL CHECK (has_ai_content IN (0, 1)),
    has_links      INTEGER NOT NULL CHECK (has_links IN (0, 1)),
    suggested_tags TEXT    NOT NULL CHECK (json_type(suggested_tags) = 'array'),
    revision       INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

-- What the last analysis found in the content: each row is a link to a title or to a URL, the other one is empty.
CREATE TABLE note_link (
    note  INTEGER NOT NULL REFERENCES note (seq) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    title TEXT    NOT NULL,
    url   TEXT    NOT NULL,
    PRIMARY KEY (note, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX note_link_title ON note_link (title, note) WHERE title <> '';

-- rowid is note.seq. It holds no copy of the text.
CREATE VIRTUAL TABLE note_index USING fts5 (
    title, content, tags,
    content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);

-- Changes that are committed and not yet published. body is the JSON of a worker event or a note event in the form that
-- producers send, with event_id and occurred_at, or of a canary: an object with its event_id.
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT, -- rises in commit order, for there is one writer at a time
    kind     TEXT NOT NULL, -- worker, note or canary
    body     TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE outbox;
DROP TABLE note_index;
DROP TABLE note_link;
DROP TABLE note;
