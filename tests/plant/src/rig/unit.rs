use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::model::Area;
use crate::motion::Motion;
use crate::spec::DeviceSpec;

/// One unit: answers what a device answers.
#[derive(Clone)]
pub(crate) struct Unit {
    spec: DeviceSpec,
    counters: BTreeMap<Area, u32>,
    /// When the newest polls of the first table were asked for.
    begun: VecDeque<(u32, Instant)>,
}

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

impl Unit {
    pub(crate) fn new(spec: DeviceSpec) -> Unit {
        Unit { spec, counters: BTreeMap::new(), begun: VecDeque::new() }
    }

    pub(crate) fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    pub(crate) fn polls(&self) -> u32 {
        self.counters.values().copied().max().unwrap_or(0)
    }

    pub(crate) fn begun(&self, n: u32) -> Option<Instant> {
        self.begun.iter().find(|(begun, _)| *begun == n).map(|(_, at)| *at)
    }

    /// The PDU of the answer. `extra`: registers more or fewer than asked. `pattern`: what the registers hold instead.
    pub(crate) fn answer(&mut self, pdu: &[u8], extra: i16, pattern: Option<u16>) -> Vec<u8> {
        match self.registers(pdu, extra, pattern) {
            Ok(answer) => answer,
            Err(code) => vec![pdu.first().copied().unwrap_or(0) | 0x80, code],
        }
    }

    fn registers(&mut self, pdu: &[u8], extra: i16, pattern: Option<u16>) -> Result<Vec<u8>, u8> {
        let &[function, a, b, c, d] = pdu else {
            return if pdu == [0x2B, 0x0E, 1, 0] { Ok(identification(&self.spec)) } else { Err(ILLEGAL_FUNCTION) };
        };
        let area = match function {
            1 => Area::Coil,
            2 => Area::Discrete,
            3 => Area::Holding,
            4 => Area::Input,
            _ => return if pdu == [0x2B, 0x0E, 1, 0] { Ok(identification(&self.spec)) } else { Err(ILLEGAL_FUNCTION) },
        };
        let (address, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if count == 0 || count > if area.is_bits() { 2000 } else { 125 } {
            return Err(ILLEGAL_VALUE);
        }
        if u32::from(address) + u32::from(count) > self.spec.end(area) {
            return Err(ILLEGAL_ADDRESS);
        }
        let n = self.next_n(area, address, count);
        let mut words = self.spec.words(area, address, count, n);
        if let Some(pattern) = pattern {
            words.fill(pattern);
        }
        words.resize(usize::from(count.saturating_add_signed(extra)), 0);
        let bytes: Vec<u8> = match area.is_bits() {
            true => words
                .chunks(8)
                .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0)))
                .collect(),
            false => words.iter().flat_map(|word| word.to_be_bytes()).collect(),
        };
        // More than a byte can count is what a broken device sends.
        Ok([&[function, bytes.len() as u8], bytes.as_slice()].concat())
    }

    /// As in [`crate::Plant`]: a request that covers a table's serve counter begins a new poll of that table.
    fn next_n(&mut self, area: Area, address: u16, count: u16) -> u32 {
        let begins = self.spec.covered(area, address, count).any(|tag| tag.motion == Motion::Counter);
        if area.is_bits() {
            let first = self.spec.tags().iter().find(|tag| tag.motion == Motion::Counter);
            return first.and_then(|counter| self.counters.get(&counter.area)).copied().unwrap_or(0);
        }
        let n = self.counters.entry(area).or_insert(0);
        if begins {
            *n = n.wrapping_add(1);
            #[expect(clippy::disallowed_methods, reason = "a test's device has a clock of its own")]
            self.begun.push_back((*n, Instant::now()));
            if self.begun.len() > 1000 {
                self.begun.pop_front();
            }
        }
        *n
    }
}

/// Basic: vendor, product code, revision (Application Protocol V1.1b3, 6.21).
fn identification(spec: &DeviceSpec) -> Vec<u8> {
    let objects = ["lingate", spec.kind().name(), "1.0"];
    let mut pdu = vec![0x2B, 0x0E, 1, 1, 0, 0, 3];
    for (id, text) in (0..).zip(objects) {
        pdu.extend([id, u8::try_from(text.len()).expect("a short text")]);
        pdu.extend(text.as_bytes());
    }
    pdu
}
