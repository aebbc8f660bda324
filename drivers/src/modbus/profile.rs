//! Device tables of common devices, to paste and to label.
//!
//! Promises: every register of a named product stands in the manual that the file cites; a file without such a source says
//! on its first line that it is a template of no product. No point has a dataset or a class.

/// A device table with its points.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub name: &'static str,
    pub about: &'static str,
    pub toml: &'static str,
}

macro_rules! profiles {
    ($($name:literal: $about:literal;)*) => {
        pub const PROFILES: &[Profile] =
            &[$(Profile { name: $name, about: $about, toml: include_str!(concat!("profiles/", $name, ".toml")) }),*];
    };
}

profiles! {
    "eastron-sdm630": "three-phase energy meter, from its register list";
    "eurotherm-3200": "temperature controller, from its engineering handbook";
    "melt-pressure-transmitter": "template, of no product";
    "vacuum-gauge-controller": "template, of no product";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_cites_its_manual_or_is_a_template() {
        for Profile { name, about, toml } in PROFILES {
            let (first, rest) = toml.split_once('\n').unwrap_or_default();
            let is_template = first.starts_with("# TEMPLATE") && first.contains("of no particular make");
            assert!(is_template != rest.starts_with("# From: \""), "{name}");
            assert_eq!(is_template, about.starts_with("template"), "{name}");
            assert!(!toml.contains("\ndataset") && !toml.contains("\nclass"), "{name}: denied until a person labels it");
        }
    }
}
