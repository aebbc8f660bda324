use std::time::{Duration, Instant};

use anyhow::Result;
use lingate_plant::rig::{Fault, Framing, Rig, Wire};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode};

use crate::row::Modbus;
use crate::words;
use crate::{Played, Row};

pub(crate) const EVERY_MS: u64 = 100;
/// Two requests for each poll.
const TAGS: u16 = 80;
/// Only bounds a row that fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A hostile unit of a row, named as the row.
pub(crate) struct Unit {
    pub(crate) row: Row,
    pub(crate) rig: Rig,
    pub(crate) spec: DeviceSpec,
    faults: Vec<Fault>,
}

impl Unit {
    pub(crate) async fn start(row: &Row, script: &Modbus) -> Result<Unit> {
        let faults = script.faults.iter().map(|text| words::fault(text)).collect::<Result<_>>()?;
        let spec = DeviceSpec::new(row.id.to_lowercase(), Kind::Numbered(TAGS), Mode::SelfDescribing);
        let rig = Rig::start(wire(&script.driver)?, [spec.clone()]).await?;
        Ok(Unit { row: row.clone(), rig, spec, faults })
    }

    pub(crate) fn toml(&self) -> String {
        let labels = Labels { every: "100ms", ..Labels::new(crate::plant::DATASET) };
        self.rig.toml(self.spec.unit, &labels, "timeout = \"300ms\"\nidentify = false\n")
    }

    /// Plays all faults, then waits until the daemon has good readings again; `good` tells how many it has.
    pub(crate) async fn play(&self, good: impl Fn() -> Option<u64>) -> Played {
        let mut played = Played::new(&self.row);
        self.rig.play(self.faults.iter().flat_map(|fault| [fault.clone(), Fault::None, Fault::None, Fault::None]));
        let began = Instant::now();
        // The last three are honest.
        while self.rig.left() > 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if began.elapsed() > PATIENCE {
                played.complaints.push(format!("{} of the faults were not played", self.rig.left() / 4));
                return played;
            }
        }
        played.tricks = self.faults.len() as u64;
        played.fresh_ms = crate::plant::until_fresh(&mut played.complaints, good).await;
        played
    }
}

fn wire(driver: &str) -> Result<Wire> {
    let wires = [
        Wire::Tcp(Framing::Mbap),
        Wire::Udp,
        Wire::Serial(Framing::Rtu),
        Wire::Serial(Framing::Ascii),
        Wire::Tcp(Framing::Rtu),
        Wire::Tcp(Framing::Ascii),
    ];
    let found = wires.into_iter().find(|wire| wire.kind() == driver);
    found.ok_or_else(|| anyhow::anyhow!("{driver:?} is no driver of a unit without certificates"))
}
