use std::collections::BTreeMap;

use lingate_model::UtcMicros;
use lingate_seal::Ending;

use crate::{Level, Notice};

const DAY: i64 = 86_400_000_000;
/// Days before an end at which it is told.
const TOLD_AT: [i64; 3] = [1, 7, 30];

/// Tells that a bundle, a purpose or a key ends: 30, 7 and 1 days before, each once, and when it has ended.
#[derive(Default)]
pub(crate) struct Endings {
    /// By what ends and when: the fewest days of which was told.
    told: BTreeMap<(String, UtcMicros), i64>,
}

impl Endings {
    pub(crate) fn due(&mut self, utc: UtcMicros, endings: &[Ending]) -> Vec<Notice> {
        self.told.retain(|(what, at), _| endings.iter().any(|ending| (&ending.what, ending.at) == (what, *at)));
        endings.iter().filter_map(|ending| self.notice(utc, ending)).collect()
    }

    fn notice(&mut self, utc: UtcMicros, ending: &Ending) -> Option<Notice> {
        let left = ending.at.0.saturating_sub(utc.0);
        let days = if left <= 0 { 0 } else { TOLD_AT.into_iter().find(|days| left <= days * DAY)? };
        let key = (ending.what.clone(), ending.at);
        if self.told.get(&key).is_some_and(|told| *told <= days) {
            return None;
        }
        self.told.insert(key, days);
        let Ending { what, shown, .. } = ending;
        let text = match days {
            0 => {
                format!("{what} ended at {shown}: nothing is sealed for it any more; ask the sandbox for a new bundle")
            }
            _ => format!(
                "{what} ends at {shown}, in less than {} h: nothing is sealed for it after that; ask the sandbox for a new \
                 bundle",
                left / 3_600_000_000 + 1
            ),
        };
        Some(Notice { level: if days <= 7 { Level::Error } else { Level::Warning }, text })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_at_thirty_seven_and_one_days_and_at_the_end_each_once() {
        let (mut endings, hour) = (Endings::default(), DAY / 24);
        let ends = |at: i64| [Ending { what: "the bundle".to_owned(), at: UtcMicros(at), shown: "then".to_owned() }];
        let told: Vec<i64> = (0..40 * 24)
            .filter(|n| !endings.due(UtcMicros(n * hour), &ends(35 * DAY)).is_empty())
            .map(|n| 35 - n / 24)
            .collect();
        assert_eq!(told, [30, 7, 1, 0]);
        assert!(endings.due(UtcMicros(39 * DAY), &ends(90 * DAY)).is_empty(), "a new bundle ends later");
        assert_eq!(endings.due(UtcMicros(39 * DAY), &ends(40 * DAY)).len(), 1);
    }
}
