//! Changes of bytes, from a seed. Nothing is known of what a program does with them: no coverage leads the way.

/// What lengths, counts and numbers break on.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, u64::MAX];
const BYTES_MAX: usize = 64 << 10;

/// xorshift64*: the same seed gives the same bytes.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// One of the corpus, changed one to eight times.
pub(crate) fn input(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus.get(dice.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=dice.below(8) {
        change(dice, &mut bytes, corpus);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(dice: &mut Dice, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = dice.below(bytes.len());
    let end = at + dice.below((bytes.len() - at).min(64) + 1);
    match dice.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 if !bytes.is_empty() => bytes[at] = dice.next() as u8,
        2 => bytes.insert(at, dice.next() as u8),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let again = bytes[at..end].repeat(1 + dice.below(16));
            bytes.splice(at..at, again);
        }
        5 => bytes.truncate(at),
        6 | 7 => {
            let number = NUMBERS[dice.below(NUMBERS.len())];
            let width = 1 << dice.below(4);
            let written = if dice.below(2) == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
            let part = if dice.below(2) == 0 { &written[8 - width..] } else { &written[..width] };
            part.iter().zip(bytes[at..].iter_mut()).for_each(|(from, to)| *to = *from);
        }
        _ => {
            let other = corpus.get(dice.below(corpus.len())).map(Vec::as_slice).unwrap_or_default();
            let from = dice.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
