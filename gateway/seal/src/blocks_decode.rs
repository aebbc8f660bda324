//! From blocks back to columns. Every number here was chosen by the sender.

use crate::columns_decode::entry_rows;
use crate::{BATCH_READINGS_MAX, BatchRefused, wire};

/// The columns that the batch's blocks stand for, in order.
pub(crate) fn columns(batch: &wire::Batch) -> Result<Vec<wire::Column>, BatchRefused> {
    let mut columns = Vec::new();
    let mut readings = 0_usize;
    for block in &batch.blocks {
        let first = block.alias.first().copied().unwrap_or(0);
        let entries = match block.row.len() {
            0 => batch.rows as usize,
            rows => rows,
        };
        readings = readings.saturating_add(entries.saturating_mul(block.alias.len()));
        if readings > BATCH_READINGS_MAX || batch.rows as usize > BATCH_READINGS_MAX {
            return Err(BatchRefused::TooLarge);
        }
        let differences = entries.checked_sub(1).ok_or(BatchRefused::Rows { alias: first })?;
        let values = firsts(&block.first, block.alias.len()).ok_or(BatchRefused::Values { alias: first })?;
        let is_whole = block.v.len() == differences * block.alias.len();
        if !is_whole || block.alias.iter().skip(1).any(|difference| *difference == 0) {
            return Err(BatchRefused::Values { alias: first });
        }
        let mut alias = 0_u32;
        for (point, (difference, value)) in block.alias.iter().zip(values).enumerate() {
            alias = alias.checked_add(*difference).ok_or(BatchRefused::Alias { alias })?;
            let behind = &block.v[point * differences..][..differences];
            let v = std::iter::once(value).chain(behind.iter().copied()).collect();
            columns.push(wire::Column { alias, v, row: block.row.clone(), places: block.places, ..Default::default() });
        }
    }
    Ok(columns)
}

/// `None`: not as many bytes as a whole number of 1 to 8 for each point.
fn firsts(planes: &[u8], points: usize) -> Option<Vec<i64>> {
    let width =
        planes.len().checked_div(points).filter(|width| (1..=8).contains(width) && width * points == planes.len())?;
    let value = |point: usize| {
        let bytes = (0..width).map(|byte| u64::from(planes[byte * points + point]) << (8 * byte));
        let zigzag = bytes.fold(0, |value, byte| value | byte);
        (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
    };
    Some((0..points).map(value).collect())
}

/// The row of every reading of the batch's blocks.
pub(crate) fn rows(batch: &wire::Batch, rows: usize) -> Result<Vec<usize>, BatchRefused> {
    let mut all = Vec::new();
    for column in columns(batch)? {
        all.extend(entry_rows(&column, rows)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: u32, block: wire::Block) -> wire::Batch {
        wire::Batch { rows, blocks: vec![block], ..wire::Batch::default() }
    }

    fn block() -> wire::Block {
        wire::Block { alias: vec![3, 1], first: vec![200, 0x90, 0, 1], v: vec![1, 2, -1, -2], ..wire::Block::default() }
    }

    #[test]
    fn a_block_stands_for_a_column_of_each_of_its_points() {
        let columns = columns(&batch(3, block())).map(|columns| {
            let shown = columns.into_iter().map(|column| (column.alias, column.v));
            shown.collect::<Vec<_>>()
        });
        assert_eq!(columns, Ok(vec![(3, vec![100, 1, 2]), (4, vec![200, -1, -2])]));
    }

    #[test]
    fn blocks_that_lie_about_their_size_are_refused() {
        let refused = |rows, block| columns(&batch(rows, block)).map(|columns| columns.len());
        assert_eq!(refused(0, block()), Err(BatchRefused::Rows { alias: 3 }));
        for rows in [1, 2, 4] {
            assert_eq!(refused(rows, block()), Err(BatchRefused::Values { alias: 3 }), "{rows}");
        }
        let same_twice = wire::Block { alias: vec![3, 0], ..block() };
        assert_eq!(refused(3, same_twice), Err(BatchRefused::Values { alias: 3 }));
        let beyond = wire::Block { alias: vec![u32::MAX, 1], ..block() };
        assert_eq!(refused(3, beyond), Err(BatchRefused::Alias { alias: u32::MAX }));
        assert_eq!(refused(100_000, block()), Err(BatchRefused::TooLarge));
    }

    proptest! {
        #[test]
        fn any_block_ends_without_panic(
            rows in 0_u32..9, alias: Vec<u32>, row in proptest::collection::vec(0_u32..4, 0..5), first: Vec<u8>,
            v: Vec<i64>, places: Option<u32>,
        ) {
            let block = wire::Block { alias, row, first, v, places };
            let batch = batch(rows, block);
            let _ = crate::decode_batch(&batch, &wire::Catalogue::default());
            let _ = super::rows(&batch, rows as usize);
        }
    }
}
