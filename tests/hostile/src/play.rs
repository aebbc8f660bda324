use serde_json::{Value, json};

use crate::Row;

/// A fresh reading has to arrive so soon after healing.
pub const FRESH_MS: u64 = 10_000;

/// Values of one poll of nine good devices.
const GOOD_POLL: u64 = 9 * 20;

/// What came of one row.
#[derive(Clone, Debug)]
pub struct Played {
    pub row: String,
    pub title: String,
    /// Faults, packets, requests or texts that were tried.
    pub tricks: u64,
    /// From healing to the next good reading; none where nothing had to heal.
    pub fresh_ms: Option<u64>,
    /// All of it, where rows are played one after the other.
    pub took_ms: u64,
    pub complaints: Vec<String>,
}

impl Played {
    /// Nothing was tried yet.
    pub fn new(row: &Row) -> Played {
        let (row, title) = (row.id.clone(), row.title.clone());
        Played { row, title, tricks: 0, fresh_ms: None, took_ms: 0, complaints: Vec::new() }
    }

    pub fn holds(&self) -> bool {
        self.complaints.is_empty() && self.tricks > 0
    }

    /// One line of JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "row": self.row, "title": self.title, "verdict": if self.holds() { "held" } else { "violated" },
            "tricks": self.tricks, "fresh_ms": self.fresh_ms, "took_ms": self.took_ms,
            "complaints": self.complaints,
        })
    }
}

/// What all peers of a session saw together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub session: &'static str,
    pub rows: usize,
    pub modbus_frames: u64,
    pub modbus_forbidden: u64,
    pub opcua_requests: u64,
    pub opcua_forbidden: u64,
    pub records: u64,
    pub lost: u64,
    pub values: u64,
    pub wrong: u64,
    pub undeclared: u64,
    pub panics: u64,
    /// Values that a good device served and nobody received.
    pub good_missing: u64,
    pub canaries: u64,
    pub bytes_searched: u64,
    pub canaries_found: u64,
    pub peak_rss_kib: u64,
    /// What is broken, in words.
    pub complaints: Vec<String>,
}

impl Totals {
    pub fn holds(&self) -> bool {
        // The answers that are on their way when the good devices are switched off: one poll of each.
        let is_complete = self.good_missing <= GOOD_POLL;
        let bad = self.modbus_forbidden + self.opcua_forbidden + self.lost + self.wrong + self.undeclared + self.panics;
        is_complete && bad + self.canaries_found == 0 && self.complaints.is_empty()
    }

    /// Of two sessions of the same kind.
    pub fn and(self, other: Totals) -> Totals {
        Totals {
            session: self.session,
            rows: self.rows + other.rows,
            modbus_frames: self.modbus_frames + other.modbus_frames,
            modbus_forbidden: self.modbus_forbidden + other.modbus_forbidden,
            opcua_requests: self.opcua_requests + other.opcua_requests,
            opcua_forbidden: self.opcua_forbidden + other.opcua_forbidden,
            records: self.records + other.records,
            lost: self.lost + other.lost,
            values: self.values + other.values,
            wrong: self.wrong + other.wrong,
            undeclared: self.undeclared + other.undeclared,
            panics: self.panics + other.panics,
            good_missing: self.good_missing + other.good_missing,
            canaries: self.canaries + other.canaries,
            bytes_searched: self.bytes_searched + other.bytes_searched,
            canaries_found: self.canaries_found + other.canaries_found,
            peak_rss_kib: self.peak_rss_kib.max(other.peak_rss_kib),
            complaints: [self.complaints, other.complaints].concat(),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "session": self.session, "rows": self.rows, "verdict": if self.holds() { "held" } else { "violated" },
            "modbus_frames": self.modbus_frames, "modbus_forbidden": self.modbus_forbidden,
            "opcua_requests": self.opcua_requests, "opcua_forbidden": self.opcua_forbidden,
            "records": self.records, "lost": self.lost, "values": self.values, "wrong": self.wrong,
            "undeclared": self.undeclared, "good_missing": self.good_missing, "panics": self.panics, "canaries": self.canaries,
            "bytes_searched": self.bytes_searched, "canaries_found": self.canaries_found,
            "peak_rss_kib": self.peak_rss_kib, "complaints": self.complaints,
        })
    }
}
