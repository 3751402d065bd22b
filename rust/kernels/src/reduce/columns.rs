//! Many neighbouring outputs at once: rows are folded into a strip of accumulators.
//!
//! ```text
//! 8 rows:      join as a tree, then into the accumulators    (one load and store for eight rows)
//! 128 rows:    a block; blocks join pairwise, as a binary counter carries
//! chunk:       at most 1,024 rows; chunks join pairwise
//! ```
//!
//! A narrow matrix without gaps is read as a wider one, each of its rows several true ones.

use super::fold::Fold;
use super::layout::{Layout, Unit};

/// Rows accumulated in order before the pairwise joins begin.
const ROWS: usize = 128;
/// A dense matrix narrower than this is read as a wider one.
const WIDE: usize = 128;

/// Folds one unit; the strip's accumulators stand first in `scratch`, which is only memory kept.
///
/// # Safety
/// The elements of `layout` from `src` on (which has the group's offset) can be read.
#[inline(always)]
pub(super) unsafe fn fold_strip<F: Fold>(
    fold: F,
    layout: &Layout,
    src: *const F::In,
    unit: &Unit,
    scratch: &mut Vec<F::Acc>,
) {
    let (rows, strip) = (layout.chunk(unit.chunk), layout.strip(unit.strip));
    let width = strip.len();
    // SAFETY: row and column lie in the layout.
    let row = |i: usize| unsafe { src.offset(layout.element(i)).add(strip.start) };
    let dense = !F::BY_OUTPUT
        && matches!(*layout.reduced, [(_, stride)] if stride == layout.width as isize);
    // How many rows to read as one: a power of two.
    let fused = if dense { (WIDE / width).min(rows.len() / 4).max(1) } else { 1 };
    let fused = 1 << fused.ilog2();
    let wide_rows = rows.len() / fused;
    let first = rows.start;
    // SAFETY: `fused` dense rows are one row of as many times the width.
    unsafe {
        fold_rows(fold, |i| row(first + i * fused), wide_rows, width * fused, scratch);
    }
    let mut parts = fused;
    while parts > 1 {
        parts /= 2;
        let (a, b) = scratch.split_at_mut(parts * width);
        for (a, b) in a.iter_mut().zip(b) {
            *a = F::join(*a, *b);
        }
    }
    scratch.truncate(width);
    for i in first + wide_rows * fused..rows.end {
        // SAFETY: a row of the layout.
        unsafe { add_row(fold, row(i), scratch) };
    }
}

/// Folds `count` rows of `width` elements into the front of `scratch`.
///
/// # Safety
/// The rows can be read.
#[inline(always)]
unsafe fn fold_rows<F: Fold>(
    fold: F,
    row: impl Fn(usize) -> *const F::In,
    count: usize,
    width: usize,
    scratch: &mut Vec<F::Acc>,
) {
    // A stack of blocks' results, of which the last is being made.
    scratch.clear();
    for block in 0..count.div_ceil(ROWS).max(1) {
        let top = scratch.len();
        scratch.resize(top + width, F::IDENTITY);
        let acc = &mut scratch[top..];
        let (mut i, end) = (block * ROWS, ((block + 1) * ROWS).min(count));
        while i + 8 <= end {
            // SAFETY: the caller's.
            unsafe { add_rows(fold, std::array::from_fn(|k| row(i + k)), acc) };
            i += 8;
        }
        while i < end {
            // SAFETY: the caller's.
            unsafe { add_row(fold, row(i), acc) };
            i += 1;
        }
        for _ in 0..block.trailing_ones() {
            pop::<F>(scratch, width);
        }
    }
    while scratch.len() > width {
        pop::<F>(scratch, width);
    }
}

/// Joins the topmost two of the stack.
#[inline(always)]
fn pop<F: Fold>(stack: &mut Vec<F::Acc>, width: usize) {
    let top = stack.len() - width;
    let (a, b) = stack.split_at_mut(top);
    for (a, b) in a[top - width..].iter_mut().zip(b) {
        *a = F::join(*a, *b);
    }
    stack.truncate(top);
}

/// Folds eight rows, as a tree, into `acc`.
///
/// # Safety
/// Each row has as many elements as `acc`.
#[inline(always)]
unsafe fn add_rows<F: Fold>(fold: F, rows: [*const F::In; 8], acc: &mut [F::Acc]) {
    for (j, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's.
        *acc = F::join(*acc, F::join8(rows.map(|row| fold.load_column(j, unsafe { *row.add(j) }))));
    }
}

/// Folds a row into `acc`.
///
/// # Safety
/// The row has as many elements as `acc`.
#[inline(always)]
unsafe fn add_row<F: Fold>(fold: F, row: *const F::In, acc: &mut [F::Acc]) {
    // SAFETY: the caller's.
    let row = unsafe { std::slice::from_raw_parts(row, acc.len()) };
    for (j, (acc, &x)) in acc.iter_mut().zip(row).enumerate() {
        *acc = F::join(*acc, fold.load_column(j, x));
    }
}
