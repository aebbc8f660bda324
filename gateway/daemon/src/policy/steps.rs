//! The minimization steps as a person reads them: number, standard's term, exact parameters.

use lingate_refine::{Step, StepId};
use serde::Serialize;

use crate::bilingual::{Words, words};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StepPolicy {
    /// 3 to 12 (wire.md section 9).
    pub(crate) step: u8,
    /// ISO/IEC 20889, OPC UA.
    pub(crate) term: &'static str,
    #[serde(flatten)]
    pub(crate) name: Words,
    /// Name and exact text.
    pub(crate) parameters: Vec<(String, String)>,
}

impl StepPolicy {
    pub(crate) fn of(step: &Step) -> StepPolicy {
        let parameters = step.parameters().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let id = step.id() as u8;
        StepPolicy { step: id, term: step.term(), name: name_of(id), parameters }
    }

    /// `M6 deadband by 0.5 (AbsoluteDeadband)`
    pub(crate) fn in_words(&self) -> Words {
        let parameters: Vec<String> = self.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let parameters = parameters.join(", ");
        let one = |name: &str| {
            let term = if self.term == name { String::new() } else { format!(" ({})", self.term) };
            format!("M{} {name} {parameters}{term}", self.step)
        };
        words(one(&self.name.en), one(&self.name.zh))
    }
}

/// Two steps hold for every point: M1 and M2.
pub(crate) fn common(id: StepId) -> Words {
    let number = id as u8;
    let one = |name: &str| {
        let term = if id.term() == name { String::new() } else { format!(" ({})", id.term()) };
        format!("M{number} {name}{term}")
    };
    let Words { en, zh } = name_of(number);
    words(one(&en), one(&zh))
}

pub(crate) fn name_of(step: u8) -> Words {
    match step {
        1 => words("allow-list", "允许清单"),
        2 => words("class ceiling", "级别上限"),
        3 => words("context gate", "情境门控"),
        4 => words("quality filter", "质量过滤"),
        5 => words("window aggregate", "窗口聚合"),
        6 => words("deadband", "死区"),
        7 => words("swinging door", "旋转门压缩"),
        8 => words("rounding", "取整"),
        9 => words("range clip", "量程截断"),
        10 => words("time coarsening", "时间粗化"),
        11 => words("keyed pseudonym", "密钥化假名"),
        12 => words("masking of text", "文本屏蔽"),
        other => Words::plain(format!("step {other}")),
    }
}
