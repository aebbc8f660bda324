use std::time::Duration;

use lingate_model::StatusCode;

/// What a kind of server bears, where it does not say so itself; what it says counts if it is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Operations in one request.
    pub(crate) operations: u32,
    pub(crate) items_per_subscription: u32,
    /// Monitored items created a second.
    pub(crate) creations: u32,
}

impl Profile {
    /// Servers were seen to end at 1,000 operations or items and to slow down long before their limits.
    pub(crate) const GENERIC: Profile = Profile { operations: 1_000, items_per_subscription: 5_000, creations: 10_000 };

    /// An S7-1200 takes about fifty times as long for requests of more than 200 items; 1,000 items are all that it has.
    const S7_1200: Profile = Profile { operations: 100, items_per_subscription: 1_000, creations: 100 };
    const S7_1500: Profile = Profile { operations: 500, items_per_subscription: 1_000, creations: 500 };
    const KEPWARE: Profile = Profile { operations: 1_000, items_per_subscription: 5_000, creations: 5_000 };
    /// A server that was asked for 125,000 items at once went down.
    const IGNITION: Profile = Profile { operations: 1_000, items_per_subscription: 5_000, creations: 2_000 };

    pub(crate) const WORDS: [(&str, Profile); 5] = [
        ("generic", Profile::GENERIC),
        ("s7-1200", Profile::S7_1200),
        ("s7-1500", Profile::S7_1500),
        ("kepware", Profile::KEPWARE),
        ("ignition", Profile::IGNITION),
    ];
}

/// Services that take many operations in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Read,
    Register,
    Translate,
    Create,
    Browse,
    History,
}

/// Operations in one request of each service: found out as the server answers, and never more than it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    sizes: [u32; 6],
}

impl Limits {
    pub(crate) fn new(profile: Profile) -> Limits {
        Limits { sizes: [profile.operations; 6] }
    }

    /// `said`: the server's OperationLimits (OPC 10000-5, 6.3.11); 0 means that it has none.
    pub(crate) fn respect(&mut self, service: Service, said: u32) {
        let size = &mut self.sizes[service as usize];
        *size = if said == 0 { *size } else { said.min(*size) };
    }

    /// What an earlier session learnt holds.
    pub(crate) fn tighten(&mut self, learnt: &Limits) {
        self.sizes.iter_mut().zip(learnt.sizes).for_each(|(size, learnt)| *size = learnt.min(*size));
    }

    pub(crate) fn size(&self, service: Service) -> usize {
        self.sizes[service as usize].max(1) as usize
    }

    /// After a request of `asked` operations was too large: the half of it. `false`: it cannot be less, so size was not
    /// the reason.
    pub(crate) fn halve(&mut self, service: Service, asked: usize) -> bool {
        let half = u32::try_from(asked / 2).unwrap_or(u32::MAX);
        if half == 0 {
            return false;
        }
        self.sizes[service as usize] = half.min(self.sizes[service as usize]);
        true
    }
}

/// The answers that mean "ask for less at once" (OPC 10000-4, 7.39.2).
pub(crate) fn is_too_large(status: StatusCode) -> bool {
    const TOO_LARGE: [u32; 6] = [
        0x8003_0000, // BadOutOfMemory
        0x8008_0000, // BadEncodingLimitsExceeded
        0x8010_0000, // BadTooManyOperations
        0x8080_0000, // BadTcpMessageTooLarge
        0x80B8_0000, // BadRequestTooLarge
        0x80B9_0000, // BadResponseTooLarge
    ];
    TOO_LARGE.contains(&(status.0 & 0xFFFF_0000))
}

/// Lets so many pass in a second and makes the rest wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_second: u32,
    free_at: Duration,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Rate {
        Rate { per_second: per_second.max(1), free_at: Duration::ZERO }
    }

    /// How long to wait before `count` more may pass.
    pub(crate) fn wait_for(&mut self, count: usize, now: Duration) -> Duration {
        let starts = self.free_at.max(now);
        let takes = Duration::from_secs_f64(count as f64 / f64::from(self.per_second));
        self.free_at = starts.saturating_add(takes);
        starts.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_large_is_halved_until_one_operation_is_left() {
        let mut limits = Limits::new(Profile::GENERIC);
        let mut sizes = Vec::new();
        while limits.halve(Service::Read, limits.size(Service::Read)) {
            sizes.push(limits.size(Service::Read));
        }
        assert_eq!(sizes, [500, 250, 125, 62, 31, 15, 7, 3, 1]);
        assert_eq!(limits.size(Service::Create), 1000);
        limits.halve(Service::Create, 100);
        assert_eq!(limits.size(Service::Create), 50, "the last chunk may have been a small one");
    }

    #[test]
    fn what_the_server_says_counts_if_it_is_less() {
        let mut limits = Limits::new(Profile::GENERIC);
        for (said, size) in [(0, 1000), (5000, 1000), (100, 100), (200, 100), (u32::MAX, 100)] {
            limits.respect(Service::Read, said);
            assert_eq!(limits.size(Service::Read), size, "{said}");
        }
    }

    #[test]
    fn info_bits_do_not_hide_what_was_too_large() {
        assert!(is_too_large(StatusCode(0x8010_0000)) && is_too_large(StatusCode(0x80B9_0480)));
        assert!(!is_too_large(StatusCode::GOOD) && !is_too_large(StatusCode::BAD_NODE_ID_UNKNOWN));
    }

    #[test]
    fn a_rate_makes_the_second_wait_for_the_first() {
        let seconds = Duration::from_secs;
        let mut rate = Rate::new(100);
        assert_eq!(rate.wait_for(200, seconds(10)), Duration::ZERO);
        assert_eq!(rate.wait_for(100, seconds(10)), seconds(2));
        assert_eq!(rate.wait_for(1, seconds(12)), seconds(1));
        assert_eq!(rate.wait_for(1, seconds(60)), Duration::ZERO);
    }
}
