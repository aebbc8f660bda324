use std::time::Duration;

use super::register::Register;

/// One value to be read: where it begins and how many registers (or bits) it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) register: Register,
    /// 1 to 4; `register.address + count` is at most 65,536.
    pub(crate) count: u16,
    pub(crate) interval: Duration,
}

/// What one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// 1 to 125 (Modbus Application Protocol V1.1b3, 6.3), not below the widest value.
    pub(crate) registers: u16,
    /// 1 to 2,000 (6.1).
    pub(crate) bits: u16,
    /// Unwanted registers (or bits) between two wanted ones that may be read and thrown away.
    pub(crate) gap: u16,
}

/// Points that are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) interval: Duration,
    pub(crate) requests: Vec<Request>,
}

/// One read request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) start: Register,
    pub(crate) count: u16,
    /// By address.
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Index into the wanted values.
    pub(crate) point: usize,
    /// Where its value begins in the answer.
    pub(crate) at: u16,
    pub(crate) count: u16,
}

/// Groups by interval, shortest first, and merges neighbours of one area into as few requests as the limits allow. A
/// value is never split, so its registers always come from one answer.
pub(crate) fn plan(wanted: &[Wanted], limits: Limits) -> Vec<Group> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&point| (wanted[point].interval, wanted[point].register, wanted[point].count));
    let mut groups: Vec<Group> = Vec::new();
    for point in order {
        let Wanted { register, count, interval } = wanted[point];
        if groups.last().is_none_or(|group| group.interval != interval) {
            groups.push(Group { interval, requests: Vec::new() });
        }
        let Some(group) = groups.last_mut() else { continue };
        let member = Member { point, at: 0, count };
        match group.requests.last_mut().filter(|request| request.has_room(register, count, limits)) {
            Some(request) => request.push(register, member),
            None => group.requests.push(Request { start: register, count, members: vec![member] }),
        }
    }
    groups
}

impl Request {
    /// In one area `register` never lies before the members.
    fn has_room(&self, register: Register, count: u16, limits: Limits) -> bool {
        if register.area != self.start.area {
            return false;
        }
        let at = u32::from(register.address) - u32::from(self.start.address);
        let count_max = if register.area.is_bits() { limits.bits } else { limits.registers };
        at <= u32::from(self.count) + u32::from(limits.gap) && at + u32::from(count) <= u32::from(count_max)
    }

    fn push(&mut self, register: Register, member: Member) {
        let at = register.address - self.start.address;
        self.count = self.count.max(at + member.count);
        self.members.push(Member { at, ..member });
    }

    /// Two smaller requests for the same values, parted at the widest gap or else in the middle; `None` for one value
    /// or several in the same place. A device that refuses a block because of a hole in it is asked for the halves.
    pub(crate) fn split(&self) -> Option<(Request, Request)> {
        let first_at = self.members.first()?.at;
        let is_border = |index: &usize| self.members[*index].at > first_at;
        let middle = self.members.len() / 2;
        let border = (1..self.members.len()).filter(is_border).max_by_key(|&index| {
            let is_repeat = self.members[index].at == self.members[index - 1].at;
            (self.gap_before(index), !is_repeat, std::cmp::Reverse(index.abs_diff(middle)))
        })?;
        let (low, high) = self.members.split_at(border);
        Some((self.part(low), self.part(high)))
    }

    /// Unwanted registers just before a member.
    fn gap_before(&self, index: usize) -> u16 {
        let end = self.members[..index].iter().map(|member| member.at + member.count).max();
        self.members[index].at.saturating_sub(end.unwrap_or(0))
    }

    /// `members` is not empty.
    fn part(&self, members: &[Member]) -> Request {
        let from = members.iter().map(|member| member.at).min().unwrap_or(0);
        let to = members.iter().map(|member| member.at + member.count).max().unwrap_or(0);
        let start = Register { address: self.start.address + from, ..self.start };
        let members = members.iter().map(|member| Member { at: member.at - from, ..*member }).collect();
        Request { start, count: to - from, members }
    }
}

/// The area that a request reads, for messages.
impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = if self.start.area.is_bits() { "bits" } else { "registers" };
        write!(f, "{} {unit} from {}", self.count, self.start)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::super::register::Area;
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

    fn count_max(request: &Request, limits: Limits) -> usize {
        usize::from(if request.start.area.is_bits() { limits.bits } else { limits.registers })
    }

    /// The naive judge: every address of a request, one by one, with whether somebody wants it.
    fn addresses(request: &Request) -> Vec<bool> {
        let is_wanted = |at: &u32| {
            request.members.iter().any(|m| (u32::from(m.at)..u32::from(m.at) + u32::from(m.count)).contains(at))
        };
        (0..u32::from(request.count)).map(|at| is_wanted(&at)).collect()
    }

    fn longest_gap(addresses: &[bool]) -> usize {
        addresses.split(|is_wanted| *is_wanted).map(<[bool]>::len).max().unwrap_or(0)
    }

    fn judge(request: &Request, wanted: &[Wanted], limits: Limits) {
        let addresses = addresses(request);
        assert!(addresses.len() <= count_max(request, limits));
        assert!(usize::from(request.start.address) + addresses.len() <= 65_536);
        assert!(addresses[0] && addresses[addresses.len() - 1], "it reads beyond what is wanted");
        for member in &request.members {
            let Wanted { register, count, .. } = wanted[member.point];
            assert_eq!((register.area, count), (request.start.area, member.count));
            assert_eq!(register.address, request.start.address + member.at);
        }
    }

    fn judge_that_neighbours_could_not_be_merged(pair: &[Request], limits: Limits) {
        let [low, high] = pair else { return };
        if low.start.area != high.start.area || high.start.address - low.start.address > 2000 {
            return;
        }
        let mut both = low.clone();
        both.push(high.start, Member { at: 0, ..high.members[0] });
        let addresses = addresses(&both);
        let is_too_long = addresses.len() > count_max(low, limits);
        assert!(is_too_long || longest_gap(&addresses) > usize::from(limits.gap), "{low} and {high}");
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
                group.requests.windows(2).for_each(|pair| judge_that_neighbours_could_not_be_merged(pair, limits));
            }
            prop_assert!(served.iter().all(|times| *times == 1));
            prop_assert!(groups.windows(2).all(|pair| pair[0].interval < pair[1].interval));
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
}
