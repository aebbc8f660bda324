use std::fmt;

use lingate_drivers::settings::Problem;

/// Everything that is wrong with a configuration, in file order; never empty. `Display` renders each with file, line,
/// column, the offending line underlined, what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    pub file: String,
    pub text: String,
    pub problems: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
