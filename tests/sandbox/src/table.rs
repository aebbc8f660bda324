//! The report for people.

use std::fmt;

use crate::report::{DatasetReport, DescribedDevice, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.datasets.iter().try_for_each(|dataset| write!(f, "{dataset}"))?;
        if self.datasets.is_empty() {
            writeln!(f, "nothing was received")?;
        }
        if self.held > 0 {
            writeln!(f, "waiting for their KEY or catalogue: {} records", self.held)?;
        }
        for (reason, count) in &self.rejected {
            writeln!(f, "not taken, {reason}: {count}")?;
        }
        if self.alarm_count > 0 {
            writeln!(f, "ALARMS: {}", self.alarm_count)?;
        }
        self.alarms.iter().try_for_each(|alarm| writeln!(f, "  {alarm}"))
    }
}

impl fmt::Display for DatasetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} from {}", self.dataset, self.gateways.join(", "))?;
        line(f, "epochs", format_args!("{}, closed {}", self.epochs, self.closed_epochs))?;
        line(f, "records", format_args!("{}, {} bytes, duplicates {}", self.records, self.bytes, self.duplicates))?;
        line(f, "readings", format_args!("{}, of bad quality {}", self.readings, self.bad_readings))?;
        if let (Some(first), Some(last)) = (&self.first_time, &self.last_time) {
            line(f, "time", format_args!("{first} to {last}"))?;
        }
        line(f, "missing", format_args!("holes {}, declared {}", self.holes, self.declared_records))?;
        if self.missing_epochs + self.declared_yet_received > 0 {
            let (epochs, yet) = (self.missing_epochs, self.declared_yet_received);
            line(f, "", format_args!("whole epochs {epochs}, declared and yet received {yet}"))?;
        }
        for (cause, readings) in &self.gap_readings {
            line(f, "gap", format_args!("{cause}, {readings} readings"))?;
        }
        line(f, "order", format_args!("violations {}, wrong roots {}", self.order_violations, self.wrong_roots))?;
        for step in &self.steps {
            let suppressed = step.seen.saturating_sub(step.kept);
            line(f, &format!("step M{}", step.step), format_args!("seen {}, suppressed {suppressed}", step.seen))?;
        }
        let verdict = if self.counts_agree { "agrees" } else { "DOES NOT AGREE" };
        let (read, kept, suppressed) = (self.read, self.kept, self.suppressed);
        line(f, "sum", format_args!("read {read} = kept {kept} + suppressed {suppressed}: {verdict}"))?;
        self.devices.iter().try_for_each(|device| line(f, "device", format_args!("{}", in_words(device))))?;
        if self.alarms > 0 {
            line(f, "ALARMS", format_args!("{}", self.alarms))?;
        }
        Ok(())
    }
}

/// The device's own words, without what could move the cursor of a terminal.
fn in_words(device: &DescribedDevice) -> String {
    let DescribedDevice { vendor, product, revision, security, .. } = device;
    let words: Vec<&str> =
        [vendor, product, revision].into_iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
    let security = if security.is_empty() { String::new() } else { format!(", security {security}") };
    let text = format!("{}: {}{security}", device.device, words.join(" "));
    text.chars().filter(|c| !c.is_control()).collect()
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "  {name:<10}{text}")
}
