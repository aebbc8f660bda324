//! The sector samples of `config/examples`, with a machine behind every device that they name.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::opcua::{Machine, MachineKind, MachineOptions, MachineSpec};
use crate::rig::{Framing, Rig, Wire};
use crate::{DeviceSpec, Kind, Mode, PlantDevice};

/// A configuration and what it reads.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub name: &'static str,
    /// The file as it lies in `config/examples`.
    pub text: &'static str,
    parts: &'static [(&'static str, Part)],
}

/// How a device is reached, and what it is.
#[derive(Clone, Copy, Debug)]
enum Part {
    Modbus(Kind),
    /// On the sample's serial line, under this unit id.
    Serial(Kind, u8),
    OpcUa(MachineKind),
}

pub const SAMPLES: [Sample; 3] = [
    Sample {
        name: "fab",
        text: include_str!("../../../config/examples/fab.toml"),
        parts: &[
            ("chiller-14", Part::Modbus(Kind::Chiller)),
            ("pump-14", Part::Modbus(Kind::VacuumPump)),
            ("abatement-14", Part::Modbus(Kind::Abatement)),
            ("etch-14", Part::OpcUa(MachineKind::EtchTool)),
        ],
    },
    Sample {
        name: "bioreactor-train",
        text: include_str!("../../../config/examples/bioreactor-train.toml"),
        parts: &[
            ("seed-reactor-2", Part::Modbus(Kind::Bioreactor)),
            ("bioreactor-3", Part::OpcUa(MachineKind::Bioreactor)),
        ],
    },
    Sample {
        name: "extruder-line",
        text: include_str!("../../../config/examples/extruder-line.toml"),
        parts: &[
            ("extruder-7", Part::OpcUa(MachineKind::Extruder)),
            ("feeder-1", Part::Serial(Kind::Feeder, 1)),
            ("meter-a", Part::Serial(Kind::EnergyMeter, 2)),
        ],
    },
];

/// Where the machines listen. The first of each kind has this port, each further one the next; port 0: any free one.
#[derive(Clone, Debug)]
pub struct Ports {
    pub modbus: SocketAddr,
    pub opcua: SocketAddr,
    /// A name for the serial line's near end; `None`: only the one that the system gives it.
    pub serial: Option<PathBuf>,
}

impl Default for Ports {
    fn default() -> Ports {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ports { modbus: any, opcua: any, serial: None }
    }
}

/// A sample's machines. Dropping it stops them.
pub struct Running {
    pub devices: Vec<PlantDevice>,
    pub machines: Vec<Machine>,
    line: Option<Rig>,
    serial: Option<PathBuf>,
    addresses: BTreeMap<String, String>,
}

impl Sample {
    pub fn named(name: &str) -> Option<Sample> {
        SAMPLES.into_iter().find(|sample| sample.name == name)
    }

