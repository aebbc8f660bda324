//! Everything that `run` needs before it touches a device or the network, and that `check` looks at: the same code, so
//! that they agree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lingate_config::{Ack, DevicePlan, Plan, Problem, Problems, SourceFile, load_files};
use lingate_drivers::{Lines, SharedLine, Site, SiteProblem};
use lingate_model::{Clock, DeviceName, UtcMicros};
use lingate_seal::{NotGranted, PlantTerms, SignatureAlgorithm, SigningKey, VerifiedBundle};

use crate::configuration;
use crate::fault::{Fault, Setting, Weight};
use crate::inbox::{self, Bundles, Found, tell};
use crate::keys;
use crate::tls::{Material, TlsFiles, show_time};
use crate::veto;

/// A configuration with everything around it.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    /// What it was read from.
    pub(crate) files: Vec<SourceFile>,
    /// Why the files that were asked for are not used, one sentence each; empty: they are.
    pub(crate) instead_of: Vec<String>,
    pub(crate) signer: SigningKey,
    pub(crate) bundles: Bundles,
    pub(crate) tls: TlsFiles,
    pub(crate) material: Material,
    /// What is wrong and does not keep `run` from starting.
    pub(crate) warnings: Vec<Fault>,
    /// What is allowed, and rarely meant. One sentence each.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing on disk is changed.
    Check,
    /// Bundles that arrived are installed.
    Run,
}

#[derive(Debug)]
pub(crate) enum Refused {
    Unreadable(io::Error),
    /// All of them, with their places.
    Problems(Problems),
    /// The same, and time alone may mend them.
    Away(Problems),
}

pub(crate) fn prepare(config: &Path, clock: &Arc<dyn Clock>, mode: Mode) -> Result<Prepared, Refused> {
    prepare_files(configuration::read(config).map_err(Refused::Unreadable)?, clock, mode)
}

/// As `prepare`; if the files are wrong and the last good ones say so, with those.
pub(crate) fn prepare_to_run(config: &Path, clock: &Arc<dyn Clock>) -> Result<Prepared, Refused> {
    prepare(config, clock, Mode::Run).or_else(|refused| {
        let is_wrong = !matches!(refused, Refused::Away(_));
        let Some(files) = last_good(config).filter(|_| is_wrong) else { return Err(refused) };
        let mut prepared = prepare_files(files, clock, Mode::Run)?;
        prepared.instead_of = crate::reload::in_lines(config, &refused);
        let why = prepared.instead_of.join("; ");
        tracing::error!("the configuration is wrong, so the last good one is in force (reload.last_good): {why}");
        Ok(prepared)
    })
}

/// The configuration that ran last, if it asks to be used when another is wrong.
pub(crate) fn last_good(config: &Path) -> Option<Vec<SourceFile>> {
    let state_dir = lingate_config::state_dir_of(&configuration::read(config).unwrap_or_default());
    let files = configuration::read(&configuration::copy_path(&state_dir)).ok()?;
    let plan = load_files(&files).ok()?;
    (plan.reload.last_good && plan.state_dir == state_dir).then_some(files)
}

fn prepare_files(files: Vec<SourceFile>, clock: &Arc<dyn Clock>, mode: Mode) -> Result<Prepared, Refused> {
    let plan = load_files(&files).map_err(Refused::Problems)?;
    let tls = TlsFiles::new(&plan.sandbox, &plan.gateway);
    tls.issued().iter().for_each(|issued| clock.has_passed(*issued));
    inbox::signed(&plan.state_dir).iter().for_each(|signed| clock.has_passed(*signed));
    let utc = clock.now().utc;
    let mut faults = Vec::new();
    let signer = keep(keys::signing_key(&plan.state_dir, plan.sandbox.signing_key.as_ref()), &mut faults);
    let pinned = keep(keys::pinned(&plan.state_dir, &plan.sandbox.root_sha256), &mut faults);
    // Without a signing key nothing starts; what a bundle grants is told all the same.
    let signature = signer.as_ref().map_or(SignatureAlgorithm::Ed25519, SigningKey::algorithm);
    let bundles = pinned.and_then(|pinned| open_bundles(&plan, pinned, signature, utc, mode, &mut faults));
    let material = tls.load(utc).map_err(|found| faults.extend(found)).ok();
    if let Some(material) = &material {
        faults.extend(material.warnings.iter().cloned());
    }
    faults.extend(of_devices(&plan, &site(&plan, clock.clone())));
    let has = |weight: Weight| faults.iter().any(|fault| fault.weight == weight);
    let (refuses, awaits) = (has(Weight::Refuse), has(Weight::Await));
    match (signer, bundles, material) {
        (Some(signer), Some(bundles), Some(material)) if !refuses && !awaits => {
            let mut notes = [twins(&plan.devices), configuration::open_to_everybody(&files)].concat();
            notes.extend(wrong_clock(&**clock));
            let instead_of = Vec::new();
            Ok(Prepared { plan, files, instead_of, signer, bundles, tls, material, warnings: faults, notes })
        }
        _ if !refuses && awaits => Err(Refused::Away(problems(&plan, &faults))),
        _ => Err(Refused::Problems(problems(&plan, &faults))),
    }
}

