//! How long a configuration takes to be read and judged, and how much memory that needs at its peak:
//! `cargo bench -p lingate-config --bench million`. Each size runs in a process of its own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench fails by panic and looks at the clock")]

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use lingate_config::{REFERENCE, load};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    if let Some(count) = std::env::var("LINGATE_POINTS").ok().and_then(|count| count.parse().ok()) {
        return measure(count);
    }
    for count in SIZES {
        let done = Command::new(std::env::current_exe().unwrap()).env("LINGATE_POINTS", count.to_string()).status();
        assert!(done.unwrap().success(), "{count} points");
    }
}

fn measure(count: usize) {
    let text = configuration(count);
    let before = Instant::now();
    let plan = load("lingate.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
    let took = before.elapsed().as_secs_f64();
    assert_eq!(plan.export.points.len(), count);
    println!(
        "{count:>9} points in {:>3} devices, {:>3} MiB: {took:.2} s, {:.2} us a point, at most {} MiB of memory",
        plan.devices.len(),
        text.len() >> 20,
        took * 1e6 / count as f64,
        peak_mib()
    );
}

/// 2,000 points of each device and 10,000 of each dataset.
fn configuration(count: usize) -> String {
    let (head, _) = REFERENCE.split_once("[[dataset]]").unwrap();
    let mut text = head.to_owned();
    for dataset in 0..count.div_ceil(10_000) {
        write!(text, "[[dataset]]\nid = \"ds-{dataset}\"\npurpose = \"urn:x\"\nclass = \"general\"\n").unwrap();
    }
    for number in 0..count {
        if number % 2_000 == 0 {
            write!(text, "[[device]]\nname = \"d{number}\"\ndriver = \"modbus-tcp\"\nevery = \"1s\"\n").unwrap();
            write!(text, "equipment = \"acme/line\"\naddress = \"10.0.0.1\"\nunit = {}\n", number / 2_000 % 200)
                .unwrap();
        }
        let (register, dataset) = (number % 2_000, number / 10_000);
        write!(text, "[[device.point]]\nname = \"p{number}\"\nregister = \"holding:{register}\"\n").unwrap();
        write!(text, "type = \"i16\"\nscale = 0.1\ndataset = \"ds-{dataset}\"\nclass = \"general\"\n").unwrap();
    }
    text
}

/// Of this process so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) >> 10
}
