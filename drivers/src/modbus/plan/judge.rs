//! The naive planner that judges the real one: address by address, and every choice tried.

use super::*;

/// Every address of a request, one by one, with whether somebody wants it.
pub(super) fn addresses(request: &Request) -> Vec<bool> {
    let is_wanted =
        |at: &u32| request.members.iter().any(|m| (u32::from(m.at)..u32::from(m.at) + u32::from(m.count)).contains(at));
    (0..u32::from(request.count)).map(|at| is_wanted(&at)).collect()
}

pub(super) fn longest_gap(addresses: &[bool]) -> usize {
    addresses.split(|is_wanted| *is_wanted).map(<[bool]>::len).max().unwrap_or(0)
}

pub(super) fn judge(request: &Request, wanted: &[Wanted], limits: Limits) {
    let addresses = addresses(request);
    assert!(addresses.len() <= usize::from(limits.count_max(request.start.area)));
    assert!(usize::from(request.start.address) + addresses.len() <= 65_536);
    assert!(addresses[0] && addresses[addresses.len() - 1], "it reads beyond what is wanted");
    for member in &request.members {
        let Wanted { register, count, .. } = wanted[member.point];
        assert_eq!((register.area, count), (request.start.area, member.count));
        assert_eq!(register.address, request.start.address + member.at);
    }
}

/// The fewest requests for the values that `group` reads, of all ways to cut their order.
pub(super) fn fewest(wanted: &[Wanted], group: &Group, limits: Limits) -> usize {
    let members = group.requests.iter().flat_map(|request| &request.members);
    let mut values: Vec<Wanted> = members.map(|member| wanted[member.point]).collect();
    values.sort_by_key(|value| (value.register, value.count));
    let mut best = vec![0; values.len() + 1];
    for end in 1..=values.len() {
        let last = values[end - 1].register;
        let is_near = |start: &usize| values[*start].register.area == last.area && last.address - values[*start].register.address < 2000;
        let starts = (0..end).rev().take_while(is_near);
        let fitting = starts.filter(|start| may_be_one(&values[*start..end], limits));
        best[end] = 1 + fitting.map(|start| best[start]).min().expect("one value fits");
    }
    best[values.len()]
}

/// The fewest requests of all ways to part the values into sets, neighbours or not.
pub(super) fn fewest_of_all_partitions(values: &[Wanted], limits: Limits) -> usize {
    fn place(rest: &[Wanted], sets: &mut Vec<Vec<Wanted>>, limits: Limits, best: &mut usize) {
        let Some((value, rest)) = rest.split_first() else {
            if sets.iter().all(|set| may_be_one(set, limits)) {
                *best = (*best).min(sets.len());
            }
            return;
        };
        for index in 0..sets.len() {
            sets[index].push(*value);
            place(rest, sets, limits, best);
            sets[index].pop();
        }
        sets.push(vec![*value]);
        place(rest, sets, limits, best);
        sets.pop();
    }
    let mut best = usize::MAX;
    place(values, &mut Vec::new(), limits, &mut best);
    best
}

/// Of one area.
fn may_be_one(values: &[Wanted], limits: Limits) -> bool {
    let start = values.iter().map(|value| value.register).min().expect("there are values");
    let end = values.iter().map(|value| value.block().end).max().expect("there are values");
    let length = (end - u32::from(start.address)) as usize;
    if length > usize::from(limits.count_max(start.area)) {
        return false;
    }
    let mut is_wanted = vec![false; length];
    for value in values {
        let at = usize::from(value.register.address - start.address);
        is_wanted[at..at + usize::from(value.count)].fill(true);
    }
    longest_gap(&is_wanted) <= usize::from(limits.gap)
}
