//! What was set aside on disk, by the real binary's commands: list, export, retry.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::process::Output;

use lingate_buffer::{Buffer, RealDisk, Settings as BufferSettings};
use lingate_e2e::{Rig, Settings, record};
use lingate_model::{Priority, UtcMicros};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, PlantDevice};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_listed_exported_byte_for_byte_and_asked_for_again() {
    let spec = DeviceSpec::new("load-1", Kind::Numbered(1), Mode::SelfDescribing);
    let device = PlantDevice::start_at(spec, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let devices = device.toml(&Labels::new("ds-extr-07"));
    rig.enroll(&Settings { broker_port: 9, devices, flush: "{ age = \"1s\" }", commit: "50ms" }).unwrap();
    let config = ["--config", "lingate.toml"];
    let quarantine = |words: &[&str]| rig.lingate(&[&["buffer", "quarantine"], words, &config].concat()).unwrap();
    let before = quarantine(&["list"]);
    assert!(!before.status.success() && said(&before).contains("no daemon with this configuration has run yet"));

    let buffer = rig.path().join("state/buffer");
    let (mut stored, _) = Buffer::open(RealDisk::open(&buffer).unwrap(), BufferSettings::new(256 << 20)).unwrap();
    let sealed: Vec<_> = (0..3).map(|seq| record(seq, 300, 12)).collect();
    for sealed in &sealed {
        stored.append(Priority::Normal, sealed).unwrap();
    }
    stored.commit(UtcMicros(1_772_352_000_000_000)).unwrap();
    let ids: Vec<_> = (0..3).map(|_| stored.next(Priority::Normal).unwrap().unwrap().0).collect();
    stored.quarantine(ids[1], 0x99, UtcMicros(1_772_352_060_000_000)).unwrap();
    drop(stored);

    let listed = said(&quarantine(&["list"]));
    assert!(listed.contains("normal-00000000000000000001") && listed.contains("payload format invalid"), "{listed}");
    assert!(listed.contains("2026-03-01T08:01:00Z") && listed.lines().count() == 2, "{listed}");
    let exported = quarantine(&["export", "normal-1", "--output", "record.cose"]);
    assert!(exported.status.success(), "{}", said(&exported));
    assert_eq!(fs::read(rig.path().join("record.cose")).unwrap(), sealed[1].bytes());
    let stranger = quarantine(&["export", "normal-2", "--output", "other.cose"]);
    assert!(
        !stranger.status.success() && said(&stranger).contains("not in the quarantine: normal-"),
        "{}",
        said(&stranger)
    );
    assert!(!rig.path().join("other.cose").exists());

    let retried = said(&quarantine(&["retry", "normal-1"]));
    assert!(retried.contains("1 of 1 are tried once more"), "{retried}");
    let asked = fs::read_to_string(rig.path().join("state/retry")).unwrap();
    assert_eq!(asked, "normal-00000000000000000001\n");
    let whole = rig.lingate(&[&["buffer", "verify"], &config[..]].concat()).unwrap();
    assert!(whole.status.success() && said(&whole).contains("3 records are whole, 0 are damaged"), "{}", said(&whole));
}
