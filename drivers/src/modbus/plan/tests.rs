use proptest::prelude::*;

use super::judge::{addresses, fewest, fewest_of_all_partitions, judge, longest_gap};
use super::*;

fn wanted(area: Area, address: u16, count: u16) -> Wanted {
    Wanted { register: Register { area, address }, count, interval: Duration::from_millis(500) }
}

fn show(wanted: &[Wanted], limits: Limits) -> Vec<String> {
    plan(wanted, limits).iter().flat_map(|group| &group.requests).map(Request::to_string).collect()
}

const TRUE_LIMITS: Limits = Limits { registers: 125, bits: 2000, gap: 0 };

#[test]
fn neighbours_share_a_request_up_to_the_true_limits() {
    let registers: Vec<_> = (0..126).map(|address| wanted(Area::Holding, address, 1)).collect();
    assert_eq!(show(&registers, TRUE_LIMITS), ["125 registers from holding:0", "1 registers from holding:125"]);
    let bits: Vec<_> = (0..2001).map(|address| wanted(Area::Coil, address, 1)).collect();
    assert_eq!(show(&bits, TRUE_LIMITS), ["2000 bits from coil:0", "1 bits from coil:2000"]);
}

#[test]
fn a_wide_value_at_the_border_goes_whole_into_the_next_request() {
    let mut registers: Vec<_> = (0..124).map(|address| wanted(Area::Input, address, 1)).collect();
    registers.push(wanted(Area::Input, 124, 2));
    assert_eq!(show(&registers, TRUE_LIMITS), ["124 registers from input:0", "2 registers from input:124"]);
}

#[test]
fn the_last_register_can_be_read_and_no_request_reaches_behind_it() {
    let registers = [wanted(Area::Holding, 65_535, 1), wanted(Area::Holding, 65_532, 2)];
    let limits = Limits { gap: 8, ..TRUE_LIMITS };
    assert_eq!(show(&registers, limits), ["4 registers from holding:65532"]);
    assert_eq!(show(&registers, TRUE_LIMITS), ["2 registers from holding:65532", "1 registers from holding:65535"]);
}

#[test]
fn a_refused_block_is_parted_at_its_widest_gap_and_then_by_halves() {
    let registers = [0, 1, 2, 3, 7].map(|address| wanted(Area::Holding, address, 1));
    let request = plan(&registers, Limits { gap: 8, ..TRUE_LIMITS }).remove(0).requests.remove(0);
    let (low, high) = request.split().unwrap();
    assert_eq!([low.to_string(), high.to_string()], ["4 registers from holding:0", "1 registers from holding:7"]);
    let (low, high) = low.split().unwrap();
    assert_eq!([low.to_string(), high.to_string()], ["2 registers from holding:0", "2 registers from holding:2"]);
    assert_eq!(low.split().unwrap().1.split(), None);
}

#[test]
fn a_realistic_sparse_map_needs_the_fewest_requests() {
    for (name, limits) in [
        ("the standard's limits", Limits { registers: 125, bits: 2000, gap: 8 }),
        ("an old gateway", Limits { registers: 32, bits: 64, gap: 4 }),
        ("no unwanted register", TRUE_LIMITS),
    ] {
        let wanted = sparse_map();
        let groups = plan(&wanted, limits);
        let planned: usize = groups.iter().map(|group| group.requests.len()).sum();
        let possible: usize = groups.iter().map(|group| fewest(&wanted, group, limits)).sum();
        println!("{name}: {} values, {planned} requests, fewest possible {possible}", wanted.len());
        assert_eq!(planned, possible, "{name}");
    }
}

