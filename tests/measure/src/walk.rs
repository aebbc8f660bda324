/// Instruments with a resolution of 0.1: each turn three of ten move by one step. The same from the same seed.
pub struct Walk {
    seed: u64,
    tenths: Vec<i32>,
}

impl Walk {
    pub fn new(values: usize) -> Walk {
        let mut walk = Walk { seed: 0x9e37_79b9_7f4a_7c15, tenths: Vec::new() };
        walk.tenths = (0..values).map(|_| 100 + (walk.next() % 9_000) as i32).collect();
        walk
    }

    pub fn turn(&mut self) {
        for at in 0..self.tenths.len() {
            match self.next() % 20 {
                0..=2 => self.tenths[at] += 1,
                3..=5 => self.tenths[at] -= 1,
                _ => {}
            }
        }
    }

    /// What the instruments show.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        self.tenths.iter().map(|tenths| *tenths as f32 / 10.0)
    }

    /// Xorshift (Marsaglia 2003).
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_ten_move_by_one_step_in_a_turn() {
        let mut walk = Walk::new(10_000);
        let before = walk.tenths.clone();
        walk.turn();
        let moved = before.iter().zip(&walk.tenths).filter(|(before, after)| before != after).count();
        assert!((2_700..3_300).contains(&moved), "{moved}");
        assert!(before.iter().zip(&walk.tenths).all(|(before, after)| before.abs_diff(*after) <= 1));
    }
}
