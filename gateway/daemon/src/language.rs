//! Pages and tables speak English and Chinese. Words that come from devices, brokers and libraries stay as they are.

use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// `asked` is what the address says (`lang=zh`), `accepted` the browser's `Accept-Language` (RFC 9110, 12.5.4): the
    /// first of its languages that is spoken here, whatever weight it gives.
    pub(crate) fn choose(asked: Option<&str>, accepted: &str) -> Language {
        let accepted = accepted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        asked.into_iter().chain(accepted).find_map(Language::named).unwrap_or_default()
    }

    fn named(tag: &str) -> Option<Language> {
        match tag.split('-').next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Language::English),
            "zh" => Some(Language::Chinese),
            _ => None,
        }
    }

    /// As in BCP 47.
    pub(crate) fn tag(self) -> &'static str {
        self.of("en", "zh-Hans")
    }

    /// A sentence that was made in English, where something happened.
    pub(crate) fn told(self, english: &str) -> String {
        match self {
            Language::English => english.to_owned(),
            Language::Chinese => crate::chinese::told(english),
        }
    }

    pub(crate) fn of<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }
}

/// What a page that is written to a file shows first. A terminal shows one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    One(Language),
    /// One under the other.
    Both,
}

impl Shown {
    pub(crate) fn language(self) -> Language {
        match self {
            Shown::One(language) => language,
            Shown::Both => Language::default(),
        }
    }
}

impl FromStr for Shown {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Shown, Self::Err> {
        match (text, Language::named(text)) {
            ("both", _) => Ok(Shown::Both),
            (_, Some(language)) => Ok(Shown::One(language)),
            _ => Err("the languages are en, zh and both"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_decides_then_the_browser_then_english() {
        let cases = [
            (None, "", Language::English),
            (None, "de-DE, fr;q=0.8", Language::English),
            (None, "de, zh-CN;q=0.9, en;q=0.8", Language::Chinese),
            (None, "en-US,zh", Language::English),
            (Some("zh"), "en", Language::Chinese),
            (Some("<script>"), "zh-TW", Language::Chinese),
        ];
        for (asked, accepted, language) in cases {
            assert_eq!(Language::choose(asked, accepted), language, "{asked:?} {accepted}");
        }
    }

    #[test]
    fn an_option_names_one_language_or_both() {
        let shown = |text: &str| text.parse::<Shown>();
        assert_eq!(shown("zh"), Ok(Shown::One(Language::Chinese)));
        assert_eq!((shown("both"), shown("en").map(Shown::language)), (Ok(Shown::Both), Ok(Language::English)));
        assert!(shown("de").is_err() && shown("").is_err());
    }
}
