-- Times are microseconds since 1970, UTC, and durations microseconds; 0 stands for none. Names of types, statuses and
-- faults are those of the wire.

-- +goose Up
CREATE TABLE webhook (
    id                TEXT    PRIMARY KEY,
    url               TEXT    NOT NULL,
    events            TEXT    NOT NULL CHECK (json_type(events) = 'array'), -- empty for every type but QueueStatus
    max_retries       INTEGER NOT NULL,
    description       TEXT    NOT NULL,
    headers           BLOB    NOT NULL, -- sealed
    keys              BLOB    NOT NULL, -- sealed
    activation        TEXT    NOT NULL CHECK (activation IN ('active', 'paused', 'gone')),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    last_triggered_at INTEGER NOT NULL,
    failure_count     INTEGER NOT NULL
) STRICT;

-- One row at most: something known, sealed with the key that everything sealed in this database is sealed with.
CREATE TABLE secret_key_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BLOB    NOT NULL
) STRICT;

CREATE TABLE delivery (
    id            TEXT    PRIMARY KEY,
    webhook_id    TEXT    NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event_id      TEXT    NOT NULL,
    event_type    TEXT    NOT NULL,
    payload       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('pending', 'in_flight', 'delivered', 'dead', 'canceled')),
    attempts      INTEGER NOT NULL,
    forgiven      INTEGER NOT NULL CHECK (forgiven BETWEEN 0 AND attempts),
    due_at        INTEGER NOT NULL, -- of the next attempt; means something while pending only
    ended_at      INTEGER NOT NULL, -- when it was delivered, died or was canceled
    lease         TEXT,             -- whose it is, while in flight

    -- The latest attempt that ended. Those before it are in the table attempt.
    number        INTEGER NOT NULL DEFAULT 0, -- of it; 0 before one ended
    started_at    INTEGER NOT NULL DEFAULT 0,
    status_code   INTEGER NOT NULL DEFAULT 0,
    fault         TEXT    NOT NULL DEFAULT '',
    response_body TEXT    NOT NULL DEFAULT '',
    retry_after   INTEGER NOT NULL DEFAULT 0,
    dns           INTEGER NOT NULL DEFAULT 0,
    connect       INTEGER NOT NULL DEFAULT 0,
    tls           INTEGER NOT NULL DEFAULT 0,
    first_byte    INTEGER NOT NULL DEFAULT 0,
    total         INTEGER NOT NULL DEFAULT 0,

    UNIQUE (webhook_id, event_id),
    CHECK ((status = 'in_flight') = (lease IS NOT NULL)),
    CHECK ((status IN ('delivered', 'dead', 'canceled')) = (ended_at > 0))
) STRICT;

-- What to claim, and when next. Holds what waits and nothing else.
CREATE INDEX delivery_due ON delivery (webhook_id, due_at, id) WHERE status = 'pending';

-- What is in flight; and lists, which merge one range for each status and type that they show.
CREATE INDEX delivery_list ON delivery (status, webhook_id, event_type, created_at, id);

-- What to prune.
CREATE INDEX delivery_ended ON delivery (status, ended_at) WHERE ended_at > 0;

CREATE TABLE attempt (
    delivery_id   TEXT    NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    status_code   INTEGER NOT NULL,
    fault         TEXT    NOT NULL,
    response_body TEXT    NOT NULL,
    retry_after   INTEGER NOT NULL,
    dns           INTEGER NOT NULL,
    connect       INTEGER NOT NULL,
    tls           INTEGER NOT NULL,
    first_byte    INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT;

-- +goose Down
DROP TABLE attempt;
DROP TABLE delivery;
DROP TABLE secret_key_check;
DROP TABLE webhook;
