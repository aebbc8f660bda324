use std::fmt;
use std::str::FromStr;

/// A point's place in the plan: dense from 0 over all devices, in the order of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointId(pub u32);

impl PointId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Data class of GB/T 43697-2024 as far as it may ever leave: core data has no value here, so it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    General = 0,
    Important = 1,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::General => "general",
            Class::Important => "important",
        })
    }
}

impl FromStr for Class {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "general" => Ok(Class::General),
            "important" => Ok(Class::Important),
            _ => Err(()),
        }
    }
}

/// Priority of a dataset: its own log, its own share of link and disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    Low = 0,
    #[default]
    Normal = 1,
    High = 2,
}

impl Priority {
    /// Highest first: the order in which they are served.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    pub fn name(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

impl FromStr for Priority {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_word_for_a_class_that_must_not_leave() {
        for class in [Class::General, Class::Important] {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        for text in ["core", "General", "", "2"] {
            assert_eq!(text.parse::<Class>(), Err(()), "{text:?}");
        }
        assert!(Class::General < Class::Important);
    }

    #[test]
    fn priorities_are_served_highest_first() {
        assert!(Priority::ALL.is_sorted_by(|a, b| a > b));
        for priority in Priority::ALL {
            assert_eq!(priority.name().parse(), Ok(priority));
        }
        assert_eq!("urgent".parse::<Priority>(), Err(()));
    }
}
