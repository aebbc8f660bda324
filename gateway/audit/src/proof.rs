//! Merkle proofs of RFC 9162, sections 2.1.3 and 2.1.4.

use crate::tree::node_hash;
use crate::{Hash, Tree};

/// That the tree over `old` and then `added` begins with the tree `old`. Every hash left of the old end is in `old`'s
/// frontier, so no older leaf is needed.
pub fn prove_consistency(old: &Tree, added: &[Hash]) -> Vec<Hash> {
    let size = old.size() + added.len() as u64;
    if old.size() == 0 || added.is_empty() {
        return Vec::new();
    }
    let mut proof = Vec::new();
    let mut span = Span { start: 0, end: size };
    // SUBPROOF, from the root down to the node in which the old tree ends.
    while span.end != old.size() {
        let split = span.split();
        if old.size() <= split {
            proof.push(root_of(added, old.size(), Span { start: split, end: span.end }));
            span.end = split;
        } else {
            proof.push(full(old, span.start));
            span.start = split;
        }
    }
    if span.start != 0 {
        proof.push(full(old, span.start));
    }
    proof.reverse();
    proof
}

/// RFC 9162, 2.1.4.2.
pub fn is_consistent(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size == new_size {
        return proof.is_empty() && (old_size == 0 || old_root == new_root);
    }
    if old_size > new_size {
        return false;
    }
    let mut hashes = proof.iter();
    let (mut fnode, mut snode) = (old_size - 1, new_size - 1);
    let twos = fnode.trailing_ones();
    (fnode, snode) = (fnode >> twos, snode >> twos);
    let first = if old_size.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut from_old, mut from_new) = (*first, *first);
    for hash in hashes {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            (from_old, from_new) = (node_hash(hash, &from_old), node_hash(hash, &from_new));
            while fnode & 1 == 0 && fnode != 0 {
                (fnode, snode) = (fnode >> 1, snode >> 1);
            }
        } else {
            from_new = node_hash(&from_new, hash);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    snode == 0 && from_old == *old_root && from_new == *new_root
}

/// The audit path of leaf `index` in the tree over `leaves`.
pub fn prove_inclusion(leaves: &[Hash], index: u64) -> Vec<Hash> {
    let mut proof = Vec::new();
    let mut span = Span { start: 0, end: leaves.len() as u64 };
    while index < span.end && span.end - span.start > 1 {
        let split = span.split();
        if index < split {
            proof.push(root_of(leaves, 0, Span { start: split, end: span.end }));
            span.end = split;
        } else {
            proof.push(root_of(leaves, 0, Span { start: span.start, end: split }));
            span.start = split;
        }
    }
    proof.reverse();
    proof
}

/// RFC 9162, 2.1.3.2.
pub fn is_included(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node_hash(sibling, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                (fnode, snode) = (fnode >> 1, snode >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (fnode, snode) = (fnode >> 1, snode >> 1);
    }
    snode == 0 && hash == *root
}

/// Leaves from `start` to before `end`, a node of the tree.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// Where the node's left child ends: it holds the largest power of two that is below the node's size.
    fn split(self) -> u64 {
        self.start + (self.end - self.start).next_power_of_two() / 2
    }
}

/// The full subtree that begins at leaf `start`: as many larger ones stand before it as `start` has bits.
fn full(tree: &Tree, start: u64) -> Hash {
    tree.frontier()[start.count_ones() as usize]
}

/// Root over a span of `leaves`, whose first has the number `first`.
fn root_of(leaves: &[Hash], first: u64, span: Span) -> Hash {
    let (start, end) = ((span.start - first) as usize, (span.end - first) as usize);
    let mut tree = Tree::default();
    leaves[start..end].iter().for_each(|leaf| tree.push_hash(*leaf));
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{definition, leaves};

    #[test]
    fn every_older_tree_is_proven_and_no_other() {
        let leaves = leaves(40);
        for new in 1..=leaves.len() {
            let root = definition(&leaves[..new]);
            let mut old = Tree::default();
            for size in 0..=new {
                let proof = prove_consistency(&old, &leaves[size..new]);
                let check = |old_root: &Hash, proof: &[Hash]| {
                    is_consistent((size as u64, old_root), (new as u64, &root), proof)
                };
                assert!(check(&old.root(), &proof), "{size} to {new}");
                if size > 0 {
                    assert!(!check(&[7; 32], &proof), "{size} to {new}");
                }
                if size > 0 && size < new {
                    assert!(!check(&old.root(), &proof[1..]), "{size} to {new}");
                    assert!(!check(&old.root(), &[&proof[..], &[[0; 32]]].concat()), "{size} to {new}");
                }
                if size < new {
                    old.push_hash(leaves[size]);
                }
            }
        }
    }

    #[test]
    fn every_leaf_is_proven_and_no_other() {
        let leaves = leaves(40);
        for size in 1..=leaves.len() {
            let root = definition(&leaves[..size]);
            for index in 0..size {
                let proof = prove_inclusion(&leaves[..size], index as u64);
                let check = |leaf: &Hash, at: usize| is_included(leaf, at as u64, size as u64, &root, &proof);
                assert!(check(&leaves[index], index), "{index} of {size}");
                assert!(!check(&[7; 32], index) && !check(&leaves[index], size), "{index} of {size}");
                assert!(size == 1 || !check(&leaves[index], (index + 1) % size), "{index} of {size}");
            }
        }
    }
}
