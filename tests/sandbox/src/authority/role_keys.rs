//! The recipients' keys: `roles/NAME.jwk` is the one that new epochs are sealed to, `roles/NAME.KID.jwk` an older one
//! that still opens what was sealed to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Authority;
use crate::files::{self, Readers};
use crate::keys::RoleKey;
use crate::policy::{self, Policy};

impl Authority {
    /// The current key of one role, such as `role:oem-quality`.
    pub fn role_key(&self, role: &str) -> Result<RoleKey> {
        let path = self.role_file(role, None)?;
        RoleKey::from_json(&files::read_text(&path)?).with_context(|| path.display().to_string())
    }

    /// The current key first, then the older ones.
    pub fn role_keys_of(&self, role: &str) -> Result<Vec<RoleKey>> {
        let name = role_name(role)?;
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder.join("roles"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        let is_older = |path: &PathBuf| {
            let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
            file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest.len() == 16 + 4)
        };
        let older = files.into_iter().filter(is_older);
        let read =
            |path: PathBuf| RoleKey::from_json(&files::read_text(&path)?).with_context(|| path.display().to_string());
        std::iter::once(self.role_key(role)).chain(older.map(read)).collect()
    }

    /// The keys of all roles of the policy; makes those that are missing.
    pub(super) fn role_keys(&self, policy: &Policy) -> Result<BTreeMap<String, Vec<RoleKey>>> {
        let mut keys = BTreeMap::new();
        for role in &policy.roles {
            let path = self.role_file(&role.id, None)?;
            if !path.exists() {
                files::write(&path, RoleKey::generate().to_json(), Readers::Owner)?;
            }
            keys.insert(role.id.clone(), self.role_keys_of(&role.id)?);
        }
        Ok(keys)
    }

    /// Puts a new key in the current one's place. The old one may be sealed to until `ends`, seconds since 1970.
    pub(super) fn replace_role_key(&self, role: &str, ends: i64) -> Result<RoleKey> {
        let mut old = self.role_key(role)?;
        old.ends = Some(ends);
        // The old key is safe under its new name before its place is taken.
        let kid = old.kid().to_string();
        files::write(&self.role_file(role, Some(&kid))?, old.to_json(), Readers::Owner)?;
        files::write(&self.role_file(role, None)?, RoleKey::generate().to_json(), Readers::Owner)?;
        Ok(old)
    }

    fn role_file(&self, role: &str, kid: Option<&str>) -> Result<PathBuf> {
        let name = role_name(role)?;
        let file = kid.map_or_else(|| format!("{name}.jwk"), |kid| format!("{name}.{kid}.jwk"));
        Ok(self.folder.join("roles").join(file))
    }
}

fn role_name(role: &str) -> Result<&str> {
    policy::role_name(role).with_context(|| format!("{role:?} is not a role: \"role:\" and a name"))
}
