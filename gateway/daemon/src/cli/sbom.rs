use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::exit::Failed;
use crate::components::{Component, components, cyclonedx};

/// The whole list without a name.
pub(crate) fn sbom(name: Option<&str>, json: bool) -> Result<ExitCode, Failed> {
    let Some(name) = name else {
        return print(&format!("{:#}\n", cyclonedx())).map(|()| ExitCode::SUCCESS);
    };
    let found: Vec<&Component> = components().values().filter(|component| component.name == name).collect();
    let text = match (json, found.is_empty()) {
        (true, _) => format!("{}\n", as_json(name, &found)),
        (false, true) => format!("{name} is not linked into this program\n"),
        (false, false) => found.iter().map(|component| in_words(component)).collect(),
    };
    print(&text)?;
    Ok(if found.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// `ring 0.17.14 (Apache-2.0 AND ISC), used by lingate 0.1.0, rustls 0.23.46`
fn in_words(component: &Component) -> String {
    let Component { name, version, licence, .. } = component;
    let users = users(component).join(", ");
    let used = if users.is_empty() { String::new() } else { format!(", used by {users}") };
    format!("{name} {version} ({licence}){used}\n")
}

fn as_json(name: &str, found: &[&Component]) -> serde_json::Value {
    let one = |component: &&Component| {
        let Component { version, licence, sha256, .. } = component;
        json!({ "version": version, "license": licence, "sha256": sha256, "used_by": users(component) })
    };
    json!({ "name": name, "linked": found.iter().map(one).collect::<Vec<_>>() })
}

fn users(component: &Component) -> Vec<String> {
    let id = format!("{} v{}", component.name, component.version);
    let users = components().values().filter(|user| user.uses.contains(id.as_str()));
    users.map(|user| format!("{} {}", user.name, user.version)).collect()
}

fn print(text: &str) -> Result<(), Failed> {
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads only the first lines has them.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::io("write to", Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}
