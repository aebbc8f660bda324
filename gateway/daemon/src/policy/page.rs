//! A policy as one HTML page, to be read, printed and signed.

use std::fmt::Write;

use crate::bilingual::{Words, words};
use crate::language::Shown;
use crate::policy::difference::{Changed, Difference};
use crate::policy::told::{
    bytes, class_of, compared_with, context_words, dataset_facts, estimate, every, facts, newly_leaves, no_difference,
    no_longer_leaves, number, sum,
};
use crate::policy::{DatasetPolicy, PointPolicy, Policy, State};
use crate::sheet::{TAIL, columns, escape, fact, head, heading, paragraph};

pub(crate) fn page(policy: &Policy, difference: Option<&Difference>, shown: Shown) -> String {
    let title = words("What leaves the plant", "出厂数据清单");
    let mut html = head(&words(format!("{}: {}", title.en, policy.gateway), title.zh.clone()), shown);
    html.push_str(&heading(1, &title));
    html.push_str(&paragraph(&sum(policy)));
    describe(&mut html, policy);
    if let Some(difference) = difference {
        compare(&mut html, difference);
    }
    policy.datasets.iter().for_each(|one| dataset(&mut html, policy, one));
    stays(&mut html, policy);
    html.push_str(&heading(2, &words("How the figures came about", "数量估算方法")));
    html.push_str(&paragraph(&estimate()));
    sign(&mut html, policy);
    html.push_str(TAIL);
    html
}

/// So that the paper names what it describes.
fn describe(html: &mut String, policy: &Policy) {
    html.push_str("<table>");
    for (name, what) in facts(policy) {
        html.push_str(&fact(&name, &format!("<span class=m>{}</span>", what.html())));
    }
    html.push_str("</table>");
    for note in &policy.notes {
        let _ = write!(html, "<p class=warn>{}</p>", note.html());
    }
}

fn compare(html: &mut String, difference: &Difference) {
    let against = &difference.against;
    html.push_str(&heading(2, &compared_with(against)));
    let (file, list) = (&against.configuration_sha256, &against.policy_sha256);
    let sums = words(
        format!("configuration sha256 {file}, list sha256 {list}"),
        format!("配置 sha256 {file}，清单 sha256 {list}"),
    );
    let _ = write!(html, "<p class='s m'>{}</p>", sums.html());
    if difference.is_empty() {
        html.push_str(&paragraph(&no_difference()));
        return;
    }
    html.push_str("<table>");
    html.push_str(&columns(&[
        (words("difference", "差异"), false),
        (words("point", "测点"), false),
        (words("before", "之前"), false),
        (words("after", "之后"), false),
    ]));
    for (points, class, what) in
        [(&difference.newly_leaves, "new", newly_leaves()), (&difference.no_longer_leaves, "yes", no_longer_leaves())]
    {
        for point in points {
            let _ = write!(html, "<tr class={class}><td>{}<td colspan=3>{}</tr>", what.html(), escape(point));
        }
    }
    difference.changed.iter().for_each(|change| changed(html, change));
    html.push_str("</table>");
}

fn changed(html: &mut String, change: &Changed) {
    let wider = words("wider: ", "放宽：");
    let (class, mark) = if change.wider { ("new", wider.html()) } else { ("no", String::new()) };
    let (point, before, after) = (escape(&change.point), change.before.html(), change.after.html());
    let _ = write!(
        html,
        "<tr class={class}><td>{mark}{}<td>{point}<td class=m>{before}<td class=m>{after}</tr>",
        change.what.html()
    );
}

fn dataset(html: &mut String, policy: &Policy, dataset: &DatasetPolicy) {
    html.push_str(&heading(2, &words(format!("Dataset {}", dataset.id), format!("数据集 {}", dataset.id))));
    html.push_str("<table class=keep>");
    for (name, what) in dataset_facts(dataset) {
        html.push_str(&fact(&name, &what.html()));
    }
    html.push_str("</table>");
    let is_member = |point: &&PointPolicy| point.dataset.as_ref() == Some(&dataset.id) && point.state != State::Stays;
    let members: Vec<&PointPolicy> = policy.points.iter().filter(is_member).collect();
    if members.is_empty() {
        return;
    }
    html.push_str("<table>");
    html.push_str(&columns(&[
        (words("point", "测点"), false),
        (words("read from", "读取位置"), false),
        (words("class", "级别"), false),
        (words("recipients", "接收方"), false),
        (words("steps, in this order", "最小化步骤（按此顺序）"), false),
        (words("readings a day", "每天条数"), true),
        (words("bytes a day", "每天字节"), true),
    ]));
    html.push_str(&foot(policy, 7));
    members.into_iter().for_each(|point| row(html, point));
    html.push_str("</table>");
}

