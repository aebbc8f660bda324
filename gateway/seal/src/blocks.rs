//! Columns of a batch that are alike become one block: where many points have few readings each, what a column says of
//! itself would be longer than its values.

use crate::wire;

/// Kinds of columns that are told apart in one batch; further ones stay columns.
const KINDS_MAX: usize = 16;

/// Gathers one batch after the other and keeps the memory of the last.
#[derive(Default)]
pub(crate) struct Gatherer {
    kinds: Vec<Kind>,
    /// By column: its kind, or `NONE`.
    kind_of: Vec<usize>,
    free: Vec<wire::Block>,
}

/// Fewer columns that are alike stay columns, which are as short.
const COLUMNS_MIN: usize = 4;
const NONE: usize = usize::MAX;

/// Columns that share rows and places.
#[derive(Default)]
struct Kind {
    /// Alias and place of each.
    members: Vec<(u32, usize)>,
}

impl Gatherer {
    pub(crate) fn reset(&mut self, batch: &mut wire::Batch) {
        for mut block in batch.blocks.drain(..) {
            block.alias.clear();
            block.row.clear();
            block.first.clear();
            block.v.clear();
            self.free.push(block);
        }
    }

    /// Moves columns of `batch` into blocks. Those that are left keep their order; `free` takes the memory of the others.
    pub(crate) fn gather(&mut self, batch: &mut wire::Batch, free: &mut Vec<wire::Column>) {
        let used = self.sort(&batch.columns);
        for kind in self.kinds[..used].iter_mut().filter(|kind| kind.members.len() >= COLUMNS_MIN) {
            kind.members.sort_unstable();
            let block = self.free.pop().unwrap_or_default();
            batch.blocks.push(filled(block, &kind.members, &batch.columns));
        }
        self.take_gathered(batch, free);
    }

    /// Gives the number of kinds.
    fn sort(&mut self, columns: &[wire::Column]) -> usize {
        self.kind_of.clear();
        let mut used = 0;
        let mut last = 0;
        for (place, column) in columns.iter().enumerate() {
            if !is_plain(column) {
                self.kind_of.push(NONE);
                continue;
            }
            let is_kind = |kind: &Kind| is_alike(&columns[kind.members[0].1], column);
            // Neighbours are mostly alike.
            let known = match self.kinds[..used].get(last).is_some_and(is_kind) {
                true => Some(last),
                false => self.kinds[..used].iter().position(is_kind),
            };
            if known.is_none() && used == KINDS_MAX {
                self.kind_of.push(NONE);
                continue;
            }
            last = known.unwrap_or(used);
            if last == used {
                used += 1;
                self.kinds.resize_with(self.kinds.len().max(used), Kind::default);
                self.kinds[last].members.clear();
            }
            self.kinds[last].members.push((column.alias, place));
            self.kind_of.push(last);
        }
        used
    }

    fn take_gathered(&self, batch: &mut wire::Batch, free: &mut Vec<wire::Column>) {
        let mut kept = 0;
        for (place, kind) in self.kind_of.iter().enumerate() {
            if self.kinds.get(*kind).is_none_or(|kind| kind.members.len() < COLUMNS_MIN) {
                batch.columns.swap(kept, place);
                kept += 1;
            }
        }
        for mut column in batch.columns.drain(kept..) {
            column.v.clear();
            column.row.clear();
            free.push(column);
        }
    }
}

fn is_plain(column: &wire::Column) -> bool {
    let has_times = column.source_time.is_some() || column.server_time.is_some() || !column.backfilled.is_empty();
    let has_others = !column.f.is_empty() || !column.s.is_empty() || !column.status.is_empty();
    !column.v.is_empty() && !has_times && !has_others
}

fn is_alike(one: &wire::Column, other: &wire::Column) -> bool {
    one.places == other.places && one.v.len() == other.v.len() && one.row == other.row
}

fn filled(mut block: wire::Block, members: &[(u32, usize)], columns: &[wire::Column]) -> wire::Block {
    let mut before = 0;
    for (alias, place) in members {
        let values = &columns[*place].v;
        block.alias.push(alias - before);
        block.v.extend_from_slice(&values[1..]);
        before = *alias;
    }
    push_planes(&mut block.first, || members.iter().map(|(_, place)| zigzag(columns[*place].v[0])));
    let alike = &columns[members[0].1];
    block.row.extend_from_slice(&alike.row);
    block.places = alike.places;
    block
}

/// All lowest bytes, then all next ones: bytes that are alike stand side by side, which is what compresses.
fn push_planes<I: Iterator<Item = u64>>(bytes: &mut Vec<u8>, values: impl Fn() -> I) {
    let used = values().fold(0, |used, value| used | value);
    let width = (64 - used.leading_zeros()).div_ceil(8).max(1);
    for byte in 0..width {
        bytes.extend(values().map(|value| (value >> (8 * byte)) as u8));
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
