use std::fmt;
use std::io::Write;

use anyhow::Result;
use lingate_measure::{Arrived, Beat};
use lingate_model::Value;
use lingate_sandbox::{Arrival, OpenedReading, Opener, Topic};

use crate::json;

/// What arrived so far. Shown as the fields of a line.
#[derive(Default)]
pub(crate) struct Count {
    messages: u64,
    bytes: u64,
    readings: u64,
    /// Opened, and not what an instrument with a resolution of 0.1 can show.
    wrong: u64,
    /// Sealed records that did not open.
    refused: u64,
}

impl Count {
    pub(crate) fn take(
        &mut self,
        arrival: &Arrival,
        opener: Option<&mut Opener>,
        utc_us: u64,
        list: &mut impl Write,
    ) -> Result<()> {
        self.messages += 1;
        self.bytes += arrival.payload.len() as u64;
        // Checkpoints of the audit log go the same way, and hold no readings.
        if opener.is_some() && Topic::parse(&arrival.topic).is_none() {
            return Ok(());
        }
        let mut note = |unit, index, value| match Beat::of(unit, index, value) {
            Some(beat) => list.write_all(&Arrived { beat, utc_us }.bytes()),
            None => Ok(()),
        };
        match opener {
            Some(opener) => match opener.open(arrival) {
                Ok(Some(batch)) => {
                    // A bad one has no value: the device was away.
                    for reading in batch.readings.iter().filter(|reading| reading.value.is_some()) {
                        let Some((unit, index, value)) = told(reading) else {
                            self.wrong += 1;
                            continue;
                        };
                        self.readings += 1;
                        self.wrong += u64::from(!is_shown(value));
                        note(unit, index, value)?;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    eprintln!("tally: {}: {error}", arrival.topic);
                    self.refused += 1;
                }
            },
            None => {
                for (unit, index, value) in json::values(&arrival.payload) {
                    self.readings += 1;
                    value.map_or(Ok(()), |value| note(unit, index, value))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { messages, bytes, readings, wrong, refused } = self;
        write!(f, "{messages} {bytes} {readings} {wrong} {refused}")
    }
}

/// Of `u03/v150`, or of `m/u03_v150` on one machine with all units.
fn told(reading: &OpenedReading) -> Option<(u32, u32, f64)> {
    let name = reading.point.strip_prefix("m/").unwrap_or(&reading.point).strip_prefix('u')?;
    let (unit, index) = name.split_once("/v").or_else(|| name.split_once("_v"))?;
    let value = match reading.value.as_ref()? {
        Value::Float(value) => f64::from(*value),
        Value::Double(value) => *value,
        _ => return None,
    };
    Some((unit.parse().ok()?, index.parse().ok()?, value))
}

/// Within half a unit of the last place of a float32.
fn is_shown(value: f64) -> bool {
    let tenths = value * 10.0;
    (tenths - tenths.round()).abs() <= (value.abs() * 1e-6).max(1e-3)
}
