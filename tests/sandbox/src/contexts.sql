-- Which batch, phase, lot, recipe or state held for which readings of a record: those whose `at` lies in first_at .. end_at.
CREATE TABLE IF NOT EXISTS contexts (
    kid {blob} NOT NULL, seq {int} NOT NULL, place {int} NOT NULL,
    alias {int} NOT NULL,                   -- of the context point; it speaks of its equipment and what lies below
    kind TEXT NOT NULL,                     -- batch, phase, lot, recipe, state
    value TEXT,                             -- NULL: it ended, or nobody knows
    first_at {int} NOT NULL, end_at {int} NOT NULL,
    from_us {int}, to_us {int},
    PRIMARY KEY (kid, seq, place)
);
-- Every record as it came, sealed and signed: what a value can be proven by.
CREATE TABLE IF NOT EXISTS messages (kid {blob} NOT NULL, seq {int} NOT NULL, message {blob} NOT NULL, PRIMARY KEY (kid, seq));
CREATE INDEX IF NOT EXISTS contexts_by_value ON contexts (kind, value);
