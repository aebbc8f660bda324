//! Writes down which crates are linked into the program, so that it can say so itself (`lingate sbom`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let top =
        Path::new(&variable("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two levels below the top").to_owned();
    let lock = top.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed={}", top.join("Cargo.toml").display());
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    fs::write(out.join("tree.txt"), tree()).expect("the folder of the build can be written");
    fs::write(out.join("lock.txt"), checksums(&fs::read_to_string(lock).expect("Cargo.lock is committed")))
        .expect("the folder of the build can be written");
    fs::write(out.join("target.txt"), variable("TARGET")).expect("the folder of the build can be written");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo sets {name}: {error}"))
}

/// A line each: depth, `|`, name, version, `|`, licence. Procedural macros and what only builds or tests are not linked.
fn tree() -> String {
    let arguments = ["tree", "--locked", "--offline", "--package", "lingate", "--edges", "normal,no-proc-macro"];
    let shape = ["--prefix", "depth", "--format", "|{p}|{l}", "--target"];
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(arguments).args(shape).arg(variable("TARGET"));
    let said = cargo.output().unwrap_or_else(|error| panic!("cargo tree: {error}"));
    assert!(said.status.success(), "cargo tree: {}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).expect("cargo writes UTF-8");
    // Where the sources lie on the builder's machine is nobody's business, and differs from machine to machine.
    let line = |line: &str| {
        let mut parts = line.splitn(3, '|');
        let (depth, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let named: Vec<&str> = package.split_whitespace().take(2).collect();
        let licence = parts.next().unwrap_or_default().trim_end_matches(" (*)");
        format!("{depth}|{}|{licence}\n", named.join(" "))
    };
    text.lines().map(line).collect()
}

/// A line each: name, version, SHA-256 of the published crate.
fn checksums(lock: &str) -> String {
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let line = |package: &str| {
        Some(format!("{} v{} {}\n", field(package, "name")?, field(package, "version")?, field(package, "checksum")?))
    };
    lock.split("[[package]]").filter_map(line).collect()
}