/// As an energy meter and a drive have it: floats in pairs with holes between their tables, counters apart, status bits.
fn sparse_map() -> Vec<Wanted> {
    let tables = [(0, 36), (42, 12), (70, 14), (100, 4), (200, 34), (254, 8), (334, 48), (0x0156, 6)];
    let floats = tables.into_iter().flat_map(|(start, length)| (start..start + length).step_by(2));
    let meter = floats.map(|address| wanted(Area::Input, address, 2));
    let drive = (0..400).filter(|address| address * 7 % 11 < 4 && address % 97 < 60);
    let drive = drive.map(|address| wanted(Area::Holding, 1000 + address * 3, 1 + address % 2));
    let counters = (0..12).map(|index| wanted(Area::Holding, 40_000 + index * 25, 4));
    let bits = (0..300).filter(|address| address % 13 != 5).map(|address| wanted(Area::Coil, address * 3, 1));
    let slow = |(index, value): (usize, Wanted)| match index % 5 {
        0 => Wanted { interval: Duration::from_secs(10), ..value },
        _ => value,
    };
    meter.chain(drive).chain(counters).chain(bits).enumerate().map(slow).collect()
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let address = prop_oneof![0..40_u16, 65_500..=65_535_u16, any::<u16>()];
    (0..4_usize, address, 0..4_usize, 1..3_u64).prop_map(|(area, address, width, interval)| {
        let area = Area::ALL[area];
        let count = if area.is_bits() { 1 } else { [1, 1, 2, 4][width].min(u16::MAX - address).max(1) };
        let register = Register { area, address };
        Wanted { register, count, interval: Duration::from_secs(interval) }
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let registers = prop_oneof![4..12_u16, Just(125)];
    (registers, prop_oneof![1..12_u16, Just(2000)], prop_oneof![0..6_u16, Just(200)])
        .prop_map(|(registers, bits, gap)| Limits { registers, bits, gap })
}

proptest! {
    #[test]
    fn every_value_is_read_whole_and_once_within_the_limits(
        wanted in prop::collection::vec(any_wanted(), 0..60),
        limits in any_limits(),
    ) {
        let groups = plan(&wanted, limits);
        let mut served = vec![0; wanted.len()];
        for group in &groups {
            for request in &group.requests {
                judge(request, &wanted, limits);
                prop_assert!(longest_gap(&addresses(request)) <= usize::from(limits.gap));
                for member in &request.members {
                    served[member.point] += 1;
                    prop_assert_eq!(wanted[member.point].interval, group.interval);
                }
            }
            prop_assert_eq!(group.requests.len(), fewest(&wanted, group, limits));
        }
        prop_assert!(served.iter().all(|times| *times == 1));
        prop_assert!(groups.windows(2).all(|pair| pair[0].interval < pair[1].interval));
    }

    /// Neighbours need not be read together: the judge above may rely on it only if this holds.
    #[test]
    fn no_other_partition_of_a_few_values_has_fewer_requests(
        places in prop::collection::vec((0..24_u16, 1..6_u16), 1..8),
        limits in (6..10_u16, 0..4_u16).prop_map(|(registers, gap)| Limits { registers, bits: 1, gap }),
    ) {
        let wanted: Vec<_> = places.iter().map(|(address, count)| wanted(Area::Holding, *address, *count)).collect();
        let planned = plan(&wanted, limits).remove(0).requests.len();
        prop_assert_eq!(planned, fewest_of_all_partitions(&wanted, limits));
    }

    #[test]
    fn splitting_ends_and_loses_no_value(
        wanted in prop::collection::vec(any_wanted(), 1..60),
        limits in any_limits(),
    ) {
        let mut queue: Vec<Request> = plan(&wanted, limits).into_iter().flat_map(|group| group.requests).collect();
        let mut points = Vec::new();
        while let Some(request) = queue.pop() {
            judge(&request, &wanted, limits);
            match request.split() {
                Some((low, high)) => queue.extend([low, high]),
                None => points.extend(request.members.iter().map(|member| member.point)),
            }
        }
        points.sort_unstable();
        prop_assert_eq!(points, (0..wanted.len()).collect::<Vec<_>>());
    }
}
