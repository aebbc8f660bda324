/// One value in so many is a beat.
const EVERY: u32 = 50;

/// A value that says when it was read: milliseconds since the device began, exact as a float32 for 4.6 hours. With the
/// number of its point it names one reading, and stands for the fifty that one answer or two brought with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// 500 times the unit, plus the index of the value in its unit.
    pub tag: u32,
    pub ms: u32,
}

impl Beat {
    pub const VALUES: u32 = 500;

    /// Of a point that carries beats, what its value says; `None` for every other point.
    pub fn of(unit: u32, index: u32, value: f64) -> Option<Beat> {
        let is_beat = index.is_multiple_of(EVERY) && (0.0..=f64::from(1 << 24)).contains(&value);
        is_beat.then(|| Beat { tag: unit * Beat::VALUES + index, ms: value.round() as u32 })
    }

    /// The first beat at or behind this index.
    pub fn next_index(index: u32) -> u32 {
        index.next_multiple_of(EVERY)
    }

    /// Little endian, 8 bytes: the form of the lists.
    pub fn bytes(self) -> [u8; 8] {
        (u64::from(self.tag) | u64::from(self.ms) << 32).to_le_bytes()
    }
}

/// A beat at the other end, 16 bytes in the list.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    pub beat: Beat,
    pub utc_us: u64,
}

impl Arrived {
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.beat.bytes());
        bytes[8..].copy_from_slice(&self.utc_us.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_survives_a_float32_and_names_its_point() {
        let value = f64::from(12_345_678_f32);
        assert_eq!(Beat::of(7, 150, value), Some(Beat { tag: 3_650, ms: 12_345_678 }));
        assert_eq!((Beat::of(7, 151, value), Beat::of(7, 150, -1.0)), (None, None));
        assert_eq!((Beat::next_index(0), Beat::next_index(1), Beat::next_index(50)), (0, 50, 50));
    }

    #[test]
    fn the_lists_are_little_endian() {
        let beat = Beat { tag: 0x0102, ms: 0x0a0b };
        assert_eq!(beat.bytes(), [2, 1, 0, 0, 0x0b, 0x0a, 0, 0]);
        assert_eq!(Arrived { beat, utc_us: 1 }.bytes()[8..], [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
