-- What a group of receivers has opened, the same as ledger.sql. Keys never lie here: an epoch is opened again from its
-- KEY message. Integers are 64 bits wide; what SQLite keeps in one column of any type has a column per type.
CREATE TABLE ledger (version BIGINT NOT NULL);
CREATE TABLE epochs (
    kid BYTEA PRIMARY KEY,
    ordinal BIGINT NOT NULL,
    tenant TEXT NOT NULL, gateway TEXT NOT NULL, dataset TEXT NOT NULL, alias TEXT NOT NULL,
    purpose TEXT NOT NULL, class BIGINT NOT NULL, issued_s BIGINT NOT NULL, expires_s BIGINT NOT NULL,
    previous_kid BYTEA, previous_last_seq BIGINT,
    key_message BYTEA NOT NULL, catalogue BYTEA, lineage BYTEA,
    records BIGINT NOT NULL DEFAULT 0, max_seq BIGINT, bytes BIGINT NOT NULL DEFAULT 0,
    readings BIGINT NOT NULL DEFAULT 0, bad_readings BIGINT NOT NULL DEFAULT 0,
    duplicates BIGINT NOT NULL DEFAULT 0, order_violations BIGINT NOT NULL DEFAULT 0,
    oldest_us BIGINT, newest_us BIGINT,
    first_arrival_us BIGINT, last_arrival_us BIGINT,
    close_seq BIGINT, close_readings BIGINT, close_root BYTEA,
    root_state TEXT
);
CREATE INDEX epochs_by_stream ON epochs (dataset, gateway, tenant, ordinal);
CREATE TABLE records (
    kid BYTEA NOT NULL, seq BIGINT NOT NULL, kind BIGINT NOT NULL, digest BYTEA NOT NULL, arrival_us BIGINT NOT NULL,
    PRIMARY KEY (kid, seq)
);
CREATE TABLE points (
    kid BYTEA NOT NULL, alias BIGINT NOT NULL, name TEXT NOT NULL, builtin_type BIGINT NOT NULL,
    dimensions BIGINT NOT NULL,
    unit TEXT NOT NULL, equipment TEXT NOT NULL, source TEXT NOT NULL, interval_ms BIGINT NOT NULL,
    PRIMARY KEY (kid, alias)
);
CREATE TABLE devices (
    kid BYTEA NOT NULL, name TEXT NOT NULL, vendor TEXT NOT NULL, product TEXT NOT NULL, revision TEXT NOT NULL,
    security TEXT NOT NULL,
    PRIMARY KEY (kid, name)
);
CREATE TABLE readings (
    kid BYTEA NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, alias BIGINT NOT NULL,
    time_us BIGINT NOT NULL, source_ticks BIGINT, server_ticks BIGINT, backfilled BIGINT NOT NULL,
    status BIGINT NOT NULL,
    value_int BIGINT, value_real DOUBLE PRECISION, value_text TEXT,
    value_bytes BYTEA,                      -- also texts with a NUL, which TEXT cannot hold
    PRIMARY KEY (kid, seq, at)
);
CREATE TABLE steps (
    kid BYTEA NOT NULL, step BIGINT NOT NULL, seen BIGINT NOT NULL, kept BIGINT NOT NULL,
    PRIMARY KEY (kid, step)
);
CREATE TABLE gaps (
    kid BYTEA NOT NULL, seq BIGINT NOT NULL,
    lost_kid BYTEA, first_seq BIGINT, last_seq BIGINT,
    device TEXT, from_us BIGINT, to_us BIGINT,
    readings BIGINT NOT NULL, cause BIGINT NOT NULL, maybe_delivered BIGINT NOT NULL,
    PRIMARY KEY (kid, seq)
);
CREATE TABLE held (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kid BYTEA NOT NULL, gateway TEXT NOT NULL, topic TEXT NOT NULL, payload BYTEA NOT NULL
);
CREATE INDEX held_by_kid ON held (kid);
CREATE TABLE refused_epochs (kid BYTEA PRIMARY KEY, gateway TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE rejected (reason TEXT PRIMARY KEY, count BIGINT NOT NULL, last_us BIGINT NOT NULL);
CREATE TABLE alarms (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us BIGINT NOT NULL, topic TEXT NOT NULL, kid BYTEA, seq BIGINT, reason TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE subscribed (session TEXT PRIMARY KEY);
CREATE VIEW telemetry AS
    SELECT e.dataset, e.gateway, p.name, p.unit, r.time_us, coalesce(r.value_real, r.value_int) AS value,
        r.value_int, r.value_text, r.value_bytes, r.status, r.kid, r.seq, r.at,
        r.source_ticks / 10 - 11644473600000000 AS source_us, r.source_ticks, r.server_ticks, r.backfilled
    FROM readings r JOIN epochs e USING (kid) JOIN points p ON p.kid = r.kid AND p.alias = r.alias;
