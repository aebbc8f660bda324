use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use lingate_drivers::modbus::import::{Format, Import, import as convert};
use serde_json::json;

use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;
use crate::words::plural;

/// A register list of a hundred thousand lines has about 10 MiB.
const LARGEST_FILE: u64 = 64 << 20;

/// The tables go to standard output, how much was converted to standard error.
pub(crate) fn import(file: &Path, from: &str, json: bool) -> Result<ExitCode, Failed> {
    let text = read(file)?;
    let format = match Format::NAMES.iter().find(|(name, _)| *name == from) {
        Some((_, format)) => *format,
        None => Format::of(&text),
    };
    let name = file.file_stem().map_or("device".into(), |stem| stem.to_string_lossy());
    let imported = convert(&text, format, &name, &lingate_config::ucum_of)
        .map_err(|error| Failed::new(Code::Configuration, format!("{}: {error}", file.display())))?;
    let refusal = imported.first_refusal.as_ref().map(|(name, why)| json!({"name": name, "why": why}));
    let value = json!({"toml": imported.toml, "points": imported.points, "refused": imported.refused,
        "first_refusal": refusal, "ignored": imported.ignored});
    tell(json, &imported.toml, value);
    if !imported.ignored.is_empty() {
        eprintln!("columns that mean nothing here and were left out: {}", imported.ignored.join(", "));
    }
    if imported.points == 0 {
        return Err(Failed::new(Code::Configuration, nothing(file, &imported)));
    }
    eprintln!(
        "{} converted, {} left as comments; none of them leaves the gateway before it has a dataset and a class",
        plural(imported.points, "point"),
        imported.refused
    );
    Ok(ExitCode::SUCCESS)
}

fn nothing(file: &Path, imported: &Import) -> String {
    let first = imported.first_refusal.as_ref().map_or_else(String::new, |(name, why)| format!("; {name}: {why}"));
    let refused = plural(imported.refused, "point");
    format!("{}: nothing was converted, {refused} left as comments with their reasons{first}", file.display())
}

fn read(path: &Path) -> Result<String, Failed> {
    let io = |error: &std::io::Error| Failed::io("read", path, error);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| io(&error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Failed::new(Code::Configuration, format!("{} is larger than 64 MiB", path.display())));
    }
    String::from_utf8(bytes).map_err(|_| {
        let what = format!(
            "{} is not UTF-8; save it as \"CSV UTF-8\", or convert it: `iconv -f GB18030 -t UTF-8` (CP1252 for Western \
             Europe)",
            path.display()
        );
        Failed::new(Code::Configuration, what)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::cli::sample;

    #[test]
    fn what_was_imported_passes_the_check_with_one_point_labelled_and_with_all() {
        let list = "name,register,type,scale,unit\nzone,holding:1,i16,0.1,°C\nspeed,40201,f32,,Stk\nflow,2,,,m³/h\n";
        let imported = convert(list, Format::of(list), "press", &lingate_config::ucum_of).unwrap();
        assert!(imported.toml.contains("unit = \"Cel\"\n"), "{}", imported.toml);
        assert!(imported.toml.contains("(write unit = "), "nobody knows what Stk is: {}", imported.toml);
        let (open, labelled) = ("# dataset = \"\"\n# class = \"\"", "dataset = \"ds-extr-07\"\nclass = \"general\"");
        for devices in [imported.toml.replacen(open, labelled, 1), imported.toml.replace(open, labelled)] {
            if let Err(problems) = lingate_config::load("imported.toml", &sample::complete(&devices)) {
                panic!("{devices}\n{problems}");
            }
        }
    }

    #[test]
    fn a_list_of_which_nothing_is_converted_fails_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags.csv");
        std::fs::write(&path, "name,register,area,type\nzone,1,holding,COMPLEX\nother,2,holding,COMPLEX\n").unwrap();
        let failed = import(&path, "auto", false).unwrap_err();
        assert_eq!(failed.code, Code::Configuration);
        assert!(failed.message.contains("nothing was converted, 2 points"), "{}", failed.message);
        assert!(failed.message.ends_with("zone: its type \"COMPLEX\" is not known here"), "{}", failed.message);
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tags.csv");
        std::fs::write(&path, b"name,register\n\xB2\xE2,1\n").unwrap();
        assert!(import(&path, "auto", false).unwrap_err().message.contains("not UTF-8"));
        assert_eq!(import(&folder.path().join("none"), "auto", false).unwrap_err().code, Code::Io);
    }
}
