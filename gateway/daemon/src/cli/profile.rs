use std::process::ExitCode;

use lingate_drivers::modbus::profile::PROFILES;
use serde_json::json;

use crate::cli::exit::{Code, Failed};
use crate::cli::told::tell;

pub(crate) fn profile(name: Option<&str>, json: bool) -> Result<ExitCode, Failed> {
    let Some(name) = name else {
        let lines = PROFILES.iter().map(|profile| format!("{:<28}{}\n", profile.name, profile.about));
        let known = PROFILES.iter().map(|profile| json!({"name": profile.name, "about": profile.about}));
        tell(json, &lines.collect::<String>(), json!({"profiles": known.collect::<Vec<_>>()}));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(profile) = PROFILES.iter().find(|profile| profile.name == name) else {
        let known: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        return Err(Failed::new(Code::Usage, format!("there is no profile {name:?}; known: {}", known.join(", "))));
    };
    tell(json, profile.toml, json!({"name": profile.name, "about": profile.about, "toml": profile.toml}));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample;

    #[test]
    fn every_profile_passes_the_check_with_one_point_labelled_and_with_all() {
        let (open, labelled) = ("# dataset = \"\"\n# class = \"\"", "dataset = \"ds-extr-07\"\nclass = \"general\"");
        for profile in PROFILES {
            for device in [profile.toml.replacen(open, labelled, 1), profile.toml.replace(open, labelled)] {
                if let Err(problems) = lingate_config::load("profile.toml", &sample::complete(&device)) {
                    panic!("{}: {problems}", profile.name);
                }
            }
        }
    }
}
