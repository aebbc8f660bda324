/// Modbus sends each register high byte first (Modbus Application Protocol V1.1b3, 4.2) and says nothing about values
/// of several registers, so devices differ. With the bytes of a value lettered from its most significant, the wire
/// carries
///
/// | words | bytes | `u16` 0x4142 | `u32` 0x41424344 | `u64` 0x4142434445464748 |
/// |---|---|---|---|---|
/// | in order | in order | AB | ABCD | ABCDEFGH |
/// | reversed | in order | AB | CDAB | GHEFCDAB |
/// | in order | swapped | BA | BADC | BADCFEHG |
/// | reversed | swapped | BA | DCBA | HGFEDCBA |
/// | pairs swapped | in order | | | CDABGHEF |
/// | pairs swapped | swapped | | | DCBAHGFE |
/// | halves swapped | in order | | | EFGHABCD |
/// | halves swapped | swapped | | | FEHGBADC |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteOrder {
    pub(crate) words: WordOrder,
    pub(crate) are_bytes_swapped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WordOrder {
    #[default]
    InOrder,
    Reversed,
    /// Of four registers: each 32-bit half is reversed, the halves are in order.
    PairsSwapped,
    /// Of four registers: the 32-bit halves are swapped, each is in order.
    HalvesSwapped,
}

type Words<const N: usize> = [(&'static str, ByteOrder); N];

const fn order(words: WordOrder, are_bytes_swapped: bool) -> ByteOrder {
    ByteOrder { words, are_bytes_swapped }
}

impl ByteOrder {
    pub(crate) const PLAIN: ByteOrder = order(WordOrder::InOrder, false);

    pub(crate) const OF_16: Words<2> = [("ab", ByteOrder::PLAIN), ("ba", order(WordOrder::InOrder, true))];

    pub(crate) const OF_32: Words<4> = [
        ("abcd", ByteOrder::PLAIN),
        ("cdab", order(WordOrder::Reversed, false)),
        ("badc", order(WordOrder::InOrder, true)),
        ("dcba", order(WordOrder::Reversed, true)),
    ];

    /// The four of 32 bits mean the same for any number of registers.
    pub(crate) const OF_64: Words<12> = [
        ByteOrder::OF_32[0],
        ByteOrder::OF_32[1],
        ByteOrder::OF_32[2],
        ByteOrder::OF_32[3],
        ("abcdefgh", ByteOrder::PLAIN),
        ("ghefcdab", order(WordOrder::Reversed, false)),
        ("badcfehg", order(WordOrder::InOrder, true)),
        ("hgfedcba", order(WordOrder::Reversed, true)),
        ("cdabghef", order(WordOrder::PairsSwapped, false)),
        ("dcbahgfe", order(WordOrder::PairsSwapped, true)),
        ("efghabcd", order(WordOrder::HalvesSwapped, false)),
        ("fehgbadc", order(WordOrder::HalvesSwapped, true)),
    ];

    /// The bits of up to four registers as one number.
    pub(crate) fn join(self, words: &[u16]) -> u64 {
        let join = |bits: u64, word: &u16| bits << 16 | u64::from(self.word(*word));
        match (self.words, words) {
            (WordOrder::Reversed, _) => words.iter().rev().fold(0, join),
            (WordOrder::PairsSwapped, [a, b, c, d]) => [b, a, d, c].into_iter().fold(0, join),
            (WordOrder::HalvesSwapped, [a, b, c, d]) => [c, d, a, b].into_iter().fold(0, join),
            _ => words.iter().fold(0, join),
        }
    }

    /// High byte first.
    pub(crate) fn word(self, word: u16) -> u16 {
        if self.are_bytes_swapped { word.swap_bytes() } else { word }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    /// The name of an order is what the wire carries: reading it gives the alphabet.
    #[test]
    fn every_order_reads_its_own_name_as_the_alphabet() {
        let names = ByteOrder::OF_16.into_iter().chain(ByteOrder::OF_32).chain(ByteOrder::OF_64);
        let mut seen = std::collections::BTreeSet::new();
        for (name, order) in names {
            let words: Vec<u16> = name.as_bytes().chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            let bytes = order.join(&words).to_be_bytes();
            assert_eq!(&bytes[8 - name.len()..], &b"abcdefgh"[..name.len()], "{name}");
            seen.insert(name);
        }
        assert_eq!(seen.len(), 2 + 4 + 8);
    }

    #[test]
    fn the_short_names_mean_the_same_for_more_registers() {
        let long = |short: &str| {
            let (_, order) = ByteOrder::OF_64.into_iter().find(|(name, _)| *name == short).unwrap();
            ByteOrder::OF_64.into_iter().find(|(name, other)| name.len() == 8 && *other == order).unwrap().0
        };
        assert_eq!(["abcd", "cdab", "badc", "dcba"].map(long), ["abcdefgh", "ghefcdab", "badcfehg", "hgfedcba"]);
        let three = ByteOrder { words: WordOrder::Reversed, are_bytes_swapped: false };
        assert_eq!(three.join(&[1, 2, 3]), 0x0003_0002_0001);
    }
}
