//! A preview as one HTML page with small plots.

use std::fmt::Write;

use crate::bilingual::{Words, words};
use crate::language::Shown;
use crate::policy::told::number;
use crate::policy::{PointPolicy, State};
use crate::preview::plot::plot;
use crate::preview::series::Series;
use crate::preview::table::{confidential, device_state, ends, span, sum, suppressed, title};
use crate::preview::{PointSeen, Preview};
use crate::sheet::{TAIL, columns, escape, head, heading, paragraph};

pub(crate) fn page(preview: &Preview, shown: Shown) -> String {
    let policy = &preview.policy;
    let name = title();
    let mut html = head(&words(format!("{}: {}", name.en, policy.gateway), name.zh.clone()), shown);
    html.push_str(&heading(1, &name));
    let _ = write!(html, "<p class=warn>{}</p>", confidential().html());
    html.push_str(&paragraph(&sum(preview)));
    let bundle = policy.bundle.as_ref().map_or_else(|| "-".to_owned(), |bundle| bundle.named.sha256.clone());
    let about = words(
        format!(
            "Gateway {} of {}; configuration sha256 {}; bundle sha256 {bundle}; list sha256 {}; {}",
            policy.gateway, policy.tenant, policy.configuration.sha256, policy.sha256, policy.software
        ),
        format!(
            "网关 {}（{}）；配置 sha256 {}；授权包 sha256 {bundle}；清单 sha256 {}；{}",
            policy.gateway, policy.tenant, policy.configuration.sha256, policy.sha256, policy.software
        ),
    );
    let _ = write!(html, "<p class='s m'>{}</p>", about.html());
    for note in &policy.notes {
        let _ = write!(html, "<p class=s>{}</p>", note.html());
    }
    devices(&mut html, preview);
    let leaving = |shown: bool| {
        let points = preview.points.iter().zip(&policy.points);
        points.filter(move |(_, point)| (point.state != State::Stays) == shown).collect::<Vec<_>>()
    };
    points(&mut html, &words("Would leave", "可出厂"), &leaving(true), preview.seconds);
    points(&mut html, &words("Stays in the plant", "不出厂"), &leaving(false), preview.seconds);
    html.push_str(TAIL);
    html
}

fn devices(html: &mut String, preview: &Preview) {
    html.push_str(&heading(2, &words("Devices", "设备")));
    html.push_str("<table>");
    html.push_str(&columns(&[
        (words("device", "设备"), false),
        (words("address", "地址"), false),
        (words("state", "状态"), false),
    ]));
    for device in &preview.devices {
        let class = if device.connected { "yes" } else { "new" };
        let (name, address) = (escape(&device.name), escape(&device.address));
        let _ =
            write!(html, "<tr class={class}><td>{name}<td class=m>{address}<td>{}</tr>", device_state(device).html());
    }
    html.push_str("</table>");
}

fn points(html: &mut String, title: &Words, points: &[(&PointSeen, &PointPolicy)], seconds: f64) {
    if points.is_empty() {
        return;
    }
    html.push_str(&heading(2, title));
    html.push_str(&paragraph(&legend()));
    html.push_str("<table>");
    html.push_str(&columns(&[
        (words("point", "测点"), false),
        (words("as it was read", "原始"), false),
        (words("as it would leave", "可出厂"), false),
        (words("in the course of time", "变化曲线"), false),
    ]));
    points.iter().for_each(|(seen, point)| row(html, seen, point, seconds));
    html.push_str("</table>");
}

fn legend() -> Words {
    words(
        "Grey: every value that was read. Blue: what would leave, each dot a reading; it holds until the next one.",
        "灰线：读取的全部数值。蓝线：可出厂的数值，每点一条，保持至下一条。",
    )
}

fn row(html: &mut String, seen: &PointSeen, point: &PointPolicy, seconds: f64) {
    let left = match (&point.reason, point.state) {
        (Some(reason), State::Stays) => reason.words.html(),
        _ => format!("{}{}", told(&seen.left), steps(seen, point)),
    };
    let unit = point.unit.as_deref().unwrap_or("");
    let missed = words(
        if seen.missed == 1 { "1 slot missed".to_owned() } else { format!("{} slots missed", number(seen.missed)) },
        format!("缺失 {} 个周期", number(seen.missed)),
    );
    let missed = if seen.missed > 0 { format!("<div class=s>{}</div>", missed.html()) } else { String::new() };
    let _ = write!(
        html,
        "<tr><td><b>{}</b><div class=s>{} {}</div>{missed}<td>{}<td>{left}<td>{}</tr>",
        escape(&point.name),
        escape(&point.value_type),
        escape(unit),
        told(&seen.raw),
        plot(&seen.raw, &seen.left, seconds)
    );
}

fn told(series: &Series) -> String {
    let count = words(
        if series.count == 1 { "1 reading".to_owned() } else { format!("{} readings", number(series.count)) },
        format!("{} 条", number(series.count)),
    );
    let bad = words(format!(", {} of them bad", number(series.bad)), format!("，其中坏值 {} 条", number(series.bad)));
    let bad = if series.bad > 0 { bad.html() } else { String::new() };
    let line = |name: Words, text: String| {
        format!("<div class=s>{} <span class=m>{}</span></div>", name.html(), escape(&text))
    };
    format!(
        "{}{bad}{}{}",
        count.html(),
        line(words("first .. last", "首 .. 末"), ends(series)),
        line(words("min .. max", "最小 .. 最大"), span(series))
    )
}

fn steps(seen: &PointSeen, point: &PointPolicy) -> String {
    let steps: String = point.steps.iter().map(|step| format!("<li>{}", step.in_words().html())).collect();
    let suppressed = suppressed(seen);
    let by = words(format!("suppressed: {suppressed}"), format!("被抑制：{suppressed}"));
    let by = if suppressed.is_empty() { String::new() } else { format!("<div class=s>{}</div>", by.html()) };
    let steps = if steps.is_empty() { String::new() } else { format!("<ul class=s>{steps}</ul>") };
    by + &steps
}
