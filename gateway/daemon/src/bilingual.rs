//! Sentences for people in the plant and in the sandbox: each in English and in Chinese.

use serde::Serialize;

use crate::language::Language;
use crate::sheet::escape;

/// One sentence, twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Words {
    pub(crate) en: String,
    pub(crate) zh: String,
}

pub(crate) fn words(en: impl Into<String>, zh: impl Into<String>) -> Words {
    Words { en: en.into(), zh: zh.into() }
}

impl Words {
    /// The same in both: a name, a number.
    pub(crate) fn plain(text: impl Into<String>) -> Words {
        let text = text.into();
        Words { en: text.clone(), zh: text }
    }

    pub(crate) fn of(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Chinese => &self.zh,
        }
    }

    /// Escaped; the page's style shows the chosen language.
    pub(crate) fn html(&self) -> String {
        match self.en == self.zh {
            true => escape(&self.en),
            false => format!("<span lang=en>{}</span><span lang=zh>{}</span>", escape(&self.en), escape(&self.zh)),
        }
    }
}
