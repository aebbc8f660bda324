//! The page at `/`: for a person in front of the machine. No external assets, no script, no process value.

use std::fmt::Write;

use crate::headline::{Light, headline};
use crate::report::{DatasetReport, DeviceReport, Report};

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
    html.push_str("<h2>Devices</h2><table><tr><th>Name<th>State<th>Readings<th>Bad<th>Missed slots</tr>");
    report.devices.iter().for_each(|device| device_row(&mut html, device));
    html.push_str("</table><h2>Datasets</h2><table><tr><th>Name<th>Purpose<th>Read<th>Kept<th>Accepted<th>Acknowledged<th>Gaps<th>Note</tr>");
    report.datasets.iter().for_each(|dataset| dataset_row(&mut html, dataset));
    let buffer = &report.buffer;
    let _ = write!(
        html,
        "</table><h2>Buffer</h2><p>{} records wait on disk ({} of {} bytes used).</p>\
         <p><a href=/status>status</a> <a href=/metrics>metrics</a> <a href=/ready>ready</a></p>",
        buffer.records_waiting, buffer.bytes, buffer.max_bytes
    );
    html
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
    <meta name=viewport content='width=device-width'><title>lingate</title><style>\
    body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222;background:#fff}\
    h1{padding:.5em;border-radius:.3em}.good{background:#d7f0d7}.bad{background:#f8d8d4}.wait{background:#f6eecb}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .6em;border-bottom:1px solid #ddd}\
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
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
        escape(&device.name),
        escape(&state),
        device.readings,
        device.bad_readings,
        device.missed_slots
    );
}

fn dataset_row(html: &mut String, dataset: &DatasetReport) {
    let _ = write!(
        html,
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
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
