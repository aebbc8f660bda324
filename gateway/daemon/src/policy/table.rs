//! A policy on a terminal.

use std::fmt::Write;

use crate::bilingual::{Words, words};
use crate::grid::{Manner, grid};
use crate::language::Language;
use crate::policy::difference::Difference;
use crate::policy::told::{
    bytes, class_of, compared_with, dataset_facts, estimate, every, facts, newly_leaves, no_difference,
    no_longer_leaves, number, sum,
};
use crate::policy::{DatasetPolicy, PointPolicy, Policy, State};

/// The difference first, because that is what somebody looks for.
pub(crate) fn table(policy: &Policy, difference: Option<&Difference>, language: Language, manner: Manner) -> String {
    let mut text = String::new();
    let show = Show { language, manner };
    show.head(&mut text, policy);
    if let Some(difference) = difference {
        show.difference(&mut text, difference);
    }
    policy.datasets.iter().for_each(|dataset| show.dataset(&mut text, policy, dataset));
    show.stays(&mut text, policy);
    show.sums(&mut text, policy);
    text
}

struct Show {
    language: Language,
    manner: Manner,
}

impl Show {
    fn say(&self, words: &Words) -> String {
        words.of(self.language).to_owned()
    }

    fn title(&self, text: &mut String, words: &Words) {
        let _ = writeln!(text, "\n{}", self.manner.bold(&self.say(words)));
    }

    fn head(&self, text: &mut String, policy: &Policy) {
        let title = words("What leaves the plant", "出厂数据清单");
        let _ = writeln!(text, "{}", self.manner.bold(&self.say(&title)));
        for (name, fact) in facts(policy) {
            let _ = writeln!(text, "  {}: {}", self.say(&name), self.say(&fact));
        }
        for note in &policy.notes {
            let _ = writeln!(text, "  {}", self.manner.red(&self.say(note)));
        }
    }

    fn difference(&self, text: &mut String, difference: &Difference) {
        self.title(text, &compared_with(&difference.against));
        if difference.is_empty() {
            let _ = writeln!(text, "  {}", self.say(&no_difference()));
        }
        for point in &difference.newly_leaves {
            let _ = writeln!(text, "  {}", self.manner.red(&format!("+ {point}  {}", self.say(&newly_leaves()))));
        }
        for point in &difference.no_longer_leaves {
            let _ = writeln!(text, "  {}", self.manner.green(&format!("- {point}  {}", self.say(&no_longer_leaves()))));
        }
        for change in &difference.changed {
            let mark = if change.wider { "! " } else { "~ " };
            let line = format!(
                "{mark}{}  {}: {} -> {}",
                change.point,
                self.say(&change.what),
                self.say(&change.before),
                self.say(&change.after)
            );
            let _ = writeln!(text, "  {}", if change.wider { self.manner.red(&line) } else { line });
        }
    }

    fn dataset(&self, text: &mut String, policy: &Policy, dataset: &DatasetPolicy) {
        self.title(text, &words(format!("Dataset {}", dataset.id), format!("数据集 {}", dataset.id)));
        for (name, fact) in dataset_facts(dataset) {
            let _ = writeln!(text, "  {}: {}", self.say(&name), self.say(&fact));
        }
        let is_member =
            |point: &&PointPolicy| point.dataset.as_ref() == Some(&dataset.id) && point.state != State::Stays;
        let rows: Vec<Vec<String>> = policy.points.iter().filter(is_member).map(|point| self.row(point)).collect();
        if rows.is_empty() {
            return;
        }
        let heads = [
            words("point", "测点"),
            words("read from", "读取位置"),
            words("class", "级别"),
            words("steps", "最小化步骤"),
            words("readings/day", "条/天"),
            words("bytes/day", "字节/天"),
        ]
        .map(|head| self.say(&head));
        let heads: Vec<(&str, bool)> =
            heads.iter().map(String::as_str).zip([false, false, false, false, true, true]).collect();
        text.push_str(&grid(&heads, &rows, self.manner));
    }

    fn row(&self, point: &PointPolicy) -> Vec<String> {
        vec![
            point.name.clone(),
            format!("{} {}, {}", point.address, point.source, every(point)),
            self.say(&class_of(point)),
            point.steps.iter().map(|step| self.say(&step.in_words())).collect::<Vec<_>>().join("; "),
            format!("{} (<= {})", number(point.volume.readings_typical), number(point.volume.readings_max)),
            format!("{} (<= {})", bytes(point.volume.bytes_typical), bytes(point.volume.bytes_max)),
        ]
    }

    fn stays(&self, text: &mut String, policy: &Policy) {
        let stays: Vec<&PointPolicy> = policy.points.iter().filter(|point| point.state == State::Stays).collect();
        if stays.is_empty() {
            return;
        }
        self.title(text, &words("Stays in the plant", "不出厂"));
        let row = |point: &&PointPolicy| {
            let reason = point.reason.as_ref().map(|reason| self.say(&reason.words)).unwrap_or_default();
            vec![point.name.clone(), format!("{} {}", point.address, point.source), reason]
        };
        let rows: Vec<Vec<String>> = stays.iter().map(row).collect();
        let heads = [words("point", "测点"), words("read from", "读取位置"), words("why", "原因")];
        let heads = heads.map(|head| self.say(&head));
        let heads: Vec<(&str, bool)> = heads.iter().map(|head| (head.as_str(), false)).collect();
        text.push_str(&grid(&heads, &rows, self.manner));
    }

    fn sums(&self, text: &mut String, policy: &Policy) {
        let _ = writeln!(text, "\n{}", self.manner.bold(&self.say(&sum(policy))));
        let _ = writeln!(text, "{}", self.manner.dim(&self.say(&estimate())));
    }
}
