#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod judge;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::register::{Area, Register};

/// One value to be read: where it begins and how many registers (or bits) it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) register: Register,
    /// At least 1; `register.address + count` is at most 65,536.
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

impl Limits {
    fn count_max(self, area: Area) -> u16 {
        if area.is_bits() { self.bits } else { self.registers }
    }
}

/// Points that are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) interval: Duration,
    pub(crate) requests: Vec<Request>,
    /// Indices into the wanted values: not asked because of a hole.
    pub(crate) aside: Vec<usize>,
}

/// Registers or bits of one area that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    pub(crate) start: Register,
    /// Behind the last one; at most 65,536.
    pub(crate) end: u32,
}

/// What no request may do, beyond the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Obstacles {
    /// No request may hold values that begin before one of these and values that begin there or behind.
    pub(crate) borders: BTreeSet<Register>,
    /// No request may contain one of these; none of them contains another, so that they are in order by their ends too.
    pub(crate) holes: BTreeSet<Block>,
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

/// Groups by interval, shortest first, and merges neighbours of one area into requests. A value is never split, so its
/// registers always come from one answer.
///
/// No plan has fewer requests: a request must begin at the first value that is not read yet, the limits allow less and
/// less the longer it grows, and whatever the next one holds it holds also if this one takes as much as it may.
pub(crate) fn plan(wanted: &[Wanted], limits: Limits) -> Vec<Group> {
    plan_around(wanted, limits, &Obstacles::default())
}

/// As [`plan`], with the values aside that cannot be read without reading a hole. The groups are the same for any
/// obstacles, a group whose values are all aside has no requests.
pub(crate) fn plan_around(wanted: &[Wanted], limits: Limits, obstacles: &Obstacles) -> Vec<Group> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&point| (wanted[point].interval, wanted[point].register, wanted[point].count));
    let mut groups: Vec<Group> = Vec::new();
    for point in order {
        let Wanted { register, count, interval } = wanted[point];
        if groups.last().is_none_or(|group| group.interval != interval) {
            groups.push(Group { interval, requests: Vec::new(), aside: Vec::new() });
        }
        let Some(group) = groups.last_mut() else { continue };
        if !obstacles.allow(register, wanted[point].block()) {
            group.aside.push(point);
            continue;
        }
        let member = Member { point, at: 0, count };
        match group.requests.last_mut().filter(|request| request.has_room(register, count, limits, obstacles)) {
            Some(request) => request.push(register, member),
            None => group.requests.push(Request::of_one(point, &wanted[point])),
        }
    }
    groups
}

impl Wanted {
    pub(crate) fn block(&self) -> Block {
        Block::new(self.register, self.count)
    }
}

impl Block {
    pub(crate) fn new(start: Register, count: u16) -> Block {
        Block { start, end: u32::from(start.address) + u32::from(count) }
    }

    pub(crate) fn contains(&self, other: &Block) -> bool {
        self.start.area == other.start.area && self.start <= other.start && other.end <= self.end
    }
}

impl Obstacles {
    /// Whether one request may read this block, its last value beginning at `last`.
    pub(crate) fn allow(&self, last: Register, block: Block) -> bool {
        let is_cut = last > block.start && self.borders.range(block.start..=last).any(|border| *border > block.start);
        let first_hole = self.holes.range(Block { end: 0, ..block }..).next();
        !is_cut && !first_hole.is_some_and(|hole| block.contains(hole))
    }
}

impl Request {
    /// In one area `register` never lies before the members.
    fn has_room(&self, register: Register, count: u16, limits: Limits, obstacles: &Obstacles) -> bool {
        if register.area != self.start.area {
            return false;
        }
        let at = u32::from(register.address) - u32::from(self.start.address);
        let is_near = at <= u32::from(self.count) + u32::from(limits.gap);
        let length = u32::from(self.count).max(at + u32::from(count));
        let end = u32::from(self.start.address) + length;
        let is_short = length <= u32::from(limits.count_max(register.area));
        is_near && is_short && obstacles.allow(register, Block { start: self.start, end })
    }

    pub(crate) fn block(&self) -> Block {
        Block::new(self.start, self.count)
    }

    /// Where its last value begins.
    pub(crate) fn last(&self) -> Register {
        let at = self.members.last().map_or(0, |member| member.at);
        Register { address: self.start.address.saturating_add(at), ..self.start }
    }

    pub(crate) fn of_one(point: usize, wanted: &Wanted) -> Request {
        let Wanted { register, count, .. } = *wanted;
        Request { start: register, count, members: vec![Member { point, at: 0, count }] }
    }

    /// Another value that is all of this block.
    pub(crate) fn share(&mut self, point: usize) {
        self.members.push(Member { point, at: 0, count: self.count });
    }

    fn push(&mut self, register: Register, member: Member) {
        let at = register.address - self.start.address;
        self.count = self.count.max(at + member.count);
        self.members.push(Member { at, ..member });
    }

    /// Two smaller requests for the same values, parted at the widest gap or else in the middle; values that begin
    /// together stay together. `None` if all do. A device that refuses a block because of a hole in it is asked for the
    /// halves.
    pub(crate) fn split(&self) -> Option<(Request, Request)> {
        let is_border = |index: &usize| self.members[*index].at > self.members[*index - 1].at;
        let middle = self.members.len() / 2;
        let by_gap = |index: &usize| (self.gap_before(*index), Reverse(index.abs_diff(middle)));
        let border = (1..self.members.len()).filter(is_border).max_by_key(by_gap)?;
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
