//! What passes the broker: counted, kept for a plaintext hunt, refused or acknowledged late, as a test wants it.

use std::sync::Mutex;
use std::time::Duration;

use super::frames::Publish;

/// Payloads are kept up to this many bytes; beyond it they are only counted.
const KEPT_BYTES_MAX: usize = 512 << 20;

/// Gives the reason code (0x80 and above) with which a publish is refused. Gets topic and payload.
pub type Refusal = Box<dyn FnMut(&str, &[u8]) -> Option<u8> + Send>;

#[derive(Default)]
pub struct Tap {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: TapCounts,
    kept: Option<Vec<Vec<u8>>>,
    refusal: Option<Refusal>,
    ack_delay: Duration,
}

/// What clients have published, refused messages included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    pub publishes: u64,
    pub payload_bytes: u64,
    /// Whole MQTT packets: fixed header, topic, properties, payload; without TLS.
    pub packet_bytes: u64,
    pub refused: u64,
}

impl Tap {
    pub fn counts(&self) -> TapCounts {
        self.state().counts
    }

    /// Keeps every payload from here on.
    pub fn keep_payloads(&self) {
        self.state().kept.get_or_insert_default();
    }

    /// What was kept, topic and payload in one piece each.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.state().kept.clone().unwrap_or_default()
    }

    /// Publishes for which `refusal` gives a reason do not reach the broker.
    pub fn refuse(&self, refusal: Refusal) {
        self.state().refusal = Some(refusal);
    }

    pub fn refuse_nothing(&self) {
        self.state().refusal = None;
    }

    /// Every PUBACK waits so long; zero: not at all.
    pub fn delay_acks(&self, by: Duration) {
        self.state().ack_delay = by;
    }

    pub(crate) fn ack_delay(&self) -> Duration {
        self.state().ack_delay
    }

    pub(crate) fn decide(&self, publish: &Publish<'_>, packet_bytes: usize) -> Option<u8> {
        let mut state = self.state();
        let reason = state.refusal.as_mut().and_then(|refusal| refusal(publish.topic, publish.payload));
        let counts = &mut state.counts;
        counts.publishes += 1;
        counts.payload_bytes += publish.payload.len() as u64;
        counts.packet_bytes += packet_bytes as u64;
        counts.refused += u64::from(reason.is_some());
        let is_room = counts.payload_bytes <= KEPT_BYTES_MAX as u64;
        if let Some(kept) = state.kept.as_mut().filter(|_| is_room) {
            kept.push([publish.topic.as_bytes(), publish.payload].concat());
        }
        reason
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }
}