fn row(html: &mut String, point: &PointPolicy) {
    let state = match point.state {
        State::Leaves => words("leaves", "出厂"),
        _ => words("waits for a grant", "待授权"),
    };
    let steps: String = point.steps.iter().map(|step| format!("<li>{}", step.in_words().html())).collect();
    let steps = if steps.is_empty() {
        words("none: as it was read", "无：原值出厂").html()
    } else {
        format!("<ul>{steps}</ul>")
    };
    let recipients = if point.recipients.is_empty() { state.html() } else { escape(&point.recipients.join(", ")) };
    let (volume, class) = (&point.volume, class_of(point));
    let context = point.context.map(|kind| format!("<div class=s>{}</div>", context_words(kind).html()));
    let context = context.unwrap_or_default();
    // A reason is a sentence.
    let nowrap = if point.lowered.is_none() { " class=c" } else { "" };
    let most = |most: String| words(format!("at most {most}"), format!("至多 {most}")).html();
    let _ = write!(
        html,
        "<tr><td><b>{}</b><div class=s>{}</div>{context}<td>{}<td{nowrap}>{}<td>{recipients}<td>{steps}\
         <td class=n>{}<div class=s>{}</div><td class=n>{}<div class=s>{}</div></tr>",
        escape(&point.name),
        escape(&point.equipment),
        place(point),
        class.html(),
        number(volume.readings_typical),
        most(number(volume.readings_max)),
        bytes(volume.bytes_typical),
        most(bytes(volume.bytes_max)),
    );
}

/// Device and address in it, type, unit, range, and how often.
fn place(point: &PointPolicy) -> String {
    let range = point.range.as_ref().map(|(low, high)| format!(" {low}..{high}")).unwrap_or_default();
    let unit = point.unit.as_deref().unwrap_or("");
    format!(
        "<span class=m>{} {}</span><div class=s>{}, {} {}{}</div>",
        escape(&point.address),
        escape(&point.source),
        escape(&every(point)),
        escape(&point.value_type),
        escape(unit),
        escape(&range)
    )
}

fn stays(html: &mut String, policy: &Policy) {
    let stays: Vec<&PointPolicy> = policy.points.iter().filter(|point| point.state == State::Stays).collect();
    html.push_str(&heading(2, &words("Stays in the plant", "不出厂")));
    if stays.is_empty() {
        html.push_str(&paragraph(&words("Every point that is read leaves.", "所读取的测点全部出厂。")));
        return;
    }
    html.push_str("<table>");
    html.push_str(&columns(&[
        (words("point", "测点"), false),
        (words("read from", "读取位置"), false),
        (words("why it does not leave", "不出厂的原因"), false),
    ]));
    html.push_str(&foot(policy, 3));
    for point in stays {
        let reason = point.reason.as_ref().map(|reason| reason.words.html()).unwrap_or_default();
        let _ = write!(
            html,
            "<tr class=no><td><b>{}</b><div class=s>{}</div><td>{}<td>{reason}</tr>",
            escape(&point.name),
            escape(&point.equipment),
            place(point)
        );
    }
    html.push_str("</table>");
}

/// On every printed page that a table reaches.
fn foot(policy: &Policy, span: usize) -> String {
    let (list, file) = (short(&policy.sha256), short(&policy.configuration.sha256));
    let bundle = |name: &str| match &policy.bundle {
        Some(bundle) => format!("{name} {}", short(&bundle.named.sha256)),
        None => String::new(),
    };
    let told = words(
        format!("list {list}, configuration {file}{}", bundle(", bundle")),
        format!("清单 {list}，配置 {file}{}", bundle("，授权包")),
    );
    let named = escape(&format!("{}, {}: ", policy.gateway, policy.at));
    format!("<tfoot><tr><td colspan={span} class=m>{named}{}</tr></tfoot>", told.html())
}

/// Enough of a hash to tell two papers apart; all of it stands on the first page.
fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

fn sign(html: &mut String, policy: &Policy) {
    let title = words("Signatures", "签署");
    let text = words(
        format!(
            "I have read this list, sha256 {}, and agree that what it says leaves may leave, for the purposes and recipients that it names, and nothing else.",
            policy.sha256
        ),
        format!(
            "本人已阅本清单（sha256 {}），同意其所列数据按所列目的提供给所列接收方，其余数据不得出厂。",
            policy.sha256
        ),
    );
    let _ = write!(html, "<div class=sign>{}{}<table><thead><tr>", heading(2, &title), paragraph(&text));
    let heads = [words("role", "角色"), words("name", "姓名"), words("date", "日期"), words("signature", "签字")];
    heads.iter().for_each(|head| {
        let _ = write!(html, "<th>{}", head.html());
    });
    html.push_str("</tr></thead>");
    for role in signers() {
        let _ = write!(html, "<tr><td>{}<td><td><td></tr>", role.html());
    }
    html.push_str("</table></div>");
}

fn signers() -> [Words; 3] {
    [
        words("data protection officer", "数据保护负责人"),
        words("owner of the process", "工艺负责人"),
        words("plant IT", "工厂信息部门"),
    ]
}
