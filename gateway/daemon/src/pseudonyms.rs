//! The keys of M11: one per dataset, `pseudonyms/DATASET.key` in the state directory, 32 random bytes, made when first needed.
//! They leave the plant by nothing that lingate does. Who removes one makes all pseudonyms of before unlinkable.

use std::io;
use std::path::{Path, PathBuf};

use lingate_model::DatasetId;
use lingate_refine::{DatasetIndex, ExportPlan, PseudonymKey, Step};
use lingate_seal::Entropy;
use zeroize::Zeroizing;

use crate::files;

pub(crate) type PseudonymKeys = Vec<(DatasetIndex, PseudonymKey)>;

/// A key for every dataset that has such a step; a missing one is made. `Err`: in words, what is wrong.
pub(crate) fn keys(state_dir: &Path, plan: &ExportPlan, entropy: &mut dyn Entropy) -> Result<PseudonymKeys, String> {
    let needed = plan.datasets.iter().zip(0..).filter(|(_, index)| needs_key(plan, DatasetIndex(*index)));
    needed.map(|(dataset, index)| Ok((DatasetIndex(index), key(state_dir, &dataset.id, entropy)?))).collect()
}

fn needs_key(plan: &ExportPlan, dataset: DatasetIndex) -> bool {
    let exports = plan.points.iter().filter_map(|point| point.export.as_ref());
    let mut steps = exports.filter(|export| export.dataset == dataset).flat_map(|export| &export.steps);
    steps.any(|step| *step == Step::Pseudonym)
}

fn path(state_dir: &Path, dataset: &DatasetId) -> PathBuf {
    state_dir.join("pseudonyms").join(format!("{dataset}.key"))
}

fn key(state_dir: &Path, dataset: &DatasetId, entropy: &mut dyn Entropy) -> Result<PseudonymKey, String> {
    let path = path(state_dir, dataset);
    let told = |error: io::Error| format!("pseudonym key {}: {error}", path.display());
    if !path.exists() {
        make(&path, entropy).map_err(told)?;
    }
    if let Some(why) = files::exposed(&path, 0o077, true).map_err(told)? {
        return Err(format!(
            "pseudonym key {} {why}: whoever read it can undo the pseudonyms; chmod 600 it",
            path.display()
        ));
    }
    let bytes = Zeroizing::new(files::read(&path).map_err(told)?);
    let secret: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        format!(
            "pseudonym key {} has {} bytes, expected 32: restore it, or remove it and begin new pseudonyms",
            path.display(),
            bytes.len()
        )
    })?;
    Ok(PseudonymKey::new(secret))
}

fn make(path: &Path, entropy: &mut dyn Entropy) -> io::Result<()> {
    let mut secret = Zeroizing::new([0; 32]);
    entropy.fill(&mut *secret).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    path.parent().map_or(Ok(()), files::directory)?;
    files::create_secret(path, &*secret)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_is_kept() {
        let state = tempfile::tempdir().unwrap();
        let (dataset, other): (DatasetId, DatasetId) = ("ds-1".parse().unwrap(), "ds-2".parse().unwrap());
        let mut entropy = SystemEntropy::new();
        key(state.path(), &dataset, &mut entropy).unwrap();
        let file = path(state.path(), &dataset);
        let made = fs::read(&file).unwrap();
        assert_eq!((made.len(), fs::metadata(&file).unwrap().permissions().mode() & 0o777), (32, 0o600));
        key(state.path(), &dataset, &mut entropy).unwrap();
        key(state.path(), &other, &mut entropy).unwrap();
        assert_eq!(fs::read(&file).unwrap(), made);
        assert_ne!(fs::read(path(state.path(), &other)).unwrap(), made, "each dataset has its own");
    }

    #[test]
    fn a_key_that_others_can_read_or_that_was_cut_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let dataset: DatasetId = "ds-1".parse().unwrap();
        let mut entropy = SystemEntropy::new();
        key(state.path(), &dataset, &mut entropy).unwrap();
        let file = path(state.path(), &dataset);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(key(state.path(), &dataset, &mut entropy).unwrap_err().contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, [1; 31]).unwrap();
        assert!(key(state.path(), &dataset, &mut entropy).unwrap_err().contains("has 31 bytes"));
    }
}
