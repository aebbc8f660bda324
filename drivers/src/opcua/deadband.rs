use lingate_model::{StatusCode, Value};

/// What a server does that accepts a deadband, done here for one that does not (OPC 10000-4, 7.22.2): a number is told
/// if it differs from the last told one by more, or if its status differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    by_more_than: f64,
    told: Option<(f64, StatusCode)>,
}

impl Filter {
    pub(crate) fn new(by_more_than: f64) -> Filter {
        Filter { by_more_than, told: None }
    }

    /// What is no number passes. Of an array every change passes.
    pub(crate) fn passes(&mut self, value: Option<&Value>, status: StatusCode) -> bool {
        let Some(number) = value.and_then(Value::approximate) else {
            self.told = None;
            return true;
        };
        let is_near = self.told.is_some_and(|(told, told_status)| {
            told_status == status && (number == told || (number - told).abs() <= self.by_more_than)
        });
        if !is_near {
            self.told = Some((number, status));
        }
        !is_near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moved_by_more_than_the_deadband_is_told() {
        let mut filter = Filter::new(0.5);
        let told = [1.0, 1.5, 1.0, 1.6, 1.2, 1.0, f64::NAN, f64::NAN, 1.0, f64::INFINITY, f64::INFINITY];
        let passed = told.map(|value| filter.passes(Some(&Value::Double(value)), StatusCode::GOOD));
        assert_eq!(passed, [true, false, false, true, false, true, true, true, true, true, false]);
    }

    #[test]
    fn a_change_of_status_is_told_and_a_value_after_it_as_well() {
        let mut filter = Filter::new(10.0);
        let one = Value::Int32(1);
        assert!(filter.passes(Some(&one), StatusCode::GOOD));
        assert!(filter.passes(Some(&one), StatusCode::UNCERTAIN));
        assert!(filter.passes(None, StatusCode::BAD));
        assert!(filter.passes(Some(&one), StatusCode::UNCERTAIN));
        assert!(!filter.passes(Some(&one), StatusCode::UNCERTAIN));
    }
}
