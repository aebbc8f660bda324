use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lingate_drivers::Site;
use lingate_drivers::modbus::probe::{
    Answer, Blocks, Found, ProbeError, Target, advice, blocks, exception, identify, read, unit,
};
use lingate_model::Clock;

use super::show;
use crate::cli::exit::{Code, Failed};
use crate::cli::progress::Progress;
use crate::clock::SystemClock;

#[derive(Args)]
pub(crate) struct Options {
    /// Host, host:port or the whole path of a serial port
    address: String,
    #[arg(long, value_parser = ["tcp", "udp", "tls", "rtu", "ascii", "rtu-over-tcp", "ascii-over-tcp"])]
    /// tcp, or rtu for a serial port
    transport: Option<String>,
    #[arg(long, default_value_t = 1)]
    unit: u8,
    /// As in the configuration: holding:102, input:0x10, coil:3, or 40103 counted from one
    #[arg(long, default_value = "holding:0")]
    register: String,
    /// Registers or bits
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=125))]
    count: u16,
    /// Asks for vendor, product and revision
    #[arg(long, conflicts_with = "scan")]
    identify: bool,
    /// Which units answer, and which registers they have
    #[arg(long)]
    scan: bool,
    /// With --scan: the units that are asked
    #[arg(long, value_name = "FROM-TO", default_value = "1-16", value_parser = parse_range::<u8>)]
    units: RangeInclusive<u8>,
    /// With --scan: the addresses that are asked for in each area
    #[arg(long, value_name = "FROM-TO", default_value = "0-127", value_parser = parse_range::<u16>)]
    range: RangeInclusive<u16>,
    /// For programs
    #[arg(long)]
    json: bool,
    #[arg(long, default_value = "1s")]
    timeout: String,
    /// Between two requests
    #[arg(long, default_value = "50ms")]
    pause: String,
    #[arg(long)]
    baud: Option<u32>,
    #[arg(long, value_parser = ["none", "even", "odd"])]
    parity: Option<String>,
    #[arg(long)]
    data_bits: Option<u8>,
    #[arg(long)]
    stop_bits: Option<u8>,
    #[arg(long, value_parser = ["off", "kernel", "kernel-inverted"])]
    rs485: Option<String>,
    /// With tls: certificates and key in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

const AREAS: [&str; 4] = ["holding", "input", "coil", "discrete"];

/// Exit code 0: it answered; 69: it did not, or refused; 64: an option is wrong.
pub(crate) fn probe(options: &Options) -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(Code::Io, format!("the system refuses: {error}")))?;
    runtime.block_on(async {
        let asker = Asker::new(options);
        match (options.scan, options.identify) {
            (true, _) => asker.scan().await,
            (_, true) => asker.identify().await,
            _ => asker.read().await,
        }
    })
}

struct Asker<'a> {
    options: &'a Options,
    target: Target,
    site: Site,
    clock: Arc<dyn Clock>,
}

