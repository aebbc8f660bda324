use std::collections::BTreeSet;

use lingate_model::ClockState;
use proptest::prelude::*;

use super::super::plan::plan;
use super::super::register::Area;
use super::*;

/// Refuses every block with a register that it does not have, and every longer one.
struct Device {
    missing: BTreeSet<u16>,
    longest: u16,
}

impl Device {
    fn lacking(missing: impl IntoIterator<Item = u16>) -> Device {
        Device { missing: missing.into_iter().collect(), longest: 125 }
    }

    fn answers(&self, request: &Request) -> bool {
        let mut addresses = request.start.address..request.start.address + request.count;
        request.count <= self.longest && !addresses.any(|address| self.missing.contains(&address))
    }
}

struct Bench {
    device: Device,
    wanted: Vec<Wanted>,
    holes: Holes,
    now: Duration,
}

/// Of one poll: the points that were read, and how many requests were refused.
struct Poll {
    read: BTreeSet<usize>,
    requests: usize,
    refused: usize,
}

impl Bench {
    fn new(device: Device, wanted: Vec<Wanted>) -> Bench {
        Bench { device, wanted, holes: Holes::default(), now: Duration::from_secs(10) }
    }

    /// Asks only what the plan says, no part at once.
    fn poll(&mut self) -> Poll {
        let mut poll = Poll { read: BTreeSet::new(), requests: 0, refused: 0 };
        for group in self.holes.plan(&self.wanted, LIMITS, self.now) {
            for request in group.requests {
                poll.requests += 1;
                if self.device.answers(&request) {
                    self.holes.answered(&request);
                    poll.read.extend(request.members.iter().map(|member| member.point));
                } else {
                    poll.refused += 1;
                    self.holes.refused(&request, 2, now(self.now));
                }
            }
        }
        poll
    }

    fn polls_until_nothing_is_new(&mut self) -> usize {
        let mut polls = 0;
        while polls == 0 || self.holes.is_stale(self.now) {
            self.poll();
            polls += 1;
            assert!(polls < 100, "it never ends");
        }
        polls
    }

    fn readable(&self) -> BTreeSet<usize> {
        let is_there = |wanted: &Wanted| {
            (wanted.register.address..wanted.register.address + wanted.count).all(|at| !self.device.missing.contains(&at))
        };
        (0..self.wanted.len()).filter(|point| is_there(&self.wanted[*point])).collect()
    }
}

fn now(monotonic: Duration) -> Now {
    Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
}

const LIMITS: Limits = Limits { registers: 125, bits: 2000, gap: 8 };
const MINUTE: Duration = Duration::from_secs(60);

fn registers(addresses: impl IntoIterator<Item = u16>) -> Vec<Wanted> {
    let wanted = |address| Register { area: Area::Holding, address };
    let interval = Duration::from_secs(1);
    addresses.into_iter().map(|address| Wanted { register: wanted(address), count: 1, interval }).collect()
}

#[test]
fn a_block_is_read_around_a_hole_with_one_request_on_each_side() {
    let mut bench = Bench::new(Device::lacking([40]), registers(0..64));
    assert!(bench.polls_until_nothing_is_new() <= 9);
    let poll = bench.poll();
    assert_eq!((poll.requests, poll.refused, poll.read.len()), (2, 0, 63));
}

#[test]
fn a_hole_between_the_wanted_registers_costs_one_request_more() {
    let mut bench = Bench::new(Device::lacking([4]), registers([0, 1, 2, 3, 6, 7, 8, 9]));
    bench.polls_until_nothing_is_new();
    let poll = bench.poll();
    assert_eq!((poll.requests, poll.refused, poll.read.len()), (2, 0, 8));
    assert_eq!(bench.holes.report(now(bench.now)), [], "every point is read");
}

#[test]
fn a_device_that_cannot_read_so_many_at_once_is_asked_for_less() {
    let device = Device { longest: 64, ..Device::lacking([]) };
    let mut bench = Bench::new(device, registers(0..1000));
    bench.polls_until_nothing_is_new();
    let poll = bench.poll();
    assert_eq!((poll.refused, poll.read.len()), (0, 1000));
    assert!(poll.requests <= 20, "{}", poll.requests);
}

