//! A preview on a terminal.

use std::fmt::Write;

use crate::bilingual::{Words, words};
use crate::grid::{Manner, grid};
use crate::language::Language;
use crate::policy::State;
use crate::policy::told::number;
use crate::preview::series::Series;
use crate::preview::{DeviceSeen, PointSeen, Preview};

pub(crate) fn table(preview: &Preview, language: Language, manner: Manner) -> String {
    let say = |words: &Words| words.of(language).to_owned();
    let mut text = format!("{}\n", manner.bold(&say(&title())));
    let _ = writeln!(text, "  {}", say(&sum(preview)));
    let _ = writeln!(text, "  {}", manner.red(&say(&confidential())));
    for device in &preview.devices {
        let told = say(&device_state(device));
        let _ = writeln!(text, "  {} ({}): {told}", device.name, device.address);
    }
    text.push('\n');
    let heads = [
        words("point", "测点"),
        words("read", "读取"),
        words("raw: first .. last", "原始：首 .. 末"),
        words("raw: min .. max", "原始：最小 .. 最大"),
        words("would leave", "可出厂"),
        words("first .. last", "首 .. 末"),
        words("min .. max", "最小 .. 最大"),
        words("suppressed", "被抑制"),
    ]
    .map(|head| say(&head));
    let is_number = [false, true, false, false, true, false, false, false];
    let heads: Vec<(&str, bool)> = heads.iter().map(String::as_str).zip(is_number).collect();
    let rows: Vec<Vec<String>> =
        preview.points.iter().enumerate().map(|(at, point)| row(preview, at, point, language)).collect();
    text.push_str(&grid(&heads, &rows, manner));
    text
}

fn row(preview: &Preview, at: usize, point: &PointSeen, language: Language) -> Vec<String> {
    let stays = preview.policy.points[at].state == State::Stays;
    let left = if stays { words("stays", "不出厂").of(language).to_owned() } else { number(point.left.count) };
    vec![
        point.name.clone(),
        number(point.raw.count),
        ends(&point.raw),
        span(&point.raw),
        left,
        ends(&point.left),
        span(&point.left),
        suppressed(point),
    ]
}

/// `M6 120, M4 3`
pub(crate) fn suppressed(point: &PointSeen) -> String {
    let by = point.steps.iter().filter(|step| step.seen > step.kept);
    by.map(|step| format!("M{} {}", step.step, number(step.seen - step.kept))).collect::<Vec<_>>().join(", ")
}

pub(crate) fn ends(series: &Series) -> String {
    match (&series.first, &series.last) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} .. {last}"),
        _ => "-".to_owned(),
    }
}

pub(crate) fn span(series: &Series) -> String {
    match (series.min, series.max) {
        (Some(min), Some(max)) => format!("{min} .. {max}"),
        _ => "-".to_owned(),
    }
}

pub(crate) fn title() -> Words {
    words("What is read, and what would leave of it", "所读取的数据与可出厂的数据对照")
}

pub(crate) fn sum(preview: &Preview) -> Words {
    let (read, left) = preview.readings();
    let (read, left, seconds) = (number(read), number(left), preview.seconds);
    words(
        format!("From {}, {seconds:.0} s: {read} readings were read, {left} would have left.", preview.started),
        format!("自 {} 起 {seconds:.0} 秒：读取 {read} 条，其中 {left} 条可出厂。", preview.started),
    )
}

/// What a person has to know before the values.
pub(crate) fn confidential() -> Words {
    words(
        "This shows process values, for the eyes of the plant. Nothing was sent, and nothing was stored but this.",
        "以下含工艺数值，仅供厂内查看。除本结果外，未发送也未保存任何数据。",
    )
}

pub(crate) fn device_state(device: &DeviceSeen) -> Words {
    match (&device.reason, device.connected) {
        (_, true) => words("connected", "已连接"),
        (Some(reason), false) => words(format!("not connected: {reason}"), format!("未连接：{reason}")),
        (None, false) => words("no answer yet", "尚无应答"),
    }
}
