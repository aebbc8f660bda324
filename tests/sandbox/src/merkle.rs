//! The hash of a Merkle tree as RFC 9162, section 2.1.1, defines it.

use crate::keys::sha256;

pub(crate) fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(&[]),
        [leaf] => hash(&[0x00], leaf, &[]),
        _ => {
            let left = leaves.len().next_power_of_two() / 2;
            hash(&[0x01], &root(&leaves[..left]), &root(&leaves[left..]))
        }
    }
}

fn hash(prefix: &[u8], left: &[u8], right: &[u8]) -> [u8; 32] {
    sha256(&[prefix, left, right].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_splits_at_the_largest_power_of_two_below_its_size() {
        let leaf = |n: u8| [n; 32];
        let hashed = |n: u8| root(&[leaf(n)]);
        let node = |left: [u8; 32], right: [u8; 32]| hash(&[1], &left, &right);
        assert_eq!(root(&[leaf(0), leaf(1)]), node(hashed(0), hashed(1)));
        assert_eq!(root(&[leaf(0), leaf(1), leaf(2)]), node(node(hashed(0), hashed(1)), hashed(2)));
        assert_eq!(root(&[]), sha256(b""));
    }
}