#[test]
fn a_hole_is_asked_again_alone_and_ever_more_rarely() {
    let mut bench = Bench::new(Device::lacking([3]), registers(0..8));
    bench.polls_until_nothing_is_new();
    let mut waits = Vec::new();
    for _ in 0..9 {
        let start = bench.now;
        while !bench.holes.is_stale(bench.now) {
            bench.now += MINUTE;
        }
        waits.push((bench.now - start).as_secs() / 60);
        let poll = bench.poll();
        assert_eq!((poll.requests, poll.refused, poll.read.len()), (3, 1, 7), "the others are read as ever");
        bench.holes.plan(&bench.wanted, LIMITS, bench.now);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    bench.device.missing.clear();
    bench.now += 60 * MINUTE;
    bench.polls_until_nothing_is_new();
    let poll = bench.poll();
    assert_eq!((poll.requests, poll.read.len()), (1, 8), "a firmware that has the register is read with one request");
}

#[test]
fn a_device_that_refuses_everything_is_asked_everything_again_after_a_minute() {
    let mut bench = Bench::new(Device::lacking(0..100), registers(0..100));
    bench.polls_until_nothing_is_new();
    assert_eq!(bench.poll().requests, 0);
    bench.device.missing.clear();
    bench.now += MINUTE;
    assert!(bench.holes.is_stale(bench.now));
    let poll = bench.poll();
    assert_eq!((poll.requests, poll.read.len()), (1, 100));
}

#[test]
fn the_report_names_neighbouring_holes_as_one() {
    let mut bench = Bench::new(Device::lacking([104, 105, 106, 107, 120]), registers(100..125));
    bench.polls_until_nothing_is_new();
    let aside = bench.holes.report(now(bench.now + Duration::from_secs(20)));
    let told: Vec<_> = aside.iter().map(|aside| (aside.what.as_str(), aside.why.as_str())).collect();
    assert_eq!(told, [
        ("holding:104 to 107", "illegal data address"),
        ("holding:120", "illegal data address"),
    ]);
    assert_eq!(aside[0].since, UtcMicros(10_000_000));
    assert_eq!(aside[0].again, Some(UtcMicros(70_000_000)));
}

#[test]
fn a_wide_value_that_is_refused_does_not_take_the_narrow_one_in_its_place_with_it() {
    let mut wanted = registers([100, 100]);
    wanted[1].count = 2;
    let mut bench = Bench::new(Device::lacking([101]), wanted);
    bench.polls_until_nothing_is_new();
    assert_eq!(bench.poll().read, BTreeSet::from([0]));
}

#[test]
fn what_is_kept_is_bounded_and_the_rest_counted() {
    let addresses = || (0..5000).map(|index| index * 13);
    let mut bench = Bench::new(Device::lacking(addresses()), registers(addresses()));
    bench.poll();
    assert_eq!(bench.holes.holes.len(), Holes::MAX);
    assert_eq!(bench.holes.unlearned(), 5000 - Holes::MAX as u64);
}

/// Found by the random test below.
#[test]
fn a_part_as_large_as_its_block_is_parted_again() {
    let mut wanted = registers([213, 217, 217, 218, 0]);
    wanted[..2].iter_mut().for_each(|wanted| wanted.count = 4);
    let mut bench = Bench::new(Device::lacking([213]), wanted);
    bench.polls_until_nothing_is_new();
    assert_eq!(bench.poll().read, BTreeSet::from([1, 2, 3, 4]));
}

/// Found by the random test below.
#[test]
fn a_refused_block_inside_a_wide_value_leaves_that_value_aside() {
    let mut wanted = registers([60, 63, 51, 61]);
    wanted[0].count = 4;
    let mut bench = Bench::new(Device::lacking([62]), wanted);
    bench.polls_until_nothing_is_new();
    assert_eq!(bench.poll().read, BTreeSet::from([1, 2, 3]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Row by row: all that can be read is read, nothing that cannot be is asked, and no request is there in vain.
    #[test]
    fn every_value_that_the_device_has_is_read_and_no_other(
        places in prop::collection::vec((0..300_u16, 1..5_u16), 1..80),
        missing in prop::collection::vec(0..300_u16, 0..12),
    ) {
        let mut wanted = registers(places.iter().map(|(address, _)| *address));
        wanted.iter_mut().zip(&places).for_each(|(wanted, (_, count))| wanted.count = *count);
        let mut bench = Bench::new(Device::lacking(missing.clone()), wanted);
        let readable = bench.readable();
        bench.polls_until_nothing_is_new();
        if readable.is_empty() {
            return Ok(());
        }
        let poll = bench.poll();
        prop_assert_eq!(&poll.read, &readable);
        prop_assert_eq!(poll.refused, 0);
        let values: Vec<_> = readable.iter().map(|point| bench.wanted[*point]).collect();
        let without_holes = plan(&values, LIMITS)[0].requests.len();
        prop_assert!(poll.requests <= without_holes + 2 * missing.len(), "{} for {without_holes}", poll.requests);
    }
}
