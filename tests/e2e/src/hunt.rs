use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::Result;
use lingate_model::Value;
use lingate_plant::{DeviceSpec, Motion};

/// What must not be found, by length: one walk over the bytes for each length.
#[derive(Default)]
pub struct Hunt(BTreeMap<usize, HashSet<Vec<u8>>>);

impl Hunt {
    /// Registers of two neighbouring values as they stood on the wire, and every value as text. Single values of four
    /// bytes would meet by chance.
    pub fn for_values_of(spec: &DeviceSpec, polls: u32) -> Hunt {
        let mut hunt = Hunt::default();
        for n in 0..=polls {
            let moving = spec.tags().iter().filter(|tag| tag.motion != Motion::Counter);
            let expected = moving.filter_map(|tag| match spec.expected(&tag.name, n) {
                Some(Value::UInt32(value)) => Some(value),
                _ => None,
            });
            let values: Vec<u32> = expected.collect();
            for pair in values.windows(2) {
                hunt.add(&[pair[0].to_be_bytes(), pair[1].to_be_bytes()].concat());
                hunt.add(&[pair[0].to_le_bytes(), pair[1].to_le_bytes()].concat());
            }
            for text in values.iter().map(u32::to_string).filter(|text| text.len() >= 9) {
                hunt.add(text.as_bytes());
            }
        }
        hunt
    }

    pub fn add(&mut self, canary: &[u8]) {
        self.0.entry(canary.len()).or_default().insert(canary.to_vec());
    }

    /// What either looks for, in one walk.
    pub fn and(mut self, other: Hunt) -> Hunt {
        for (length, canaries) in other.0 {
            self.0.entry(length).or_default().extend(canaries);
        }
        self
    }

    pub fn canaries(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }

    pub fn find(&self, content: &[u8]) -> Option<String> {
        let mut found =
            self.0.iter().flat_map(|(length, canaries)| content.windows(*length).filter(|it| canaries.contains(*it)));
        found.next().map(|canary| String::from_utf8_lossy(canary).into_owned())
    }
}

/// Every file below a folder with its path.
pub fn contents_below(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut contents = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => contents.extend(contents_below(&path)?),
            // A socket has nothing to read.
            false if path.is_file() => contents.push((path.display().to_string(), fs::read(&path)?)),
            false => {}
        }
    }
    Ok(contents)
}
