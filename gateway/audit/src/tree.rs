use ring::digest::{Context, SHA256, digest};

pub type Hash = [u8; 32];

/// Root of an RFC 9162 Merkle tree (section 2.1.1) over leaves that arrive one by one, in memory of its height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Roots of the full subtrees, largest first: one for every bit that is set in `leaves`.
    roots: Vec<Hash>,
    leaves: u64,
}

/// More than any log has, and far from the end of the numbers: a forged header claims no more.
const LEAVES_MAX: u64 = 1 << 53;

impl Tree {
    /// Of a tree with this many leaves. `None`: the number of roots does not fit to it.
    pub fn from_frontier(leaves: u64, roots: Vec<Hash>) -> Option<Tree> {
        let is_whole = leaves <= LEAVES_MAX && u64::from(leaves.count_ones()) == roots.len() as u64;
        is_whole.then_some(Tree { roots, leaves })
    }

    pub fn push(&mut self, entry: &[u8]) {
        self.push_hash(leaf_hash(entry));
    }

    /// A leaf of which only the hash is known.
    pub fn push_hash(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.roots.pop().expect("a set bit has its subtree");
            root = node_hash(&left, &root);
        }
        self.roots.push(root);
        self.leaves += 1;
    }

    pub fn size(&self) -> u64 {
        self.leaves
    }

    /// Roots of the full subtrees, largest first.
    pub fn frontier(&self) -> &[Hash] {
        &self.roots
    }

    /// Of no leaf: the hash of nothing.
    pub fn root(&self) -> Hash {
        let from_right = self.roots.iter().rev().copied();
        from_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| sha256(&[]))
    }
}

pub fn sha256(bytes: &[u8]) -> Hash {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// RFC 9162, 2.1.1: leaves and nodes can never be taken for each other.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    hash(0, &[entry])
}

pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

fn hash(domain: u8, parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[domain]);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
pub(crate) mod tests {
    use super::*;

    /// The recursive definition of the RFC, as the judge.
    pub(crate) fn definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                node_hash(&definition(left), &definition(right))
            }
        }
    }

    pub(crate) fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|byte| leaf_hash(&vec![byte; usize::from(byte)])).collect()
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let leaves = leaves(70);
        let mut tree = Tree::default();
        for size in 0..leaves.len() {
            assert_eq!(tree.root(), definition(&leaves[..size]), "{size} leaves");
            let again = Tree::from_frontier(tree.size(), tree.frontier().to_vec()).unwrap();
            assert_eq!((again.root(), Tree::from_frontier(size as u64 + 64, Vec::new())), (tree.root(), None));
            tree.push(&vec![size as u8; size]);
        }
    }
}
