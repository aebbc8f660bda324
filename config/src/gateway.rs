use std::path::PathBuf;

use lingate_drivers::settings::{Problem, Table, parse_path};
use lingate_model::{GatewayId, TenantId};

use crate::keys::{optional, require, require_table};

pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) tenant: TenantId,
    pub(crate) state_dir: PathBuf,
}

/// Where systemd's `StateDirectory=lingate` puts it.
pub(crate) const STATE_DIR: &str = "/var/lib/lingate";

pub(crate) fn read(root: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<Gateway> {
    let mut table = require_table(root, "gateway", "id and tenant")?;
    let id = require(&mut table, "id", "\"gw-0001\", the common name of the gateway's certificate").parsed();
    let tenant = require(&mut table, "tenant", "\"acme\", the account's name at the sandbox").parsed();
    let state_dir = optional(&mut table, "state_dir", PathBuf::from(STATE_DIR), |key| key.parsed_with(parse_path));
    problems.extend(table.finish());
    Some(Gateway { id: id?, tenant: tenant?, state_dir: state_dir? })
}
