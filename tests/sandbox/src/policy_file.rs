//! Changes of `policy.toml` that leave its comments and its order as the operator wrote them.

use anyhow::{Context, Result, anyhow, ensure};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::policy;

/// What becomes different about a dataset; a new one needs at least a role and a purpose.
#[derive(Clone, Debug, Default)]
pub struct DatasetChange {
    pub id: String,
    /// Its name in topics; `None`: kept, or random for a new one.
    pub alias: Option<String>,
    pub add_roles: Vec<String>,
    pub remove_roles: Vec<String>,
    pub add_purposes: Vec<String>,
    pub remove_purposes: Vec<String>,
    /// `general` or `important`.
    pub class_ceiling: Option<String>,
    /// Reference of the assessment that `important` needs.
    pub approval: Option<String>,
    /// Minimization policies that become approved, or are no longer: `sha256:` and 64 hex digits.
    pub add_policies: Vec<String>,
    pub remove_policies: Vec<String>,
    pub retention_days: Option<u32>,
    /// Party of roles that the policy does not have yet.
    pub party: Option<String>,
}

/// A new purpose needs all of it.
#[derive(Clone, Debug, Default)]
pub struct PurposeChange {
    pub id: String,
    pub statement: Option<String>,
    /// RFC 3339.
    pub valid_from: Option<String>,
    pub valid_until: Option<String>,
}

pub(crate) struct PolicyFile {
    document: DocumentMut,
}

impl PolicyFile {
    pub(crate) fn parse(text: &str) -> Result<PolicyFile> {
        Ok(PolicyFile { document: text.parse().context("policy.toml")? })
    }

    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }

    pub(crate) fn change_dataset(&mut self, change: &DatasetChange) -> Result<()> {
        for role in &change.add_roles {
            self.ensure_role(role, change.party.as_deref())?;
        }
        let is_new = self.find("dataset", &change.id)?.is_none();
        let dataset = self.entry("dataset", &change.id)?;
        if is_new {
            dataset["alias"] = value(policy::random_alias());
            dataset["class_ceiling"] = value("general");
            dataset["retention_days"] = value(1095);
        }
        set(dataset, "alias", change.alias.as_deref());
        add(dataset, "purposes", &change.add_purposes)?;
        remove(dataset, "purposes", &change.remove_purposes)?;
        add(dataset, "roles", &change.add_roles)?;
        remove(dataset, "roles", &change.remove_roles)?;
        if !change.add_policies.is_empty() || !change.remove_policies.is_empty() {
            add(dataset, "policies", &change.add_policies)?;
            remove(dataset, "policies", &change.remove_policies)?;
        }
        set(dataset, "class_ceiling", change.class_ceiling.as_deref());
        set(dataset, "approval", change.approval.as_deref());
        if let Some(days) = change.retention_days {
            dataset["retention_days"] = value(i64::from(days));
        }
        Ok(())
    }

    pub(crate) fn remove_dataset(&mut self, id: &str) -> Result<()> {
        self.remove_entry("dataset", id)
    }

    pub(crate) fn change_purpose(&mut self, change: &PurposeChange) -> Result<()> {
        let PurposeChange { id, statement, valid_from, valid_until } = change;
        let is_complete = statement.is_some() && valid_from.is_some() && valid_until.is_some();
        ensure!(
            is_complete || self.find("purpose", id)?.is_some(),
            "purpose {id:?} is new: it needs a statement, a beginning and an end"
        );
        let purpose = self.entry("purpose", id)?;
        set(purpose, "statement", statement.as_deref());
        set(purpose, "valid_from", valid_from.as_deref());
        set(purpose, "valid_until", valid_until.as_deref());
        Ok(())
    }

    /// Also from every dataset that has it.
    pub(crate) fn remove_purpose(&mut self, id: &str) -> Result<()> {
        self.remove_entry("purpose", id)?;
        let Some(datasets) = self.document.get_mut("dataset").and_then(Item::as_array_of_tables_mut) else {
            return Ok(());
        };
        for dataset in datasets.iter_mut() {
            if let Some(purposes) = dataset.get_mut("purposes").and_then(Item::as_array_mut) {
                purposes.retain(|purpose| purpose.as_str() != Some(id));
            }
        }
        Ok(())
    }

    fn ensure_role(&mut self, id: &str, party: Option<&str>) -> Result<()> {
        if self.find("role", id)?.is_some() {
            return Ok(());
        }
        let party = party.with_context(|| format!("role {id:?} is new: say with --party whose it is"))?;
        self.entry("role", id)?["party"] = value(party);
        Ok(())
    }

    fn tables(&mut self, kind: &str) -> Result<&mut ArrayOfTables> {
        let item = self.document.entry(kind).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or_else(|| anyhow!("policy.toml: {kind} must be written as [[{kind}]]"))
    }

    fn find(&mut self, kind: &str, id: &str) -> Result<Option<usize>> {
        Ok(self.tables(kind)?.iter().position(|table| table.get("id").and_then(Item::as_str) == Some(id)))
    }

    /// The table with this id; a new one goes to the end of its kind.
    fn entry(&mut self, kind: &str, id: &str) -> Result<&mut Table> {
        let found = self.find(kind, id)?;
        let tables = self.tables(kind)?;
        let at = found.unwrap_or_else(|| {
            let mut table = Table::new();
            table["id"] = value(id);
            tables.push(table);
            tables.len() - 1
        });
        Ok(tables.get_mut(at).expect("found or made above"))
    }

    fn remove_entry(&mut self, kind: &str, id: &str) -> Result<()> {
        let at = self.find(kind, id)?.with_context(|| format!("policy.toml has no {kind} {id:?}"))?;
        self.tables(kind)?.remove(at);
        Ok(())
    }
}

fn set(table: &mut Table, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        table[key] = value(text);
    }
}

fn add(table: &mut Table, key: &str, items: &[String]) -> Result<()> {
    let list = list(table, key)?;
    for item in items {
        if !list.iter().any(|value| value.as_str() == Some(item)) {
            list.push(item);
        }
    }
    Ok(())
}

fn remove(table: &mut Table, key: &str, items: &[String]) -> Result<()> {
    let list = list(table, key)?;
    for item in items {
        let at = list.iter().position(|value| value.as_str() == Some(item));
        list.remove(at.with_context(|| format!("{item:?} is not among the {key}"))?);
    }
    Ok(())
}

fn list<'a>(table: &'a mut Table, key: &str) -> Result<&'a mut Array> {
    let item = table.entry(key).or_insert_with(|| value(Array::new()));
    item.as_array_mut().ok_or_else(|| anyhow!("policy.toml: {key} must be a list"))
}
