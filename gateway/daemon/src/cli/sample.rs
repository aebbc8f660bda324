use std::process::ExitCode;

use lingate_drivers::{DRIVERS, driver};

use crate::cli::exit::{Code, Failed};

const HEAD: &str = include_str!("sample.toml");

pub(crate) fn sample(kind: Option<&str>) -> Result<ExitCode, Failed> {
    let Some(kind) = kind else {
        println!("{}", kinds().join("\n"));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(driver) = driver(kind) else {
        let known = kinds().join(", ");
        return Err(Failed::new(Code::Usage, format!("there is no driver {kind:?}; known: {known}")));
    };
    print!("{}", complete(driver.sample));
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
