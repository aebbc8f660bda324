//! The page at `/`: for a person in front of the machine. No external assets, no script, no process value.

use std::fmt::Write;

use crate::about::About;
use crate::headline::{Light, headline};
use crate::report::{DatasetReport, DeviceReport, Report};
use crate::words::{bytes, plural};

pub(crate) fn page(report: &Report) -> String {
    let mut html = String::from(HEAD);
    let (light, words) = headline(report);
    let _ = write!(html, "<h1 class={}>{}</h1>", class(light), escape(&words));
    let _ = write!(
        html,
        "<p>Gateway <b>{}</b> of {}, lingate {}, {}</p>",
        escape(&report.gateway),
        escape(&report.tenant),
        escape(&report.version),
        escape(&report.time)
    );
    list(&mut html, &report.reasons);
    facts(&mut html, report);
    html.push_str(
        "<h2>Devices</h2><table><tr><th>Name<th>State<th class=n>Readings<th class=n>Bad<th class=n>Missed slots<th>Note</tr>",
    );
    report.devices.iter().for_each(|device| device_row(&mut html, device));
    html.push_str(
        "</table><h2>Datasets</h2><table><tr><th>Name<th>Purpose<th class=n>Read<th class=n>Kept<th class=n>Accepted\
         <th class=n>Acknowledged<th class=n>Gaps<th>Note</tr>",
    );
    report.datasets.iter().for_each(|dataset| dataset_row(&mut html, dataset));
    html.push_str("</table><p><a href=/status>status</a> <a href=/metrics>metrics</a> <a href=/ready>ready</a></p>");
    html
}

/// What the gateway stands on, one line each.
fn facts(html: &mut String, report: &Report) {
    let (link, buffer) = (&report.link, &report.buffer);
    let link = match link.up {
        true => format!("up, {} in flight, {} refused", plural(link.in_flight, "record"), link.refused),
        false => format!("down: {}", link.reason.as_deref().unwrap_or("no connection yet")),
    };
    let records = plural(buffer.records_waiting, "record");
    let buffer = format!("{records} waiting on disk, {} of {} used", bytes(buffer.bytes), bytes(buffer.max_bytes));
    let bundle = report.bundle.as_ref().map_or("none".to_owned(), |bundle| {
        format!(
            "version {} of {}, {:.0} days left, root {}",
            bundle.version, bundle.sandbox, bundle.days_left, bundle.root_version
        )
    });
    let certificate = report.certificate_days_left.map_or("none".to_owned(), |days| format!("{days:.0} days left"));
    html.push_str("<h2>Gateway</h2><table>");
    for (name, fact) in [
        ("Link", &link),
        ("Buffer", &buffer),
        ("Bundle", &bundle),
        ("Rights", &report.rights.in_words()),
        ("Certificate", &certificate),
        ("Clock", &report.clock),
    ] {
        let _ = write!(html, "<tr><th>{name}<td class=w>{}</tr>", escape(fact));
    }
    html.push_str("</table>");
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
    <meta name=viewport content='width=device-width'><title>lingate</title><style>\
    body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222;background:#fff}\
    h1{padding:.5em;border-radius:.3em}.good{background:#d7f0d7}.bad{background:#f8d8d4}.wait{background:#f6eecb}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2em .6em;border-bottom:1px solid #ddd}\
    th,td:first-child{white-space:nowrap}.n{text-align:right;font-variant-numeric:tabular-nums}.w{width:100%}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}.good{background:#1d421d}.bad{background:#55221c}.wait{background:#4c4418}}\
    </style>";

fn class(light: Light) -> &'static str {
    match light {
        Light::Green => "good",
        Light::Amber => "wait",
        Light::Red => "bad",
    }
}

fn list(html: &mut String, reasons: &[String]) {
    if reasons.is_empty() {
        return;
    }
    html.push_str("<ul>");
    for reason in reasons {
        let _ = write!(html, "<li>{}", escape(reason));
    }
    html.push_str("</ul>");
}

fn device_row(html: &mut String, device: &DeviceReport) {
    let state = match &device.reason {
        Some(reason) => format!("{}: {reason}", device.state),
        None => device.state.clone(),
    };
    let _ = write!(
        html,
        "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}</tr>",
        escape(&device.name),
        escape(&state),
        device.readings,
        device.bad_readings,
        device.missed_slots,
        notes(device)
    );
}

/// One line each; a connection without protection cannot be overlooked.
fn notes(device: &DeviceReport) -> String {
    let notes = device.notes();
    let shown = notes.iter().map(|note| match note.starts_with(About::UNPROTECTED) {
        true => format!("<b class=bad>{}</b>", escape(note)),
        false => escape(note),
    });
    shown.collect::<Vec<_>>().join("<br>")
}

fn dataset_row(html: &mut String, dataset: &DatasetReport) {
    let _ = write!(
        html,
        "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}</tr>",
        escape(&dataset.id),
        escape(&dataset.purpose),
        dataset.read,
        dataset.kept,
        dataset.accepted_readings,
        dataset.acknowledged_readings,
        dataset.gaps,
        escape(dataset.denied.as_deref().unwrap_or(""))
    );
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
        html
    })
}
