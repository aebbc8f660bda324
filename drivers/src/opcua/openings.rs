use std::collections::VecDeque;
use std::time::Duration;

use crate::LinkError;

/// Failed openings of a secured channel. Each answer to OpenSecureChannel is decrypted with the gateway's private key,
/// and how long that takes tells something of it (RUSTSEC-2023-0071, which has no patch): whoever can make openings fail
/// gets few tries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Openings(VecDeque<Duration>);

const FAILED_MAX: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);

impl Openings {
    pub(crate) fn failed(&mut self, now: Duration) {
        self.0.push_back(now);
        if self.0.len() > FAILED_MAX {
            self.0.pop_front();
        }
    }

    pub(crate) fn allowed(&self, now: Duration) -> Result<(), LinkError> {
        let recent = self.0.iter().filter(|failed| now.saturating_sub(**failed) < WITHIN).count();
        if recent < FAILED_MAX {
            return Ok(());
        }
        Err(LinkError::Refused {
            what: format!("the secure channel failed {FAILED_MAX} times within a minute"),
            hint: "it is tried again by itself; look for what breaks it between here and the server".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_opened_at_most_five_times_a_minute_for_nothing() {
        let mut openings = Openings::default();
        let mut tried = Vec::new();
        for now in (0..180).map(Duration::from_secs) {
            if openings.allowed(now).is_ok() {
                openings.failed(now);
                tried.push(now.as_secs());
            }
        }
        assert_eq!(tried, [0, 1, 2, 3, 4, 60, 61, 62, 63, 64, 120, 121, 122, 123, 124]);
    }
}