pub(crate) fn load(config: &Path) -> Result<Plan, Refused> {
    load_files(&configuration::read(config).map_err(Refused::Unreadable)?).map_err(Refused::Problems)
}

/// The faults as problems at their places in the file.
pub(crate) fn problems(plan: &Plan, faults: &[Fault]) -> Problems {
    let problem = |fault: &Fault| -> Problem {
        plan.problem_at(fault.setting.place(&plan.places), fault.what.clone(), Some(fault.hint.clone()))
    };
    Problems::new(plan.places.file.clone(), faults.iter().map(problem).collect())
}

/// What the gateway lends to its devices.
pub(crate) fn site(plan: &Plan, clock: Arc<dyn Clock>) -> Site {
    Site {
        gateway: plan.gateway.clone(),
        folder: plan.state_dir.join("devices"),
        secret: Arc::new(crate::files::secret),
        lines: Lines::default(),
        clock,
    }
}

/// One device's files never keep the others from running: it says what it lacks when it is connected, too.
fn of_devices(plan: &Plan, site: &Site) -> Vec<Fault> {
    let faults = |(index, device): (usize, &DevicePlan)| {
        let fault = move |SiteProblem { setting, what, hint }| {
            Fault::warn(Setting::Device(index), format!("{setting}: {what}"), hint)
        };
        device.device.problems(site).into_iter().map(fault)
    };
    plan.devices.iter().enumerate().flat_map(faults).collect()
}

/// Devices that ask the same unit of one line: two parts of one machine, or a number that was copied and not changed.
fn twins(devices: &[DevicePlan]) -> Vec<String> {
    let mut stations: BTreeMap<(String, String), &DeviceName> = BTreeMap::new();
    let mut notes = Vec::new();
    for device in devices {
        let Some(SharedLine { name, station, .. }) = device.device.line() else { continue };
        let what = format!("{station} on the line {name}");
        match stations.entry((name, station)) {
            Entry::Vacant(vacant) => drop(vacant.insert(&device.name)),
            Entry::Occupied(first) => notes.push(format!(
                "device {:?} asks {what}, as device {:?} does; if another unit was meant, it is given the values of the \
                 wrong machine",
                device.name.as_str(),
                first.get().as_str()
            )),
        }
    }
    notes
}

/// What was signed later than the clock shows tells that it was never set.
fn wrong_clock(clock: &dyn Clock) -> Option<String> {
    let (shown, earliest) = (clock.shows(), clock.now().utc);
    // Between two looks a right clock moves.
    (earliest.0.saturating_sub(shown.0) > 1_000_000).then(|| {
        format!(
            "this computer's clock is wrong: it shows {}, but the certificate, the bundle or this program is of {} or \
             later. Set it, or let a time server do it. Until then times are counted from there, data is marked as not \
             synchronised, and nothing that is read is lost for it",
            show_time(shown),
            show_time(earliest)
        )
    })
}

fn keep<T>(found: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    found.map_err(|fault| faults.push(fault)).ok()
}

