use std::collections::BTreeMap;
use std::ops::Range;

/// A set of positions: all below a floor, and some ranges above it. The floor moves over ranges that touch it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    floor: u64,
    /// start -> end; apart from each other and from the floor.
    above: BTreeMap<u64, u64>,
}

impl Positions {
    pub(crate) fn below(floor: u64) -> Positions {
        Positions { floor, above: BTreeMap::new() }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        self.next_missing(position) != position
    }

    /// The first position at or after this one that is not in the set.
    pub(crate) fn next_missing(&self, position: u64) -> u64 {
        let position = position.max(self.floor);
        match self.above.range(..=position).next_back() {
            Some((_, end)) if *end > position => *end,
            _ => position,
        }
    }

    pub(crate) fn insert(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start.max(self.floor), range.end);
        if start >= end {
            return;
        }
        // Everything that overlaps or touches becomes one range.
        while let Some((&other, &other_end)) = self.above.range(..=end).next_back().filter(|(_, e)| **e >= start) {
            self.above.remove(&other);
            start = start.min(other);
            end = end.max(other_end);
        }
        if start == self.floor {
            self.floor = end;
        } else {
            self.above.insert(start, end);
        }
    }

    /// The ranges of `within` that are not in the set.
    pub(crate) fn missing(&self, within: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut start = self.next_missing(within.start);
        while start < within.end {
            let end = self.above.range(start..).next().map_or(within.end, |(next, _)| (*next).min(within.end));
            missing.push(start..end);
            start = self.next_missing(end);
        }
        missing
    }

    pub(crate) fn count_missing(&self, within: Range<u64>) -> u64 {
        self.missing(within).iter().map(|range| range.end - range.start).sum()
    }

    /// How many ranges there are above the floor.
    pub(crate) fn ranges(&self) -> usize {
        self.above.len()
    }

    /// The ranges above the floor, in order.
    pub(crate) fn above(&self) -> impl Iterator<Item = Range<u64>> {
        self.above.iter().map(|(start, end)| *start..*end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_with_a_floor(floor in 0u64..10, ranges in prop::collection::vec((0u64..60, 0u64..8), 0..40)) {
            let mut positions = Positions::below(floor);
            let mut model: BTreeSet<u64> = (0..floor).collect();
            for (start, length) in ranges {
                positions.insert(start..start + length);
                model.extend(start..start + length);
            }
            for position in 0..80 {
                prop_assert_eq!(positions.contains(position), model.contains(&position));
            }
            let holes: Vec<u64> = (0..80).filter(|p| !model.contains(p)).collect();
            prop_assert_eq!(positions.floor(), holes[0]);
            prop_assert_eq!(positions.missing(0..80).into_iter().flatten().collect::<Vec<_>>(), holes);
            prop_assert!(positions.above().all(|range| range.start > positions.floor()));
        }
    }
}
