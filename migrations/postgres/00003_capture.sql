-- What capture keeps: which tables of the application are event sources, how many jobs wait and run there, and what went
-- wrong in a trigger. The triggers and their functions are made by "capture attach", for each mapping its own.

-- +goose Up
CREATE TABLE capture (
    name        text        PRIMARY KEY,
    mapping     text        NOT NULL, -- YAML, complete: presets are resolved
    version     integer     NOT NULL, -- of the program's way to write triggers
    attached_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The jobs of one capture at one moment. What has changed since then is in capture_delta: their sum is what there is now,
-- in every snapshot, whatever was rolled back. Deltas are only ever added by triggers, so that the application's
-- transactions never wait for each other here.
CREATE TABLE capture_count (
    capture    text        PRIMARY KEY REFERENCES capture (name) ON DELETE CASCADE,
    pending    bigint      NOT NULL,
    running    bigint      NOT NULL,
    counted_at timestamptz NOT NULL,
    faults     bigint      NOT NULL -- the newest fault that this count was taken after
);

CREATE TABLE capture_delta (
    capture text    NOT NULL,
    pending integer NOT NULL,
    running integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000); -- every row goes soon

-- A change whose event could not be written. The application's statement went on.
CREATE TABLE capture_fault (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    capture text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    source  text        NOT NULL, -- the function
    code    text        NOT NULL, -- SQLSTATE
    message text        NOT NULL
);

-- Records of a transaction that changed many rows stand behind 2^62 (see app.Drain), with what they are about: a later
-- record about the same must not overtake them. All others have no subject, and cost the index nothing.
ALTER TABLE outbox ADD COLUMN subject uuid;
CREATE INDEX outbox_subject ON outbox (subject) WHERE subject IS NOT NULL;

-- capture_row_id makes a UUID (RFC 9562, version 8) of a key that is none: 122 bits of SHA-256 of the table's name, a
-- colon and the key as text. RowID in adapters/capture does the same.
-- +goose StatementBegin
CREATE FUNCTION capture_row_id(space text, value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.substr(h, 1, 8) OPERATOR(pg_catalog.||) '-' OPERATOR(pg_catalog.||) pg_catalog.substr(h, 9, 4)
        OPERATOR(pg_catalog.||) '-8' OPERATOR(pg_catalog.||) pg_catalog.substr(h, 14, 3) OPERATOR(pg_catalog.||) '-'
        OPERATOR(pg_catalog.||) pg_catalog.translate(pg_catalog.substr(h, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab')
        OPERATOR(pg_catalog.||) pg_catalog.substr(h, 18, 3) OPERATOR(pg_catalog.||) '-' OPERATOR(pg_catalog.||) pg_catalog.substr(h, 21, 12)
    FROM (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(space OPERATOR(pg_catalog.||) ':' OPERATOR(pg_catalog.||) value, 'UTF8')), 'hex') AS h) AS digest
$$;
-- +goose StatementEnd

-- capture_job_type makes of any name one that the hub accepts as a job type; NULL when nothing is left of it.
-- +goose StatementBegin
CREATE FUNCTION capture_job_type(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plain text := btrim(left(btrim(regexp_replace(name, '[^A-Za-z0-9]+', '_', 'g'), '_'), 90), '_');
BEGIN
    IF plain ~ '^[0-9]' THEN
        plain := 'Job_' || plain;
    END IF;
    RETURN nullif(plain, '');
END
$$;
-- +goose StatementEnd

-- capture_tags writes tags as a JSON array that the hub accepts: trimmed, not empty, each once, bounded.
-- +goose StatementBegin
CREATE FUNCTION capture_tags(tags text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    blank text := E' \t\n\r\x0b\x0c';
    tag   text;
    kept  text[] := '{}';
BEGIN
    IF tags IS NULL OR cardinality(tags) = 0 THEN
        RETURN '[]';
    END IF;
    IF getdatabaseencoding() = 'UTF8' THEN -- what Unicode has for blanks
        blank := blank || convert_from('\xc285c2a0e19a80e28080e28081e28082e28083e28084e28085e28086e28087e28088e28089e2808ae280a8e280a9e280afe2819fe38080'::bytea, 'UTF8');
    END IF;
    FOREACH tag IN ARRAY tags LOOP
        tag := btrim(left(btrim(tag, blank), 100), blank);
        IF tag <> '' AND tag <> ALL (kept) THEN
            kept := kept || tag;
            EXIT WHEN cardinality(kept) = 100;
        END IF;
    END LOOP;
    RETURN array_to_json(kept)::text;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- What is attached still is detached: its triggers would do nothing but fail, silently.
-- +goose StatementBegin
DO $$
DECLARE
    f text;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype AND starts_with(proname, 'capture_') LOOP
        EXECUTE 'DROP FUNCTION ' || f || ' CASCADE';
    END LOOP;
END
$$;
-- +goose StatementEnd
DROP FUNCTION capture_tags;
DROP FUNCTION capture_job_type;
DROP FUNCTION capture_row_id;
DROP INDEX outbox_subject;
ALTER TABLE outbox DROP COLUMN subject;
DROP TABLE capture_fault;
DROP TABLE capture_delta;
DROP TABLE capture_count;
DROP TABLE capture;
