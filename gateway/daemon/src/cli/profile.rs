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
