use lingate_model::{StatusCode, Value};
use serde::Serialize;

/// Samples of a plot at most; with more, every second one is forgotten.
const SAMPLES_MAX: usize = 1_024;
/// Characters of a text that are shown.
const TEXT_MAX: usize = 64;

/// The readings of a point, in the order in which they came. Bounded, however many there are.
#[derive(Default, Serialize)]
pub(crate) struct Series {
    pub(crate) count: u64,
    pub(crate) bad: u64,
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    /// Seconds since the beginning, and the number.
    pub(crate) samples: Vec<(f64, f64)>,
    /// Of so many readings one is a sample.
    #[serde(skip)]
    stride: u64,
}

impl Series {
    pub(crate) fn push(&mut self, seconds: f64, value: Option<&Value>, status: StatusCode) {
        let shown = value.map_or_else(|| bad(status), show);
        self.bad += u64::from(value.is_none());
        self.first.get_or_insert_with(|| shown.clone());
        self.last = Some(shown);
        if let Some(number) = value.and_then(number) {
            self.min = Some(self.min.map_or(number, |min| min.min(number)));
            self.max = Some(self.max.map_or(number, |max| max.max(number)));
            self.sample(seconds, number);
        }
        self.count += 1;
    }

    fn sample(&mut self, seconds: f64, number: f64) {
        self.stride = self.stride.max(1);
        if self.count.is_multiple_of(self.stride) {
            self.samples.push((seconds, number));
        }
        if self.samples.len() > SAMPLES_MAX {
            let mut at = 0_usize;
            self.samples.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.stride *= 2;
        }
    }
}

/// What a plot can draw: finite numbers and truth values.
#[allow(clippy::cast_precision_loss, reason = "a plot has fewer digits")]
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match *value {
        Value::Boolean(v) => f64::from(u8::from(v)),
        Value::SByte(v) => v.into(),
        Value::Byte(v) => v.into(),
        Value::Int16(v) => v.into(),
        Value::UInt16(v) => v.into(),
        Value::Int32(v) => v.into(),
        Value::UInt32(v) => v.into(),
        Value::Int64(v) => v as f64,
        Value::UInt64(v) => v as f64,
        Value::Float(v) => v.to_string().parse().ok()?,
        Value::Double(v) => v,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// One line, cut; of what is no number and no text only its type.
fn show(value: &Value) -> String {
    let text = match value {
        Value::Boolean(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::UInt64(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Double(v) => v.to_string(),
        Value::String(text) => text.to_string(),
        Value::Text { text, .. } => text.to_string(),
        Value::LocalizedText { text, .. } => text.as_deref().unwrap_or("").to_owned(),
        other => match number(other) {
            Some(number) => number.to_string(),
            None => format!("({:?})", other.builtin_type()),
        },
    };
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn bad(status: StatusCode) -> String {
    status.name().map_or_else(|| format!("Bad 0x{:08X}", status.0), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_bounded_and_keeps_its_ends() {
        let mut series = Series::default();
        for n in 0..100_000_u32 {
            series.push(f64::from(n), Some(&Value::UInt32(n)), StatusCode::GOOD);
        }
        series.push(1e5, None, StatusCode::BAD_TIMEOUT);
        assert!((512..=SAMPLES_MAX).contains(&series.samples.len()), "{}", series.samples.len());
        assert_eq!((series.count, series.bad, series.min, series.max), (100_001, 1, Some(0.0), Some(99_999.0)));
        assert_eq!(series.first.as_deref(), Some("0"));
        assert_eq!(series.last.as_deref(), StatusCode::BAD_TIMEOUT.name());
        assert!(series.samples.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_text_is_cut_and_a_single_is_shown_as_it_is_written() {
        let mut series = Series::default();
        series.push(0.0, Some(&Value::String("x".repeat(100).into())), StatusCode::GOOD);
        assert_eq!(series.last.as_ref().map(String::len), Some(TEXT_MAX + 3));
        series.push(0.0, Some(&Value::Float(0.1)), StatusCode::GOOD);
        assert_eq!((series.last.as_deref(), series.max), (Some("0.1"), Some(0.1)));
    }
}
