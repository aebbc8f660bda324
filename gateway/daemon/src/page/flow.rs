//! The line as a picture: how much passes each step.

use super::Sight;
use crate::history::Rates;
use crate::language::Language;

pub(super) fn flow(sight: &Sight) -> String {
    let (report, language) = (&sight.report, sight.language);
    let sum = |of: fn(&crate::report::DatasetReport) -> u64| report.datasets.iter().map(of).sum::<u64>();
    let read = report.devices.iter().map(|device| device.readings).sum();
    let all_away = !report.devices.is_empty() && report.devices.iter().all(|device| device.state != "connected");
    let all_denied = !report.datasets.is_empty() && report.datasets.iter().all(|dataset| dataset.denied.is_some());
    let [no, red] = ["", "bad"];
    let steps = [
        step(
            sight,
            language.of("read from devices", "从设备读取"),
            |rates| rates.read,
            read,
            if all_away { red } else { no },
        ),
        step(
            sight,
            language.of("may leave, minimized", "允许离开（已最小化）"),
            |rates| rates.kept,
            sum(|it| it.kept),
            no,
        ),
        step(
            sight,
            language.of("sealed and safe on disk", "已加密并写入磁盘"),
            |rates| rates.durable,
            sum(|it| it.accepted_readings),
            if report.disk_fault.is_some() || all_denied { red } else { no },
        ),
        step(
            sight,
            language.of("acknowledged by the sandbox", "沙箱已确认"),
            |rates| rates.acknowledged,
            sum(|it| it.acknowledged_readings),
            if report.link.up { no } else { red },
        ),
    ];
    let heading = language.of("The line, in readings per second over 15 s", "数据流（15 秒内的每秒读数）");
    format!("<h2>{heading}</h2><ol class=flow>{}</ol>", steps.concat())
}

fn step(sight: &Sight, name: &str, rate: fn(&Rates) -> f32, total: u64, class: &str) -> String {
    let rate = sight.rates.as_ref().map_or("–".to_owned(), |rates| shown(rate(rates)));
    let total = match sight.language {
        Language::English => format!("{total} since the start"),
        Language::Chinese => format!("启动以来 {total}"),
    };
    format!("<li class=\"{class}\"><span>{name}</span><b>{rate}</b><span>{total}</span></li>")
}

/// Three digits are enough for a rate.
pub(super) fn shown(rate: f32) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}
