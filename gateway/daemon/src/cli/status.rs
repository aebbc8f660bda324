use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::door::Door;
use crate::cli::exit::{Code, Failed};
use crate::headline::{Light, headline};
use crate::language::Language;
use crate::report::{DatasetReport, DeviceReport, Report};
use crate::words::{bytes, plural};

/// Exit code 0 when data arrives, even if not all of it; 69 when none does, or when no daemon answered.
pub(crate) fn status(json: bool, config: Option<&Path>, url: Option<&str>) -> Result<ExitCode, Failed> {
    let (report, body) = Door::find(config, url)?.report()?;
    match json {
        true => println!("{}", String::from_utf8_lossy(&body)),
        false => print!("{}", in_words(&report)),
    }
    Ok(ExitCode::from(exit_code(headline(&report, Language::English).0)))
}

fn exit_code(light: Light) -> u8 {
    match light {
        Light::Green | Light::Amber => 0,
        Light::Red => Code::Unavailable as u8,
    }
}

fn in_words(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", headline(report, Language::English).1);
    for reason in &report.reasons {
        let _ = writeln!(text, "not ready: {reason}");
    }
    let _ = writeln!(
        text,
        "gateway  {} of {}, lingate {}, up {}, clock {}",
        report.gateway,
        report.tenant,
        report.version,
        duration(report.uptime_seconds),
        report.clock
    );
    let _ = writeln!(text, "link     {}", link(report));
    let _ = writeln!(text, "buffer   {}", buffer(report));
    let _ = writeln!(text, "keys     {}", keys(report));
    if let Some(refused) = &report.bundle_refused {
        let _ = writeln!(text, "         bundle {} was refused at {}: {}", refused.file, refused.at, refused.reason);
    }
    if let Some(warning) = report.reload.warning() {
        let _ = writeln!(text, "config   {warning}");
    }
    report.devices.iter().for_each(|device| {
        let _ = writeln!(text, "{}", in_line(device));
        device.notes(Language::English).iter().for_each(|note| {
            let _ = writeln!(text, "         {note}");
        });
    });
    report.datasets.iter().for_each(|dataset| {
        let _ = writeln!(text, "{}", dataset_line(dataset));
    });
    for (cause, readings) in &report.lost {
        let _ = writeln!(text, "lost     {readings} readings: {cause}");
    }
    text
}

/// `59 s`, `12 min`, `3 h 7 min`, `12 d 3 h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds} s"),
        () if hours == 0 => format!("{minutes} min"),
        () if days == 0 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

pub(crate) fn link(report: &Report) -> String {
    let link = &report.link;
    match (link.up, &link.reason) {
        (true, _) => format!("up, {} in flight, {} refused", plural(link.in_flight, "record"), link.refused),
        (false, Some(reason)) => format!("down: {reason}"),
        (false, None) => "down".to_owned(),
    }
}

fn buffer(report: &Report) -> String {
    let buffer = &report.buffer;
    let room = buffer.autonomy_hours.map_or_else(String::new, |hours| format!(", room for {hours:.0} h"));
    let autonomy = match buffer.quarantined {
        0 => room,
        count => format!("{room}, {} in quarantine", plural(count, "record")),
    };
    format!(
        "{} waiting, {} of {}{autonomy}",
        plural(buffer.records_waiting, "record"),
        bytes(buffer.bytes),
        bytes(buffer.max_bytes)
    )
}

pub(crate) fn keys(report: &Report) -> String {
    let certificate = report
        .certificate_days_left
        .map_or("no certificate".to_owned(), |days| format!("certificate {days:.0} days left"));
    match &report.bundle {
        Some(bundle) => {
            format!("{certificate}, bundle {} of {} {:.0} days left", bundle.version, bundle.sandbox, bundle.days_left)
        }
        None => format!("{certificate}, no bundle"),
    }
}

fn in_line(device: &DeviceReport) -> String {
    let state = match &device.reason {
        Some(reason) => format!("{}: {reason}", device.state),
        None => device.state.clone(),
    };
    let newest = device.newest_age_seconds.map_or("never read".to_owned(), |age| format!("newest {age:.1} s old"));
    format!(
        "device   {}: {state}; {} readings, {} bad, {} slots missed, {newest}",
        device.name, device.readings, device.bad_readings, device.missed_slots
    )
}

fn dataset_line(dataset: &DatasetReport) -> String {
    let state = match &dataset.denied {
        Some(why) => format!("denied: {why}"),
        None => format!("for {}", plural(dataset.recipients, "recipient")),
    };
    let newest =
        dataset.newest_acknowledged_age_seconds.map_or("none yet".to_owned(), |age| format!("newest {age:.1} s old"));
    format!(
        "dataset  {}: {state}; {} read, {} kept, {} durable, {} acknowledged ({newest}), {} gaps",
        dataset.id, dataset.read, dataset.kept, dataset.accepted_readings, dataset.acknowledged_readings, dataset.gaps
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_red_is_a_failure() {
        assert_eq!([Light::Green, Light::Amber, Light::Red].map(exit_code), [0, 0, 69]);
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        let told = [0, 59, 60, 3599, 3600, 11_220, 86_400, 1_047_600].map(duration);
        assert_eq!(told, ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "3 h 7 min", "1 d 0 h", "12 d 3 h"]);
    }
}
