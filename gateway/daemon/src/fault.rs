//! What is wrong with something that the configuration names: a file, a key, the bundle.

use std::fmt;

use lingate_config::{Place, Places};

/// One sentence each: what is wrong and what to do. Names files, never their contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) setting: Setting,
    pub(crate) what: String,
    pub(crate) hint: String,
    pub(crate) weight: Weight,
}

/// The setting that leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    StateDir,
    Ca,
    Crl,
    Certificate,
    Key,
    SigningKey,
    RootSha256,
    DatasetId(usize),
    DatasetPurpose(usize),
    DatasetClass(usize),
    Device(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The plant's own mistake: `run` refuses to start.
    Refuse,
    /// Something that may come back by itself is away: `run` waits for it for a while, and is to be started again.
    Await,
    /// Time or the sandbox brought it, and a file dropped while the daemon runs can mend it: `run` starts, seals
    /// nothing for what is concerned, and says so.
    Warn,
}

impl Fault {
    pub(crate) fn refuse(setting: Setting, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { setting, what: what.into(), hint: hint.into(), weight: Weight::Refuse }
    }

    pub(crate) fn away(setting: Setting, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { weight: Weight::Await, ..Fault::refuse(setting, what, hint) }
    }

    pub(crate) fn warn(setting: Setting, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { weight: Weight::Warn, ..Fault::refuse(setting, what, hint) }
    }
}

impl Setting {
    /// Where it stands in the configuration file.
    pub(crate) fn place(self, places: &Places) -> &Place {
        match self {
            Setting::StateDir => &places.state_dir,
            Setting::Ca => &places.ca,
            Setting::Crl => &places.crl,
            Setting::Certificate => &places.certificate,
            Setting::Key => &places.key,
            Setting::SigningKey => &places.signing_key,
            Setting::RootSha256 => &places.root_sha256,
            Setting::DatasetId(index) => &places.datasets[index].id,
            Setting::DatasetPurpose(index) => &places.datasets[index].purpose,
            Setting::DatasetClass(index) => &places.datasets[index].class,
            Setting::Device(index) => &places.devices[index],
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::StateDir => f.write_str("gateway.state_dir"),
            Setting::Ca => f.write_str("sandbox.ca"),
            Setting::Crl => f.write_str("sandbox.crl"),
            Setting::Certificate => f.write_str("sandbox.certificate"),
            Setting::Key => f.write_str("sandbox.key"),
            Setting::SigningKey => f.write_str("sandbox.signing_key"),
            Setting::RootSha256 => f.write_str("sandbox.root_sha256"),
            Setting::DatasetId(index) => write!(f, "dataset[{index}].id"),
            Setting::DatasetPurpose(index) => write!(f, "dataset[{index}].purpose"),
            Setting::DatasetClass(index) => write!(f, "dataset[{index}].class"),
            Setting::Device(index) => write!(f, "device[{index}]"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.setting, self.what, self.hint)
    }
}
