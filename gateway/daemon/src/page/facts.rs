//! What the gateway stands on, one line each.

use super::Sight;
use crate::language::Language;
use crate::report::Report;
use crate::sheet::escape;
use crate::words::{bytes, plural};

pub(super) fn facts(sight: &Sight) -> String {
    let (report, language) = (&sight.report, sight.language);
    let rows = [
        (language.of("Link to the broker", "与消息代理的连接"), link(report, language)),
        (language.of("Buffer on disk", "磁盘缓冲区"), buffer(report, language)),
        (language.of("Sandbox bundle", "沙箱授权包"), bundle(report, language)),
        (language.of("Refused bundle", "被拒绝的授权包"), refused_bundle(report, language)),
        (language.of("Rights", "权利"), rights(report, language)),
        (language.of("Certificate", "证书"), certificate(report, language)),
        (
            language.of("Clock", "时钟"),
            format!("{}{}{}", clock(report, language), language.of(", ", "，"), report.time),
        ),
        (language.of("Configuration", "配置"), configuration(report, language)),
        (language.of("Not ready because", "未就绪原因"), told(&report.reasons, language)),
    ];
    let row = |(name, fact): &(&str, String)| format!("<tr><th scope=row>{name}<td>{}", escape(fact));
    let rows: String = rows.iter().filter(|(_, fact)| !fact.is_empty()).map(row).collect();
    format!("<h2>{}</h2><table class=facts>{rows}</table>", language.of("Gateway", "网关"))
}

fn configuration(report: &Report, language: Language) -> String {
    let sha256 = format!("sha256 {}", report.configuration_sha256);
    match (report.reload.warning(), language) {
        (None, _) => sha256,
        (Some(warning), Language::English) => format!("{sha256}; {warning}"),
        (Some(_), Language::Chinese) => {
            format!(
                "{sha256}；最新配置被拒绝，仍使用原配置：{}",
                report.reload.problems.first().map_or("", String::as_str)
            )
        }
    }
}

fn told(sentences: &[String], language: Language) -> String {
    let told: Vec<String> = sentences.iter().map(|sentence| language.told(sentence)).collect();
    told.join(language.of("; ", "；"))
}

fn rights(report: &Report, language: Language) -> String {
    told(&report.rights.in_words(), language)
}

fn clock(report: &Report, language: Language) -> &str {
    match (language, report.clock.as_str()) {
        (Language::Chinese, "synced") => "已同步",
        (Language::Chinese, "holdover") => "保持（长时间未同步）",
        (Language::Chinese, "unsynced") => "未同步",
        (_, clock) => clock,
    }
}

fn link(report: &Report, language: Language) -> String {
    let link = &report.link;
    match (link.up, language) {
        (true, Language::English) => {
            format!("up, {} in flight, {} refused", plural(link.in_flight, "record"), link.refused)
        }
        (true, Language::Chinese) => format!("已连接，{} 条记录在途，{} 条被拒绝", link.in_flight, link.refused),
        (false, _) => {
            let none = || language.of("no connection yet", "还没有连接").to_owned();
            let why = link.reason.as_ref().map_or_else(none, |reason| language.told(reason));
            format!("{}{why}", language.of("down: ", "已断开："))
        }
    }
}

fn buffer(report: &Report, language: Language) -> String {
    let buffer = &report.buffer;
    let (used, most, waiting) = (bytes(buffer.bytes), bytes(buffer.max_bytes), buffer.records_waiting);
    let hours = buffer.autonomy_hours.map(|hours| match language {
        Language::English => format!("; room for {hours:.0} h without the broker"),
        Language::Chinese => format!("；断网时还可保存 {hours:.0} 小时"),
    });
    let said = match language {
        Language::English => format!("{} waiting, {used} of {most} used", plural(waiting, "record")),
        Language::Chinese => format!("{waiting} 条记录等待发送，已用 {used}，上限 {most}"),
    };
    let aside = match (buffer.quarantined, language) {
        (0, _) => String::new(),
        (count, Language::English) => format!("; {} in quarantine", plural(count, "record")),
        (count, Language::Chinese) => format!("；{count} 条记录被隔离"),
    };
    said + &hours.unwrap_or_default() + &aside
}

fn bundle(report: &Report, language: Language) -> String {
    let Some(bundle) = &report.bundle else { return language.of("none", "无").to_owned() };
    let (version, sandbox, days, root) = (bundle.version, &bundle.sandbox, bundle.days_left, bundle.root_version);
    match language {
        Language::English => format!("version {version} of {sandbox}, {days:.0} days left, root {root}"),
        Language::Chinese => format!("{sandbox} 的第 {version} 版，剩余 {days:.0} 天，根密钥第 {root} 版"),
    }
}

fn refused_bundle(report: &Report, language: Language) -> String {
    let Some(refused) = &report.bundle_refused else { return String::new() };
    format!("{}{}{}{}{}", refused.file, language.of(", ", "，"), refused.at, language.of(": ", "："), refused.reason)
}

fn certificate(report: &Report, language: Language) -> String {
    match (report.certificate_days_left, language) {
        (None, _) => language.of("none yet", "还没有").to_owned(),
        (Some(days), Language::English) => format!("{days:.0} days left"),
        (Some(days), Language::Chinese) => format!("剩余 {days:.0} 天"),
    }
}
