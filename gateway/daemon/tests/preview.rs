#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! `lingate preview` leaves no copy of a device's keys behind, however it is ended.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Plant;

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
#[allow(clippy::disallowed_methods, reason = "a process outside is waited for")]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_preview_that_is_told_to_end_removes_its_copy_of_the_keys() {
    for signal in ["-TERM", "-HUP", "-INT"] {
        let plant = Plant::new();
        fs::create_dir_all(plant.path("state/devices/opcua/own")).unwrap();
        plant.write("state/devices/opcua/own/key.pem", b"a key", 0o600);
        let temporary = plant.path("tmp");
        fs::create_dir(&temporary).unwrap();
        let mut preview = Command::new(env!("CARGO_BIN_EXE_lingate"))
            .args(["preview", "--seconds", "600", "--config", plant.path("lingate.toml").to_str().unwrap()])
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let key = || names(&temporary).first().map(|name| temporary.join(name).join("opcua/own/key.pem"));
        wait_for("the copy", || key().is_some_and(|key| key.exists()));
        let told = Command::new("kill").args([signal, &preview.id().to_string()]).status().unwrap();
        assert!(told.success());
        preview.wait().unwrap();
        assert_eq!(names(&temporary), [""; 0], "{signal}");
    }
}