impl<'a> Asker<'a> {
    fn new(options: &'a Options) -> Asker<'a> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let site =
            Site { secret: Arc::new(crate::files::secret), clock: Arc::clone(&clock), ..Site::bare(PathBuf::new()) };
        Asker { options, target: options.target(), site, clock }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    async fn read(&self) -> Result<ExitCode, Failed> {
        let Options { register, count, json, .. } = self.options;
        let answer = read(&self.target, register, *count, &self.site).await.map_err(|error| self.failed(&error))?;
        let unit = self.target.unit;
        let text = match answer {
            Answer::Registers(words) if *json => show::registers_json(register, unit, &words),
            Answer::Registers(words) => show::registers(register, unit, &words),
            Answer::Bits(bits) if *json => show::bits_json(register, unit, &bits),
            Answer::Bits(bits) => show::bits(register, unit, &bits),
            Answer::Refused(code) => {
                return Err(Failed::new(Code::Unavailable, format!("{register} of unit {unit}: {}", exception(code))));
            }
        };
        println!("{}", text.trim_end());
        Ok(ExitCode::SUCCESS)
    }

    async fn identify(&self) -> Result<ExitCode, Failed> {
        let patience = Duration::from_secs(5);
        let register = &self.options.register;
        let identity = identify(&self.target, register, patience, &self.site, self.clock()).await;
        let Some(identity) = identity.map_err(|error| self.failed(&error))? else {
            let what = "the device does not tell who it is: most devices do not know function 43/14";
            return Err(Failed::new(Code::Unavailable, what));
        };
        match self.options.json {
            true => println!("{}", show::identity_json(&identity)),
            false => println!(
                "vendor    {}\nproduct   {}\nrevision  {}",
                identity.vendor, identity.product, identity.revision
            ),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What is found is printed at once: Ctrl-C loses nothing.
    async fn scan(&self) -> Result<ExitCode, Failed> {
        let units = self.options.units.clone();
        let (mut progress, mut found_any, mut unreached) = (Progress::new(), false, Vec::new());
        for number in units.clone() {
            progress.say(&format!("asking unit {number} of {} to {}{}", units.start(), units.end(), self.rest(number)));
            let target = Target { unit: number, ..self.target.clone() };
            match unit(&target, &self.options.register, &self.site).await {
                Ok(Found::Silent) => {}
                Ok(Found::NobodyBehindGateway(code)) => unreached.push((number, code)),
                Ok(found) => {
                    found_any = true;
                    self.scan_unit(&target, found, &mut progress).await;
                }
                // Where nobody listens, nobody will.
                Err(error) if number == *units.start() => return Err(self.failed(&error)),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        progress.clear();
        if !self.options.json {
            show::unreached(&unreached).into_iter().for_each(|line| println!("{line}"));
        }
        if found_any { Ok(ExitCode::SUCCESS) } else { Err(self.nobody(!unreached.is_empty())) }
    }

    /// Of a scan in which no other unit answers.
    fn rest(&self, number: u8) -> String {
        let left = u32::from(self.options.units.end().saturating_sub(number)) + 1;
        let each =
            lingate_drivers::settings::parse_duration(&self.options.timeout).map(|time| time.as_secs_f64() + 0.1);
        each.map_or_else(String::new, |each| format!(", {:.0} s at most for silent ones", each * f64::from(left)))
    }

    async fn scan_unit(&self, target: &Target, found: Found, progress: &mut Progress) {
        let mut areas: Vec<(&str, Blocks)> = Vec::new();
        for area in AREAS {
            progress.say(&format!("unit {} answers, asking for its {area} area, a minute at most", target.unit));
            let blocks = blocks(target, area, self.options.range.clone(), &self.site, self.clock()).await;
            areas.push((area, blocks.unwrap_or_default()));
        }
        progress.clear();
        match self.options.json {
            true => println!("{}", show::unit_json(target.unit, &areas)),
            false => print!("{}", show::unit(target.unit, found, &areas, &self.options.range)),
        }
    }

    fn nobody(&self, is_behind_gateway: bool) -> Failed {
        let (from, to) = (self.options.units.start(), self.options.units.end());
        let hint = match (is_behind_gateway, self.options.is_port()) {
            (true, _) => "only the gateway did; are the devices powered, is the unit beyond (--units 1-247)?",
            (_, true) => "are speed and parity right, is the line powered, is the unit beyond (--units 1-247)?",
            (_, false) => "is the unit beyond (--units 0-255), does a converter speak --transport rtu-over-tcp?",
        };
        Failed::new(Code::Unavailable, format!("none of the units {from} to {to} answered; {hint}"))
    }

    fn failed(&self, error: &ProbeError) -> Failed {
        let code = if matches!(error, ProbeError::Link(_)) { Code::Unavailable } else { Code::Usage };
        let advice = advice(&self.target, error);
        let separator = if advice.is_empty() { "" } else { "; " };
        Failed::new(code, format!("{}: {error}{separator}{advice}", self.options.address))
    }
}

impl Options {
    fn is_port(&self) -> bool {
        self.address.starts_with('/')
    }

    fn target(&self) -> Target {
        let is_port = self.is_port();
        let transport = self.transport.as_deref().unwrap_or(if is_port { "rtu" } else { "tcp" });
        let text = |text: &str| toml_text(text);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| text(&path.to_string_lossy()));
        let keys = [
            (if is_port { "port" } else { "address" }, Some(text(&self.address))),
            ("timeout", Some(text(&self.timeout))),
            ("pause", Some(text(&self.pause))),
            ("baud", self.baud.map(|baud| baud.to_string())),
            ("parity", self.parity.as_deref().map(text)),
            ("data_bits", self.data_bits.map(|bits| bits.to_string())),
            ("stop_bits", self.stop_bits.map(|bits| bits.to_string())),
            ("rs485", self.rs485.as_deref().map(text)),
            ("ca", path(&self.ca)),
            ("certificate", path(&self.certificate)),
            ("key", path(&self.key)),
        ];
        let keys = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        Target { driver: format!("modbus-{transport}"), keys, unit: self.unit }
    }
}

/// JSON's texts are TOML's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn parse_range<T: std::str::FromStr + PartialOrd>(text: &str) -> Result<RangeInclusive<T>, String> {
    let parse = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is no number of the range"));
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (T, T) = (parse(from)?, parse(to)?);
    if from > to {
        return Err("the range ends before it begins".to_owned());
    }
    Ok(from..=to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_number_or_two() {
        assert_eq!(parse_range::<u8>("1-247"), Ok(1..=247));
        assert_eq!(parse_range::<u16>("7"), Ok(7..=7));
        for wrong in ["", "9-1", "1-256", "a-b", "1-2-3"] {
            assert!(parse_range::<u8>(wrong).is_err(), "{wrong}");
        }
    }
}