fn open_bundles(
    plan: &Plan,
    pinned: keys::Pinned,
    signature: SignatureAlgorithm,
    utc: UtcMicros,
    mode: Mode,
    faults: &mut Vec<Fault>,
) -> Option<Bundles> {
    let (mut bundles, fault) = keep(Bundles::open(&plan.state_dir, pinned, &plan.gateway, utc), faults)?;
    let found = match mode {
        Mode::Check => bundles.look(utc),
        Mode::Run => bundles.scan(utc),
    };
    if mode == Mode::Run {
        found.iter().for_each(tell);
    } else {
        faults.extend(found.iter().filter_map(not_in_force));
    }
    match bundles.current() {
        // A newer bundle mends whatever was wrong with the stored one.
        Some(bundle) => {
            faults.extend(no_receipt_key(plan, bundle, utc));
            faults.extend(not_granted(plan, &bundles, signature, utc));
        }
        None => faults.extend(fault),
    }
    Some(bundles)
}

fn not_in_force(found: &Found) -> Option<Fault> {
    let (what, hint) = match found {
        Found::Installed { .. } => return None,
        Found::Rejected { file, reason } => (
            format!("inbox/{file} is refused: {reason}"),
            "ask the sandbox for this bundle again, and compare its checksum",
        ),
        Found::Waiting { file, reason } => {
            (format!("inbox/{file} is not in force yet: {reason}"), "`run` takes it as soon as its time has come")
        }
    };
    Some(Fault::warn(Setting::StateDir, what, hint))
}

fn not_granted(plan: &Plan, bundles: &Bundles, signature: SignatureAlgorithm, utc: UtcMicros) -> Vec<Fault> {
    let Some(bundle) = bundles.current() else { return Vec::new() };
    let veto = veto::read(&plan.state_dir).veto;
    let terms = PlantTerms { suites: plan.sandbox.suites.clone(), signature, veto };
    let datasets = plan.export.datasets.iter().enumerate();
    datasets
        .filter_map(|(index, dataset)| {
            let granted = bundle.grant_within(&dataset.id, &dataset.purpose, dataset.ceiling, utc, &terms);
            let refused = granted.err()?;
            Some(denied(index, &refused))
        })
        .collect()
}

/// The gateway would keep everything for ever.
fn no_receipt_key(plan: &Plan, bundle: &VerifiedBundle, utc: UtcMicros) -> Option<Fault> {
    let what = "sandbox.ack is \"receipt\", and the bundle names no valid key by which receipts could be told from forged ones";
    let hint =
        "nothing is freed from the disk until a bundle names one; ask the sandbox for it, or write ack = \"broker\"";
    (plan.sandbox.ack == Ack::Receipt && !bundle.has_receipt_key(utc))
        .then(|| Fault::warn(Setting::StateDir, what, hint))
}

fn denied(index: usize, refused: &NotGranted) -> Fault {
    let hint = match refused {
        NotGranted::Vetoed(_) | NotGranted::RecipientsVetoed(_) => {
            "nothing is sealed for this dataset until somebody lifts it: `lingate veto remove`"
        }
        _ => {
            "nothing is sealed for this dataset; correct the configuration, or ask the sandbox for a bundle that grants it"
        }
    };
    let setting = match refused {
        NotGranted::PurposeNotGranted { .. } | NotGranted::PurposeExpired(_) | NotGranted::PurposeNotBegun(_) => {
            Setting::DatasetPurpose(index)
        }
        NotGranted::ApprovalMissing(_) => Setting::DatasetClass(index),
        _ => Setting::DatasetId(index),
    };
    Fault::warn(setting, refused.to_string(), hint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn two_devices_that_ask_one_unit_of_one_line_are_noted() {
        let device = |name: &str, unit: u8| {
            format!(
                "[[device]]\nname = \"{name}\"\ndriver = \"modbus-tcp\"\nequipment = \"a/b\"\nevery = \"1s\"\n\
                 address = \"10.0.4.17:502\"\nunit = {unit}\n\n[[device.point]]\nname = \"p\"\nregister = \"holding:0\"\n\
                 type = \"u16\"\ndataset = \"ds-extr-07\"\nclass = \"general\"\n\n"
            )
        };
        let notes = |devices: String| {
            twins(&lingate_config::load("twins.toml", &crate::cli::sample::complete(&devices)).unwrap().devices)
        };
        assert_eq!(notes(device("a", 1) + &device("b", 2)), Vec::<String>::new());
        let told = notes(device("a", 1) + &device("b", 2) + &device("c", 1));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("device \"c\" asks unit 1 on the line tcp 10.0.4.17:502, as device \"a\" does"));
    }
}
