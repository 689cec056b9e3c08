-- Times are microseconds since 1970, UTC, and durations microseconds; 0 stands for none. Names of types, statuses and
-- faults are those of the wire.

-- +goose Up
CREATE TABLE webhook (
    id                uuid    PRIMARY KEY,
    url               text    NOT NULL,
    events            jsonb   NOT NULL CHECK (jsonb_typeof(events) = 'array'), -- empty for every type but QueueStatus
    max_retries       integer NOT NULL,
    description       text    NOT NULL,
    headers           bytea   NOT NULL, -- sealed
    keys              bytea   NOT NULL, -- sealed
    activation        text    NOT NULL CHECK (activation IN ('active', 'paused', 'gone')),
    created_at        bigint  NOT NULL,
    updated_at        bigint  NOT NULL,
    last_triggered_at bigint  NOT NULL,
    failure_count     integer NOT NULL
);

-- One row at most: something known, sealed with the key that everything sealed in this database is sealed with.
CREATE TABLE secret_key_check (
    id     integer PRIMARY KEY CHECK (id = 1),
    sealed bytea   NOT NULL
);

CREATE TABLE delivery (
    id            uuid    PRIMARY KEY,
    webhook_id    uuid    NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event_id      uuid    NOT NULL,
    event_type    text    NOT NULL,
    payload       text    NOT NULL,
    created_at    bigint  NOT NULL,
    status        text    NOT NULL CHECK (status IN ('pending', 'in_flight', 'delivered', 'dead', 'canceled')),
    attempts      integer NOT NULL,
    forgiven      integer NOT NULL CHECK (forgiven BETWEEN 0 AND attempts),
    due_at        bigint  NOT NULL, -- of the next attempt; means something while pending only
    ended_at      bigint  NOT NULL, -- when it was delivered, died or was canceled
    lease         uuid,             -- whose it is, while in flight

    -- The latest attempt that ended. Those before it are in the table attempt.
    number        integer NOT NULL DEFAULT 0, -- of it; 0 before one ended
    started_at    bigint  NOT NULL DEFAULT 0,
    status_code   integer NOT NULL DEFAULT 0,
    fault         text    NOT NULL DEFAULT '',
    response_body text    NOT NULL DEFAULT '',
    retry_after   bigint  NOT NULL DEFAULT 0,
    dns           bigint  NOT NULL DEFAULT 0,
    connect       bigint  NOT NULL DEFAULT 0,
    tls           bigint  NOT NULL DEFAULT 0,
    first_byte    bigint  NOT NULL DEFAULT 0,
    total         bigint  NOT NULL DEFAULT 0,

    UNIQUE (webhook_id, event_id),
    CHECK ((status = 'in_flight') = (lease IS NOT NULL)),
    CHECK ((status IN ('delivered', 'dead', 'canceled')) = (ended_at > 0))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02); -- every row changes soon

-- What to claim, and when next. Holds what waits and nothing else.
CREATE INDEX delivery_due ON delivery (webhook_id, due_at, id) WHERE status = 'pending';

-- What is in flight; and lists, which merge one range for each status and type that they show.
CREATE INDEX delivery_list ON delivery (status, webhook_id, event_type, created_at, id);

-- What to prune.
CREATE INDEX delivery_ended ON delivery (status, ended_at) WHERE ended_at > 0;

CREATE TABLE attempt (
    delivery_id   uuid    NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number        integer NOT NULL,
    started_at    bigint  NOT NULL,
    status_code   integer NOT NULL,
    fault         text    NOT NULL,
    response_body text    NOT NULL,
    retry_after   bigint  NOT NULL,
    dns           bigint  NOT NULL,
    connect       bigint  NOT NULL,
    tls           bigint  NOT NULL,
    first_byte    bigint  NOT NULL,
    total         bigint  NOT NULL,
    PRIMARY KEY (delivery_id, number)
);

-- +goose Down
DROP TABLE attempt;
DROP TABLE delivery;
DROP TABLE secret_key_check;
DROP TABLE webhook;
