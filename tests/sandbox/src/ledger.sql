-- What one receiver has opened. Keys never lie here: an epoch is opened again from its KEY message.
CREATE TABLE IF NOT EXISTS epochs (
    kid BLOB PRIMARY KEY,
    ordinal INTEGER NOT NULL,               -- order of arrival of the KEYs
    tenant TEXT NOT NULL, gateway TEXT NOT NULL, dataset TEXT NOT NULL, alias TEXT NOT NULL,
    purpose TEXT NOT NULL, class INTEGER NOT NULL, issued_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,
    previous_kid BLOB, previous_last_seq INTEGER,
    key_message BLOB NOT NULL, catalogue BLOB, lineage BLOB,
    records INTEGER NOT NULL DEFAULT 0, max_seq INTEGER, bytes INTEGER NOT NULL DEFAULT 0,
    readings INTEGER NOT NULL DEFAULT 0, bad_readings INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0, order_violations INTEGER NOT NULL DEFAULT 0,
    oldest_us INTEGER, newest_us INTEGER,
    first_arrival_us INTEGER, last_arrival_us INTEGER,
    close_seq INTEGER, close_readings INTEGER, close_root BLOB,
    root_state TEXT                         -- NULL: not checked yet, 'right', 'wrong'
) STRICT;
CREATE INDEX IF NOT EXISTS epochs_by_stream ON epochs (dataset, gateway, tenant, ordinal);
CREATE TABLE IF NOT EXISTS records (
    kid BLOB NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, digest BLOB NOT NULL, arrival_us INTEGER NOT NULL,
    PRIMARY KEY (kid, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (
    kid BLOB NOT NULL, alias INTEGER NOT NULL, name TEXT NOT NULL, builtin_type INTEGER NOT NULL,
    dimensions INTEGER NOT NULL,            -- 0: a scalar
    unit TEXT NOT NULL, equipment TEXT NOT NULL, source TEXT NOT NULL, interval_ms INTEGER NOT NULL,
    PRIMARY KEY (kid, alias)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devices (
    kid BLOB NOT NULL, name TEXT NOT NULL, vendor TEXT NOT NULL, product TEXT NOT NULL, revision TEXT NOT NULL,
    security TEXT NOT NULL,                 -- empty: the protocol knows none
    PRIMARY KEY (kid, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (
    kid BLOB NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, alias INTEGER NOT NULL,
    time_us INTEGER NOT NULL,               -- when the gateway had it
    source_ticks INTEGER, server_ticks INTEGER, -- as the device gave them: 100 ns since 1601
    backfilled INTEGER NOT NULL,
    status INTEGER NOT NULL,
    value ANY,                              -- by builtin type: integer, real, text, blob; unsigned beyond 2^63 as text;
                                            -- arrays, structures and localized texts as JSON
    PRIMARY KEY (kid, seq, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    kid BLOB NOT NULL, step INTEGER NOT NULL, seen INTEGER NOT NULL, kept INTEGER NOT NULL,
    PRIMARY KEY (kid, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (
    kid BLOB NOT NULL, seq INTEGER NOT NULL,
    lost_kid BLOB, first_seq INTEGER, last_seq INTEGER,
    device TEXT, from_us INTEGER, to_us INTEGER,
    readings INTEGER NOT NULL, cause INTEGER NOT NULL, maybe_delivered INTEGER NOT NULL,
    PRIMARY KEY (kid, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
    id INTEGER PRIMARY KEY, kid BLOB NOT NULL, gateway TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS held_by_kid ON held (kid);
CREATE TABLE IF NOT EXISTS refused_epochs (kid BLOB PRIMARY KEY, gateway TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS rejected (reason TEXT PRIMARY KEY, count INTEGER NOT NULL, last_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS alarms (
    id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, topic TEXT NOT NULL, kid BLOB, seq INTEGER, reason TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS subscribed (session TEXT PRIMARY KEY) STRICT;
CREATE VIEW IF NOT EXISTS telemetry AS
    SELECT e.dataset, e.gateway, p.name, p.unit, r.time_us, r.value, r.status, r.kid, r.seq, r.at,
        r.source_ticks / 10 - 11644473600000000 AS source_us, r.source_ticks, r.server_ticks, r.backfilled
    FROM readings r JOIN epochs e USING (kid) JOIN points p ON p.kid = r.kid AND p.alias = r.alias;