    /// The file with these addresses (or ports of serial lines) instead of its own, by the name of the device.
    pub fn configuration(&self, addresses: &BTreeMap<String, String>) -> String {
        let mut device = "";
        let mut is_head = false;
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            match line.split_once(" = ") {
                _ if line.starts_with('[') => is_head = line == "[[device]]",
                Some(("name", name)) if is_head => device = name.split('"').nth(1).unwrap_or(""),
                Some((key @ ("address" | "port"), _)) if is_head && addresses.contains_key(device) => {
                    text.push_str(&format!("{key} = {:?}\n", addresses[device]));
                    continue;
                }
                _ => {}
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Where every device will be; the ports are none of 0.
    pub fn addresses(&self, ports: &Ports) -> Result<BTreeMap<String, String>> {
        ensure!(ports.modbus.port() != 0 && ports.opcua.port() != 0, "the ports must be known, not 0");
        let (mut modbus, mut opcua) = (ports.modbus, ports.opcua);
        let address = |(name, part): &(&str, Part)| {
            let address = match part {
                Part::Modbus(_) => take(&mut modbus).to_string(),
                Part::OpcUa(_) => format!("opc.tcp://{}", take(&mut opcua)),
                Part::Serial(..) => {
                    ports.serial.as_ref().context("the serial line needs a name")?.display().to_string()
                }
            };
            Ok(((*name).to_owned(), address))
        };
        self.parts.iter().map(address).collect()
    }

    /// `tick`: between two values of a machine that speaks OPC UA; these ask for a secure connection and take every
    /// client's certificate.
    pub async fn start(&self, ports: &Ports, tick: Duration) -> Result<Running> {
        let (mut modbus, mut opcua) = (ports.modbus, ports.opcua);
        let mut running = Running {
            devices: Vec::new(),
            machines: Vec::new(),
            line: None,
            serial: ports.serial.clone(),
            addresses: BTreeMap::new(),
        };
        let mut starting = Vec::new();
        let mut units = Vec::new();
        for (name, part) in self.parts {
            match part {
                Part::Modbus(kind) => {
                    let (spec, at) = (DeviceSpec::new(*name, *kind, Mode::Instrument), take(&mut modbus));
                    let device = PlantDevice::start_at(spec, at).await.with_context(|| format!("{name}: {at}"))?;
                    running.addresses.insert((*name).to_owned(), device.address().to_string());
                    running.devices.push(device);
                }
                Part::Serial(kind, unit) => {
                    let mut spec = DeviceSpec::new(*name, *kind, Mode::Instrument);
                    spec.unit = *unit;
                    units.push(spec);
                }
                Part::OpcUa(kind) => {
                    let spec = MachineSpec::new(*name, *kind).with_tick(tick);
                    let address = take(&mut opcua);
                    let options =
                        MachineOptions { address, secure: true, insecure: false, ..MachineOptions::default() };
                    starting.push(tokio::task::spawn_blocking(move || Machine::start(spec, options)));
                }
            }
        }
        for machine in starting {
            let machine = machine.await.context("a machine's start")??;
            running.addresses.insert(machine.spec().name.clone(), machine.url());
            running.machines.push(machine);
        }
        running.lay_line(units).await?;
        Ok(running)
    }
}

/// The next address of its kind.
fn take(next: &mut SocketAddr) -> SocketAddr {
    let address = *next;
    if address.port() != 0 {
        next.set_port(address.port().saturating_add(1));
    }
    address
}

impl Running {
    async fn lay_line(&mut self, units: Vec<DeviceSpec>) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = units.iter().map(|unit| unit.name.clone()).collect();
        let line = Rig::start(Wire::Serial(Framing::Rtu), units).await.context("the serial line")?;
        let port = line.port().context("a serial line has a port")?;
        let port = match &self.serial {
            Some(name) => link(name, port)?,
            None => port.to_owned(),
        };
        self.addresses.extend(names.into_iter().map(|name| (name, port.display().to_string())));
        self.line = Some(line);
        Ok(())
    }

    /// By the name of the device, as its table of the configuration says it.
    pub fn addresses(&self) -> &BTreeMap<String, String> {
        &self.addresses
    }
}

/// In place of a link that an earlier run left; nothing else is replaced.
fn link(name: &Path, port: &Path) -> Result<PathBuf> {
    if fs::symlink_metadata(name).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(name).with_context(|| name.display().to_string())?;
    }
    symlink(port, name).with_context(|| name.display().to_string())?;
    Ok(name.to_owned())
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(name) = self.serial.as_ref().filter(|_| self.line.is_some()) {
            let _ = fs::remove_file(name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_a_sample_gets_the_address_of_its_machine() {
        let port = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ports = Ports { modbus: port(15_020), opcua: port(14_840), serial: Some("/tmp/line.tty".into()) };
        for sample in SAMPLES {
            let addresses = sample.addresses(&ports).unwrap();
            let text = sample.configuration(&addresses);
            assert_eq!(sample.text.matches("[[device]]").count(), addresses.len(), "{}", sample.name);
            for address in addresses.values() {
                assert!(text.contains(&format!("= \"{address}\"\n")), "{}: {address}", sample.name);
            }
            let changed = sample.text.lines().zip(text.lines()).filter(|(old, new)| old != new).count();
            assert_eq!((changed, text.lines().count()), (addresses.len(), sample.text.lines().count()));
        }
    }
}
