//! How the floats of one column are counted: by the resolution that the plant declared, or by the coarsest that gives all
//! of them back in every bit.

use crate::scale::Scale;

/// A column without declared resolution leaves counts for doubles beyond this: what needs more digits is noise, and its
/// differences are no shorter than the values are.
const FOUND_MAX: i64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Counts {
    /// Every value is a double.
    None,
    /// The tag says it.
    Declared(Scale),
    /// The column says it: so many places, as far as the values came.
    Found { places: u8, largest: i64 },
}

/// A value as a count. `lift`: what the counts before it are to be multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) count: i64,
    pub(crate) lift: i64,
}

impl Counts {
    pub(crate) fn of(declared: Option<Scale>) -> Counts {
        declared.map_or(Counts::Found { places: 0, largest: 0 }, Counts::Declared)
    }

    pub(crate) fn scale(self) -> Option<Scale> {
        match self {
            Counts::None => None,
            Counts::Declared(scale) => Some(scale),
            Counts::Found { places, .. } => Scale::of_places(places),
        }
    }

    /// For the column to tell.
    pub(crate) fn places(self) -> Option<u32> {
        match self {
            Counts::Found { places, .. } => Some(places.into()),
            _ => None,
        }
    }

    /// `None`: no count gives this value back; `self` stays what it was for the values before.
    pub(crate) fn count(&mut self, count: impl Fn(Scale) -> Option<i64>) -> Option<Counted> {
        let (from, largest) = match *self {
            Counts::None => return None,
            Counts::Declared(scale) => return count(scale).map(|count| Counted { count, lift: 1 }),
            Counts::Found { places, largest } => (places, largest),
        };
        let mut lift = 1_i64;
        for places in from..=Scale::PLACES_MAX {
            let largest = largest.saturating_mul(lift);
            if largest > FOUND_MAX {
                return None;
            }
            if let Some(count) = Scale::of_places(places).and_then(&count).filter(|count| count.abs() <= FOUND_MAX) {
                *self = Counts::Found { places, largest: largest.max(count.abs()) };
                return Some(Counted { count, lift });
            }
            lift *= 10;
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn found(values: &[f64]) -> (Option<u32>, Vec<Option<(i64, i64)>>) {
        let mut counts = Counts::of(None);
        let counted = values.iter().map(|value| counts.count(|scale| scale.count(*value)));
        let counted = counted.map(|it| it.map(|Counted { count, lift }| (count, lift))).collect();
        (counts.places(), counted)
    }

    #[test]
    fn the_coarsest_resolution_that_gives_all_values_back_is_found() {
        assert_eq!(found(&[20.0, 21.0]), (Some(0), vec![Some((20, 1)), Some((21, 1))]));
        assert_eq!(found(&[20.0, 21.5, 20.0]), (Some(1), vec![Some((20, 1)), Some((215, 10)), Some((200, 1))]));
        assert_eq!(found(&[20.0, 0.5, 0.001]), (Some(3), vec![Some((20, 1)), Some((5, 10)), Some((1, 100))]));
    }

    #[test]
    fn noise_and_what_no_count_can_say_is_left_to_doubles() {
        for value in [std::f64::consts::PI, -0.0, f64::NAN, f64::INFINITY, 1e300, 1e13] {
            assert_eq!(found(&[value]).1, [None], "{value}");
        }
        assert_eq!(found(&[1e9, 0.0001]).1, [Some((1_000_000_000, 1)), None], "the first would need too many digits");
    }
}
