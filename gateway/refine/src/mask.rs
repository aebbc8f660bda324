use std::fmt;
use std::sync::Arc;

use lingate_model::Value;
use regex::{NoExpand, Regex, RegexBuilder};

/// M12: a pattern of the `regex` crate (no look-around, no back-references; time grows with the length of the text), and
/// what stands in the place of everything that it finds.
#[derive(Clone)]
pub struct Mask {
    regex: Arc<Regex>,
    with: String,
}

/// Of the compiled pattern.
const SIZE_MAX: usize = 1 << 20;
const PATTERN_MAX: usize = 512;
const WITH_MAX: usize = 32;

impl Mask {
    /// `Err`: in words, what is wrong with the pattern or the replacement.
    pub fn new(pattern: &str, with: &str) -> Result<Mask, String> {
        if pattern.len() > PATTERN_MAX || with.len() > WITH_MAX {
            return Err(format!("is longer than {PATTERN_MAX} bytes, or its replacement than {WITH_MAX}"));
        }
        let built = RegexBuilder::new(pattern).size_limit(SIZE_MAX).build();
        let regex = built.map_err(|error| explain(&error))?;
        if regex.is_match("") {
            return Err("finds something in an empty text: it would be found everywhere".to_owned());
        }
        Ok(Mask { regex: regex.into(), with: with.to_owned() })
    }

    pub fn pattern(&self) -> &str {
        self.regex.as_str()
    }

    pub fn with(&self) -> &str {
        &self.with
    }

    /// A text without what the pattern finds; other values as they are.
    pub(crate) fn mask(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Text { builtin_type, text } => Value::Text { builtin_type, text: self.text(&text) },
            Value::LocalizedText { locale, text } => {
                Value::LocalizedText { locale, text: text.map(|text| self.text(&text)) }
            }
            other => other,
        }
    }

    fn text(&self, text: &Arc<str>) -> Arc<str> {
        match self.regex.replace_all(text, NoExpand(&self.with)) {
            std::borrow::Cow::Borrowed(_) => text.clone(),
            std::borrow::Cow::Owned(masked) => masked.into(),
        }
    }
}

/// Without the drawing of the pattern.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "is too large a pattern".to_owned(),
        error => {
            let text = error.to_string();
            let reason = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
            format!("is no pattern: {}", reason.unwrap_or("it cannot be read"))
        }
    }
}

impl PartialEq for Mask {
    fn eq(&self, other: &Mask) -> bool {
        (self.pattern(), self.with()) == (other.pattern(), other.with())
    }
}

impl Eq for Mask {}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({:?}, {:?})", self.pattern(), self.with)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::BuiltinType;

    use super::*;

    #[test]
    fn everything_that_the_pattern_finds_is_replaced() {
        let mask = Mask::new(r"[A-Z]{2}\d{4,}", "$1*").unwrap();
        let masked = |text: &str| match mask.mask(Value::String(text.into())) {
            Value::String(text) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(masked("operator ZH12345 relieved AB99999"), "operator $1* relieved $1*");
        assert_eq!(masked("批次 AB1234，完成"), "批次 $1*，完成");
        assert_eq!(masked("nothing here"), "nothing here");
        let localized = Value::LocalizedText { locale: Some("zh".into()), text: Some("AB1234".into()) };
        assert!(mask.mask(localized) == Value::LocalizedText { locale: Some("zh".into()), text: Some("$1*".into()) });
        let builtin_type = BuiltinType::QualifiedName;
        let text = |text: &str| Value::Text { builtin_type, text: text.into() };
        assert!(mask.mask(text("AB1234")) == text("$1*"));
        assert!(mask.mask(Value::Int32(1234)) == Value::Int32(1234));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_in_words() {
        for (pattern, reason) in [
            ("(", "is no pattern: unclosed group"),
            ("a*", "finds something in an empty text: it would be found everywhere"),
            (r"(?=x)", "is no pattern: look-around, including look-ahead and look-behind, is not supported"),
            (r"(\w{500}){500}", "is too large a pattern"),
        ] {
            assert_eq!(Mask::new(pattern, "*").unwrap_err(), reason, "{pattern}");
        }
        assert!(Mask::new("x", &"*".repeat(33)).is_err());
    }
}
