//! The recipients' keys: `roles/NAME.jwk` is the one that new epochs are sealed to, `roles/NAME.KID.jwk` an older one
//! that still opens what was sealed to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use lingate_seal::suite::{self, SUITE_X25519, Suite, Support};

use super::Authority;
use crate::files::{self, Readers};
use crate::keys::RoleKey;
use crate::policy::{self, Policy};

impl Authority {
    /// The current key of one role, such as `role:oem-quality`, of the policy's first suite.
    pub fn role_key(&self, role: &str) -> Result<RoleKey> {
        let suites = self.policy()?.bundle.suites;
        let first = suites.into_iter().find_map(built).context("the policy has no suite that is built in")?;
        read(&self.role_file(role, first)?)
    }

    /// The current keys first, one per suite, then the older ones.
    pub fn role_keys_of(&self, role: &str) -> Result<Vec<RoleKey>> {
        let name = role_name(role)?;
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join("roles"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|path| {
            let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) && file.ends_with(".jwk")
        });
        files.sort();
        let mut keys = files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        anyhow::ensure!(!keys.is_empty(), "{role} has no key in roles/: is it a role of policy.toml?");
        keys.sort_by_key(|key| key.ends.is_some());
        Ok(keys)
    }

    /// The keys of all roles of the policy; makes those that are missing.
    pub(super) fn role_keys(&self, policy: &Policy) -> Result<BTreeMap<String, Vec<RoleKey>>> {
        let mut keys = BTreeMap::new();
        for role in &policy.roles {
            for suite in policy.bundle.suites.iter().filter_map(|id| built(*id)) {
                let path = self.role_file(&role.id, suite)?;
                if !path.exists() {
                    files::write(&path, RoleKey::generate(suite).to_json(), Readers::Owner)?;
                }
            }
            keys.insert(role.id.clone(), self.role_keys_of(&role.id)?);
        }
        Ok(keys)
    }

    /// Puts new keys in the places of the current ones. The old ones may be sealed to until `ends`, in seconds since 1970.
    pub(super) fn replace_role_keys(&self, role: &str, ends: i64) -> Result<()> {
        for mut old in self.role_keys_of(role)?.into_iter().filter(|key| key.ends.is_none()) {
            old.ends = Some(ends);
            let suite = built(old.suite()).context("the key's suite is not built in")?;
            let older = self.folder.join("roles").join(format!("{}.{}.jwk", role_name(role)?, old.kid()));
            // The old key is safe under its new name before its place is taken.
            files::write(&older, old.to_json(), Readers::Owner)?;
            files::write(&self.role_file(role, suite)?, RoleKey::generate(suite).to_json(), Readers::Owner)?;
        }
        Ok(())
    }

    /// `NAME.jwk`, and `NAME.SUITE.jwk` for suites other than the default.
    fn role_file(&self, role: &str, suite: &Suite) -> Result<PathBuf> {
        let name = role_name(role)?;
        let file = match suite.id {
            SUITE_X25519 => format!("{name}.jwk"),
            _ => format!("{name}.{}.jwk", suite.name),
        };
        Ok(self.folder.join("roles").join(file))
    }
}

fn read(path: &Path) -> Result<RoleKey> {
    RoleKey::from_json(&files::read_text(path)?).with_context(|| path.display().to_string())
}

fn built(id: u16) -> Option<&'static Suite> {
    suite::suite(id).filter(|suite| suite.support != Support::Reserved)
}

fn role_name(role: &str) -> Result<&str> {
    policy::role_name(role).with_context(|| format!("{role:?} is not a role: \"role:\" and a name"))
}
