use std::process::ExitCode;

use lingate_drivers::{DRIVERS, driver};
use serde_json::json;

use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;

const HEAD: &str = include_str!("sample.toml");

pub(crate) fn sample(kind: Option<&str>, json: bool) -> Result<ExitCode, Failed> {
    let Some(kind) = kind else {
        tell(json, &kinds().join("\n"), json!({"drivers": kinds()}));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(driver) = driver(kind) else {
        let known = kinds().join(", ");
        return Err(Failed::new(Code::Usage, format!("there is no driver {kind:?}; known: {known}")));
    };
    let sample = complete(driver.sample);
    tell(json, &sample, json!({"driver": kind, "toml": &sample}));
    Ok(ExitCode::SUCCESS)
}

fn kinds() -> Vec<&'static str> {
    DRIVERS.iter().map(|driver| driver.kind).collect()
}

/// With everything else that a configuration needs.
pub(crate) fn complete(devices: &str) -> String {
    format!("{HEAD}{devices}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drivers_sample_is_a_complete_configuration() {
        for driver in DRIVERS {
            if let Err(problems) = lingate_config::load("sample.toml", &complete(driver.sample)) {
                panic!("{}: {problems}", driver.kind);
            }
        }
    }
}
