use lingate_model::{Decimal, Value};

use crate::model::{Area, Kind, Tag, Wire, counter};
use crate::motion::{Motion, seed};

/// What the values of a device mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They move as instruments do.
    #[default]
    Instrument,
    /// Every tag is a `u32`: 12 bits of a hash of device and tag, then the lowest 20 bits of the serve counter. A
    /// shifted, stale or mixed value is told from its own bits.
    SelfDescribing,
}

/// A simulated device, before and after it is started: all its values follow from this and the serve counter.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSpec {
    pub name: String,
    /// Modbus unit id; other units are answered as a gateway does whose target is missing (exception 11).
    pub unit: u8,
    kind: Kind,
    mode: Mode,
    tags: Vec<Tag>,
}

impl DeviceSpec {
    pub fn new(name: impl Into<String>, kind: Kind, mode: Mode) -> DeviceSpec {
        let tags = match mode {
            Mode::Instrument => kind.tags(),
            Mode::SelfDescribing => self_describing(&kind.tags()),
        };
        DeviceSpec { name: name.into(), kind, mode, unit: 1, tags }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The serve counters among them.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    pub fn tag(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// The tag whose value is the serve counter of `tag`'s answer. For coils and discrete inputs it is that of the
    /// device's first table of registers, read at another moment of the same poll.
    pub fn counter_of(&self, tag: &Tag) -> Option<&Tag> {
        let mut counters = self.tags.iter().filter(|tag| tag.motion == Motion::Counter);
        counters.find(|counter| counter.area == tag.area || tag.area.is_bits())
    }

    /// What a gateway reads for `tag` with the scale that [`crate::device_toml`] writes, when the serve counter that
    /// came in the same answer is `n`.
    pub fn expected(&self, tag: &str, n: u32) -> Option<Value> {
        let tag = self.tag(tag)?;
        let raw = self.raw(tag, n);
        Some(match tag.wire {
            Wire::Bool | Wire::Bit(_) => Value::Boolean(raw == 1),
            Wire::I16 { places: 0 } => Value::Int16(raw as i16),
            Wire::U16 { places: 0 } => Value::UInt16(raw as u16),
            Wire::I16 { places } => Value::Double(Decimal::resolution(places)?.times(i64::from(raw as i16))?),
            Wire::U16 { places } => Value::Double(Decimal::resolution(places)?.times(i64::from(raw as u16))?),
            Wire::U32 => Value::UInt32(raw),
            Wire::F32 { .. } => Value::Float(f32::from_bits(raw)),
        })
    }

    /// Whether `value` is what this device served for `tag` in the poll whose serve counter is `n`: exactly for
    /// registers, within two polls for coils and discrete inputs, which are read by a request of their own.
    pub fn accepts(&self, tag: &str, n: u32, value: &Value) -> bool {
        let slack = if self.tag(tag).is_some_and(|tag| tag.area.is_bits()) { 2 } else { 0 };
        let nearby = n.saturating_sub(slack)..=n.saturating_add(slack);
        nearby.into_iter().any(|n| self.expected(tag, n).as_ref() == Some(value))
    }

    /// The bits on the wire: as many as the tag has, right-aligned.
    fn raw(&self, tag: &Tag, n: u32) -> u32 {
        let seed = seed(&self.name, &tag.name);
        let number = tag.motion.at(seed, n);
        let steps = |places: u8| (number * 10_f64.powi(i32::from(places))).round();
        match tag.wire {
            Wire::U32 if tag.motion == Motion::Counter => n,
            Wire::U32 if self.mode == Mode::SelfDescribing => (seed as u32 & 0xFFF) << 20 | n & 0xF_FFFF,
            Wire::U32 => number as u64 as u32,
            Wire::I16 { places } => u32::from(steps(places) as i16 as u16),
            Wire::U16 { places } => u32::from(steps(places) as u16),
            Wire::F32 { places } => ((steps(places) / 10_f64.powi(i32::from(places))) as f32).to_bits(),
            Wire::Bit(_) | Wire::Bool => u32::from(number >= 0.5),
        }
    }

    /// One past the last register (or bit) of a table; 0 if the device has no such table.
    pub(crate) fn end(&self, area: Area) -> u32 {
        let ends = self.tags.iter().filter(|tag| tag.area == area).map(|tag| u32::from(tag.address + tag.wire.count()));
        ends.max().unwrap_or(0)
    }

    /// Registers from `address` on; those without a tag read 0. In tables of bits, one bit each.
    pub(crate) fn words(&self, area: Area, address: u16, count: u16, n: u32) -> Vec<u16> {
        let mut words = vec![0_u16; usize::from(count)];
        let mut set = |at: u32, bits: u16| {
            if let Some(word) = at.checked_sub(u32::from(address)).and_then(|index| words.get_mut(index as usize)) {
                *word |= bits;
            }
        };
        let within = u32::from(address)..u32::from(address) + u32::from(count);
        for tag in self.tags.iter().filter(|tag| tag.area == area && overlaps(tag, &within)) {
            let (at, raw) = (u32::from(tag.address), self.raw(tag, n));
            match tag.wire {
                Wire::Bit(bit) => set(at, (raw as u16) << bit),
                _ if tag.wire.count() == 1 => set(at, raw as u16),
                _ => {
                    set(at, (raw >> 16) as u16);
                    set(at + 1, raw as u16);
                }
            }
        }
        words
    }

    /// Tags that lie wholly in these registers.
    pub(crate) fn covered(&self, area: Area, address: u16, count: u16) -> impl Iterator<Item = &Tag> {
        let within = u32::from(address)..u32::from(address) + u32::from(count);
        self.tags.iter().filter(move |tag| {
            let (first, count) = (u32::from(tag.address), u32::from(tag.wire.count()));
            tag.area == area && within.contains(&first) && first + count <= within.end
        })
    }
}

fn overlaps(tag: &Tag, within: &std::ops::Range<u32>) -> bool {
    let first = u32::from(tag.address);
    first < within.end && first + u32::from(tag.wire.count()) > within.start
}

/// The same names as `u32` in holding registers, one behind the other.
fn self_describing(tags: &[Tag]) -> Vec<Tag> {
    let named = tags.iter().filter(|tag| tag.motion != Motion::Counter).zip(1_u16..);
    let plain = |(tag, place): (&Tag, u16)| Tag {
        area: Area::Holding,
        address: place * 2,
        wire: Wire::U32,
        unit: "",
        motion: Motion::Total { rate: 1.0 },
        ..tag.clone()
    };
    std::iter::once(counter(Area::Holding)).chain(named.map(plain)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn every_spec() -> Vec<DeviceSpec> {
        let of = |kind: Kind| [Mode::Instrument, Mode::SelfDescribing].map(|mode| DeviceSpec::new("m-1", kind, mode));
        Kind::MACHINES.into_iter().chain(Kind::UTILITIES).chain([Kind::Numbered(300)]).flat_map(of).collect()
    }

    #[test]
    fn no_two_tags_share_a_name_or_a_bit() {
        for spec in every_spec() {
            let names: BTreeSet<_> = spec.tags().iter().map(|tag| &tag.name).collect();
            assert_eq!(names.len(), spec.tags().len());
            let mut taken = BTreeSet::new();
            for tag in spec.tags() {
                let bits = if let Wire::Bit(bit) = tag.wire { bit..bit + 1 } else { 0..16 };
                for (at, bit) in
                    (tag.address..tag.address + tag.wire.count()).flat_map(|at| bits.clone().map(move |b| (at, b)))
                {
                    assert!(taken.insert((tag.area, at, bit)), "{} overlaps", tag.name);
                }
            }
        }
    }

    #[test]
    fn a_machine_has_ten_to_twenty_points_and_every_table_of_registers_a_counter() {
        for spec in Kind::MACHINES.map(|kind| DeviceSpec::new("m-1", kind, Mode::Instrument)) {
            assert!((10..=22).contains(&spec.tags().len()), "{}", spec.tags().len());
            assert!(spec.tags().iter().all(|tag| spec.counter_of(tag).is_some()));
        }
    }

    #[test]
    fn values_keep_within_their_wire_for_a_year_of_polls() {
        for spec in every_spec() {
            for tag in spec.tags() {
                for n in (1..30_000_000).step_by(997_001) {
                    let number = tag.motion.at(seed(&spec.name, &tag.name), n);
                    let steps = |places: u8| number * 10_f64.powi(i32::from(places));
                    match tag.wire {
                        Wire::I16 { places } => assert!(steps(places).abs() < 32_000.0, "{}", tag.name),
                        Wire::U16 { places } => assert!((0.0..65_000.0).contains(&steps(places)), "{}", tag.name),
                        _ => assert!(number >= 0.0, "{}", tag.name),
                    }
                }
            }
        }
    }

    #[test]
    fn a_self_describing_value_tells_its_tag_and_its_poll() {
        let spec = DeviceSpec::new("extruder-7", Kind::Extruder, Mode::SelfDescribing);
        let value = |tag: &str, n| match spec.expected(tag, n) {
            Some(Value::UInt32(value)) => value,
            _ => panic!("{tag} is no u32"),
        };
        assert_eq!(value("throughput", 0xABC_DEF1) & 0xF_FFFF, 0xC_DEF1);
        for pair in spec.tags()[1..].windows(2) {
            assert_ne!(value(&pair[0].name, 7) >> 20, value(&pair[1].name, 7) >> 20, "a shift by one would hide");
        }
        let elsewhere = DeviceSpec::new("extruder-8", Kind::Extruder, Mode::SelfDescribing);
        assert!(spec.expected("throughput", 7) != elsewhere.expected("throughput", 7));
    }

    #[test]
    fn a_stale_or_foreign_value_is_not_accepted() {
        let spec = DeviceSpec::new("bioreactor-2", Kind::Bioreactor, Mode::Instrument);
        let moving = ["temperature", "ph", "weight", "base_total", "n_input"];
        for tag in moving {
            let far = (1..2000).filter(|n| spec.accepts(tag, *n, &spec.expected(tag, n + 500).unwrap())).count();
            assert!(far < 500, "{tag} is told from another poll in only {} of 2000", 2000 - far);
        }
        assert!(!spec.accepts("temperature", 5, &Value::UInt32(5)));
        assert!(!spec.accepts("nonsense", 5, &Value::UInt32(5)));
    }
}
