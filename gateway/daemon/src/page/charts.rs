//! The last 24 hours as small pictures, one column of the picture a minute; of a young gateway, its life so far.

use std::fmt::Write;

use super::Sight;
use super::flow::shown;
use crate::history::Minute;
use crate::language::Language;

/// Minutes that fill a picture from the start.
const WIDTH_MIN: usize = 60;
const DAY: usize = 24 * 60;
const HEIGHT: f32 = 100.0;

pub(super) fn charts(sight: &Sight) -> String {
    let (minutes, language) = (&sight.minutes, sight.language);
    let heading = match (minutes.len(), language) {
        (0, Language::English) => "<h2>Last 24 hours</h2><p>The first minute is not over yet.</p>".to_owned(),
        (0, Language::Chinese) => "<h2>最近 24 小时</h2><p>第一分钟尚未结束。</p>".to_owned(),
        (DAY.., Language::English) => "<h2>Last 24 hours</h2>".to_owned(),
        (DAY.., Language::Chinese) => "<h2>最近 24 小时</h2>".to_owned(),
        (young, Language::English) => format!("<h2>Since the start, {young} min</h2>"),
        (young, Language::Chinese) => format!("<h2>启动以来 {young} 分钟</h2>"),
    };
    if minutes.is_empty() {
        return heading;
    }
    let figures = [rates(minutes, language), buffer(minutes, language), weather(minutes, language)];
    format!("{heading}<div class=charts>{}</div>", figures.concat())
}

fn rates(minutes: &[Minute], language: Language) -> String {
    let most = minutes.iter().map(|minute| minute.rates.read.max(minute.rates.acknowledged)).fold(0.0, f32::max);
    let line = |of: fn(&Minute) -> f32, class| line(minutes, of, most, class);
    let drawn = line(|minute| minute.rates.read, "read") + &line(|minute| minute.rates.acknowledged, "sent");
    let most = shown(most);
    let said = match language {
        Language::English => format!("readings per second: read (blue), acknowledged (green); at most {most}"),
        Language::Chinese => format!("每秒读数：读取（蓝）、已确认（绿）；最高 {most}"),
    };
    figure(minutes, &said, &drawn)
}

fn buffer(minutes: &[Minute], language: Language) -> String {
    let most = minutes.iter().map(|minute| minute.buffer_share).fold(0.0, f32::max) * 100.0;
    let said = match language {
        Language::English => format!("buffer in use, of what it may use; at most {most:.1} %"),
        Language::Chinese => format!("缓冲区占用率；最高 {most:.1} %"),
    };
    figure(minutes, &said, &line(minutes, |minute| minute.buffer_share, 1.0, "read"))
}

/// Two bands: the link above, the devices below.
fn weather(minutes: &[Minute], language: Language) -> String {
    let down = minutes.iter().filter(|minute| !minute.is_link_up).count();
    let away = minutes.iter().filter(|minute| minute.devices_share < 1.0).count();
    let said = match language {
        Language::English => format!("link (above): {down} min down; devices (below): {away} min not all connected"),
        Language::Chinese => format!("连接（上）：断开 {down} 分钟；设备（下）：{away} 分钟未全部连接"),
    };
    let link = band(minutes, |minute| minute.is_link_up, 10);
    let devices = band(minutes, |minute| minute.devices_share >= 1.0, 55);
    figure(minutes, &said, &(link + &devices))
}

fn width(minutes: &[Minute]) -> usize {
    minutes.len().max(WIDTH_MIN)
}

fn figure(minutes: &[Minute], said: &str, drawn: &str) -> String {
    let width = width(minutes);
    format!(
        "<figure><svg viewBox=\"0 0 {width} 100\" preserveAspectRatio=none role=img aria-label=\"{said}\">{drawn}</svg>\
         <figcaption>{said}</figcaption></figure>"
    )
}

/// The newest minute is at the right edge.
fn line(minutes: &[Minute], of: fn(&Minute) -> f32, most: f32, class: &str) -> String {
    let mut points = String::new();
    for (at, minute) in (width(minutes) - minutes.len()..).zip(minutes) {
        let share = if most > 0.0 { (of(minute) / most).clamp(0.0, 1.0) } else { 0.0 };
        let _ = write!(points, "{at},{:.1} ", HEIGHT - 2.0 - share * (HEIGHT - 4.0));
    }
    format!(
        "<polyline class={class} fill=none stroke-width=2 vector-effect=non-scaling-stroke points=\"{}\"/>",
        points.trim_end()
    )
}

/// One rectangle for each stretch of minutes that are alike.
fn band(minutes: &[Minute], is_up: fn(&Minute) -> bool, top: usize) -> String {
    let mut drawn = String::new();
    let mut at = width(minutes) - minutes.len();
    for stretch in minutes.chunk_by(|one, next| is_up(one) == is_up(next)) {
        let class = if is_up(&stretch[0]) { "up" } else { "down" };
        let _ = write!(drawn, "<rect class={class} x={at} y={top} width={} height=35 />", stretch.len());
        at += stretch.len();
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Rates;

    #[test]
    fn the_newest_minute_is_at_the_right_edge_and_nothing_leaves_the_frame() {
        let minute = |read, is_link_up| Minute {
            rates: Rates { read, ..Rates::default() },
            buffer_share: 7.0,
            is_link_up,
            devices_share: 1.0,
        };
        let minutes = [minute(0.0, true), minute(5.0, false), minute(10.0, false)];
        let drawn = line(&minutes, |minute| minute.rates.read, 10.0, "read");
        assert!(drawn.contains("points=\"57,98.0 58,50.0 59,2.0\""), "{drawn}");
        assert!(line(&minutes, |minute| minute.buffer_share, 1.0, "read").contains("57,2.0 "));
        let drawn = band(&minutes, |minute| minute.is_link_up, 10);
        assert_eq!(
            drawn,
            "<rect class=up x=57 y=10 width=1 height=35 /><rect class=down x=58 y=10 width=2 height=35 />"
        );
    }
}
