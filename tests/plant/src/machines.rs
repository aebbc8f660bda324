//! The machines that speak OPC UA, as the command line names them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lingate_plant::opcua::{Connection, INSECURE, Machine, MachineKind, MachineOptions, MachineSpec, machine_toml};

use crate::{Arguments, addresses};

pub(crate) struct Machines {
    specs: Vec<(MachineSpec, SocketAddr)>,
    is_secure: bool,
}

impl Machines {
    pub(crate) fn parse(arguments: &Arguments) -> Result<Machines> {
        let tick = Duration::from_millis(arguments.tick_ms);
        let named = |text: &String| -> Result<MachineSpec> {
            let (name, kind) = text.split_once('=').map_or((None, text.as_str()), |(name, kind)| (Some(name), kind));
            let kind = parse_kind(kind)?;
            let name = name.map_or_else(|| format!("{}-1", kind.name()), str::to_owned);
            Ok(MachineSpec::new(name, kind).with_tick(tick))
        };
        let specs = arguments.machines.iter().map(named).collect::<Result<Vec<_>>>()?;
        for (index, spec) in specs.iter().enumerate() {
            let is_taken = specs[..index].iter().any(|other| other.name == spec.name);
            ensure!(!is_taken, "two machines are called {:?}; give them names: --opcua NAME=KIND", spec.name);
        }
        let addresses = addresses(arguments.opcua_listen, specs.len())?;
        Ok(Machines { specs: specs.into_iter().zip(addresses).collect(), is_secure: arguments.secure })
    }

    pub(crate) fn toml(&self, dataset: &str, every: &str) -> Vec<String> {
        let settings = if self.is_secure { "security = \"sign-and-encrypt\"" } else { INSECURE };
        let table = |(spec, address): &(MachineSpec, SocketAddr)| {
            let url = format!("opc.tcp://{address}");
            machine_toml(spec, &Connection { settings, every, ..Connection::new(&url, dataset) })
        };
        self.specs.iter().map(table).collect()
    }

    pub(crate) async fn start(self) -> Result<Vec<Machine>> {
        let is_secure = self.is_secure;
        let mut machines = Vec::new();
        for (spec, address) in self.specs {
            let options =
                MachineOptions { address, secure: is_secure, insecure: !is_secure, ..MachineOptions::default() };
            let starting = tokio::task::spawn_blocking(move || Machine::start(spec, options));
            let machine = starting.await.context("the machine's start")??;
            let (name, variables) = (&machine.spec().name, machine.spec().variables().len());
            let thumbprint = machine.identity().map(|identity| identity.thumbprint()).transpose()?;
            let shown = thumbprint.map(|it| format!(", certificate {it}")).unwrap_or_default();
            eprintln!("{name}: {variables} variables on {}{shown}", machine.url());
            machines.push(machine);
        }
        Ok(machines)
    }
}

fn parse_kind(text: &str) -> Result<MachineKind> {
    let known = MachineKind::MACHINES.into_iter().chain([MachineKind::Types]).find(|kind| kind.name() == text);
    if let Some(kind) = known {
        return Ok(kind);
    }
    match text.strip_prefix("numbered:").map(str::parse) {
        Some(Ok(count @ 1..=100_000)) => Ok(MachineKind::Numbered(count)),
        _ => bail!(
            "{text:?} is no machine; there are etch-tool, bioreactor, extruder, types and numbered:1 to numbered:100000"
        ),
    }
}
