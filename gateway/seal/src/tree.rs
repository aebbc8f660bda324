use ring::digest::{Context, SHA256};

use crate::thumbprint::sha256;

type Hash = [u8; 32];

/// Root of an RFC 9162 Merkle tree (section 2.1.1) over leaves that arrive one by one, in memory of its height.
#[derive(Default)]
pub struct Tree {
    /// Roots of the full subtrees, largest first: one for every bit that is set in `leaves`.
    roots: Vec<Hash>,
    leaves: u64,
}

impl Tree {
    pub fn push(&mut self, entry: &[u8]) {
        let mut root = hash(0, &[entry]);
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.roots.pop().expect("a set bit has its subtree");
            root = hash(1, &[&left, &root]);
        }
        self.roots.push(root);
        self.leaves += 1;
    }

    /// Of no leaf: the hash of nothing.
    pub fn root(&self) -> Hash {
        let from_right = self.roots.iter().rev().copied();
        from_right.reduce(|right, left| hash(1, &[&left, &right])).unwrap_or_else(|| sha256(&[]))
    }
}

fn hash(domain: u8, parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[domain]);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursive definition of the RFC, as the judge.
    fn definition(entries: &[Vec<u8>]) -> Hash {
        match entries {
            [] => sha256(&[]),
            [one] => hash(0, &[one]),
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                hash(1, &[&definition(left), &definition(right)])
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let entries: Vec<Vec<u8>> = (0..70_u8).map(|byte| vec![byte; usize::from(byte)]).collect();
        let mut tree = Tree::default();
        for size in 0..entries.len() {
            assert_eq!(tree.root(), definition(&entries[..size]), "{size} leaves");
            tree.push(&entries[size]);
        }
    }
}
