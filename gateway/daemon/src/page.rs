//! The page at `/`: for a person in front of the machine, in English and Chinese. The answer first, then the line as a
//! picture, then everything else. No external asset and no process value; without script it is whole and loads itself
//! again, with script its parts are replaced as they change.

mod advice;
mod answer;
mod charts;
mod facts;
mod flow;
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::history::{Minute, Rates};
use crate::language::Language;
use crate::report::Report;
use crate::sheet::escape;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/live.js");

/// Only this page's own style and script, and only its own server (CSP level 3).
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// Everything that the page is made of.
pub(crate) struct Sight {
    pub(crate) report: Report,
    pub(crate) rates: Option<Rates>,
    pub(crate) minutes: Vec<Minute>,
    pub(crate) language: Language,
}

pub(crate) fn page(sight: &Sight) -> String {
    let (language, report) = (sight.language, &sight.report);
    let (other, other_tag) = match language {
        Language::English => ("中文", "zh"),
        Language::Chinese => ("English", "en"),
    };
    let mut html = format!(
        "<!doctype html><html lang={tag}><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=referrer content=no-referrer><noscript><meta http-equiv=refresh content=5></noscript>\
         <title>{title} – lingate</title><style>{STYLE}</style>\
         <header><b>lingate</b><span>{gateway} · {tenant}</span><a href=\"/?lang={other_tag}\" lang={other_tag} \
         hreflang={other_tag}>{other}</a></header><main>",
        tag = language.tag(),
        title = escape(&report.gateway),
        gateway = escape(&report.gateway),
        tenant = escape(&report.tenant),
    );
    let stale = language.of(
        "This page has heard nothing from the gateway for 15 s: what it shows is old.",
        "本页已有 15 秒没有收到网关的消息：显示的内容已过时。",
    );
    let _ = write!(html, "<p id=stale class=bad role=alert hidden>{stale}</p>");
    for (id, live, part) in parts(sight) {
        let _ = write!(html, "<section id={id}{}>{part}</section>", if live { " aria-live=polite" } else { "" });
    }
    let _ = write!(
        html,
        "</main><footer><span>lingate {}</span><a href=/status>{}</a><a href=/metrics>{}</a><a href=/ready>{}\
         </a></footer><script>{SCRIPT}</script></html>",
        escape(&report.version),
        language.of("status", "状态"),
        language.of("metrics", "指标"),
        language.of("ready", "就绪检查")
    );
    html
}

/// What changes, by the id of its place in the page.
pub(crate) fn changes(sight: &Sight) -> BTreeMap<&'static str, String> {
    parts(sight).into_iter().map(|(id, _, html)| (id, html)).collect()
}

/// Id, whether a screen reader says it by itself when it changes, and the HTML.
fn parts(sight: &Sight) -> [(&'static str, bool, String); 6] {
    [
        ("answer", true, answer::answer(sight)),
        ("flow", false, flow::flow(sight)),
        ("devices", false, tables::devices(sight)),
        ("datasets", false, tables::datasets(sight)),
        ("facts", false, facts::facts(sight)),
        ("history", false, charts::charts(sight)),
    ]
}
