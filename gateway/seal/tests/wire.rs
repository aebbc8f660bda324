//! The checked-in types are what the proto file says, without any compiler on the machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Set to write the generated file anew after a change of the proto file.
const REGENERATE: &str = "LINGATE_REGENERATE_WIRE";

#[test]
fn the_generated_types_are_those_of_the_proto_file() {
    let path = crate_folder().join("src/wire/generated.rs");
    let generated = generate();
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "src/wire/generated.rs differs from proto/lingate.v1.proto: run this test with {REGENERATE}=1"
    );
}

fn generate() -> String {
    let folder = crate_folder().join("proto");
    let descriptors = protox::compile(["lingate.v1.proto"], [&folder]).unwrap();
    let mut config = prost_build::Config::new();
    config.btree_map(["."]).format(true);
    let secret =
        ["Column", "Block", "Run", "Lineage", "Datum", "LocalizedText", "Array", "Structure", "Field", "Opaque"];
    config.skip_debug(secret.map(|message| format!(".lingate.v1.{message}")));
    let module = prost_build::Module::from_protobuf_package_name("lingate.v1");
    let requests = descriptors.file.into_iter().map(|file| (module.clone(), file)).collect();
    let generated: BTreeMap<String, String> =
        config.generate(requests).unwrap().into_iter().map(|(module, code)| (module.to_string(), code)).collect();
    generated.into_values().next().unwrap()
}

fn crate_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}
