use std::process::ExitCode;

use lingate_drivers::modbus::profile::PROFILES;

use crate::cli::exit::{Code, Failed};

pub(crate) fn profile(name: Option<&str>) -> Result<ExitCode, Failed> {
    let Some(name) = name else {
        PROFILES.iter().for_each(|profile| println!("{:<28}{}", profile.name, profile.about));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(profile) = PROFILES.iter().find(|profile| profile.name == name) else {
        let known: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        return Err(Failed::new(Code::Usage, format!("there is no profile {name:?}; known: {}", known.join(", "))));
    };
    print!("{}", profile.toml);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample;

    #[test]
    fn every_profile_is_a_table_that_the_configuration_takes() {
        for profile in PROFILES {
            let labelled = profile
                .toml
                .replace("# dataset = \"\"\n# class = \"\"", "dataset = \"ds-extr-07\"\nclass = \"general\"");
            for device in [profile.toml, &labelled] {
                if let Err(problems) = lingate_config::load("profile.toml", &sample::complete(device)) {
                    panic!("{}: {problems}", profile.name);
                }
            }
        }
    }
}
