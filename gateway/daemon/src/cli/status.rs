use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lingate_config::HealthListen;

use crate::cli::exit::{Code, Failed};
use crate::headline::{Light, headline};
use crate::language::Language;
use crate::prepare::load;
use crate::report::{DatasetReport, DeviceReport, Report};
use crate::words::{bytes, plural};

/// Where the daemon listens if the configuration does not say it.
const DEFAULT: &str = "http://127.0.0.1:9273";
const PATIENCE: Duration = Duration::from_secs(5);
/// A gateway with 10,000 devices reports about 3 MiB.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Exit code 0 when data arrives, even if not all of it; 69 when none does, or when no daemon answered.
pub(crate) fn status(json: bool, config: Option<&Path>, url: Option<&str>) -> Result<ExitCode, Failed> {
    let door = match (config, url) {
        (_, Some(url)) => Door::parse(url)?,
        (Some(config), None) => Door::of(&load(config).map_err(|refused| Failed::refused(config, &refused))?.health),
        (None, None) => Door::parse(DEFAULT)?,
    };
    let body = door.ask("/status").map_err(|error| {
        let what =
            format!("no lingate answers at {}: {error}; is it running? Try `systemctl status lingate`", door.name());
        Failed::new(Code::Unavailable, what)
    })?;
    let report: Report = serde_json::from_slice(&body)
        .map_err(|error| Failed::new(Code::Unavailable, format!("{} is no lingate: {error}", door.name())))?;
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

enum Door {
    Tcp(String),
    Unix(PathBuf),
}

impl Door {
    fn parse(url: &str) -> Result<Door, Failed> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Door::Unix(path.into()));
        }
        match url.strip_prefix("http://") {
            Some(address) => Ok(Door::Tcp(address.split('/').next().unwrap_or_default().to_owned())),
            None => Err(Failed::new(Code::Usage, format!("{url:?} is neither http://HOST:PORT nor unix:/PATH"))),
        }
    }

    fn of(listen: &HealthListen) -> Door {
        match listen {
            HealthListen::Tcp(address) => Door::Tcp(address.to_string()),
            HealthListen::Unix(path) => Door::Unix(path.clone()),
        }
    }

    fn name(&self) -> String {
        match self {
            Door::Tcp(address) => format!("http://{address}"),
            Door::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The body of a successful answer.
    fn ask(&self, path: &str) -> io::Result<Vec<u8>> {
        match self {
            Door::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(stream, path, address)
            }
            Door::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(stream, path, "localhost")
            }
        }
    }
}

/// HTTP/1.0, so that the answer ends with the connection and is never chunked.
fn ask(mut stream: impl Read + Write, path: &str, host: &str) -> io::Result<Vec<u8>> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(|| bad("not an HTTP answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(answer.split_off(end + 4)),
        Some(code) => Err(bad(&format!("HTTP status {code}"))),
        None => Err(bad("not an HTTP answer")),
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
        "gateway  {} of {}, lingate {}, up {} s, clock {}",
        report.gateway, report.tenant, report.version, report.uptime_seconds, report.clock
    );
    let _ = writeln!(text, "link     {}", link(report));
    let _ = writeln!(text, "buffer   {}", buffer(report));
    let _ = writeln!(text, "keys     {}", keys(report));
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

fn link(report: &Report) -> String {
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

fn keys(report: &Report) -> String {
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
}
