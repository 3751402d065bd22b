//! One output at a time: the blocks of its elements, wherever they lie.

use super::block::{BLOCK, Blocks, fold_block, fold_chunk};
use super::fold::Fold;
use super::layout::{Layout, Mode};

/// Calls `f(position, block)` for the elements `range` of the output whose elements start at `src`,
/// in blocks of [`BLOCK`] (the last may be shorter).
///
/// # Safety
/// The elements of `layout` from `src` on can be read.
#[inline(always)]
pub(super) unsafe fn for_blocks<T: Copy>(
    layout: &Layout,
    src: *const T,
    range: std::ops::Range<usize>,
    buffer: &mut [T; BLOCK],
    mut f: impl FnMut(usize, &[T]),
) {
    if layout.mode == Mode::Run {
        // SAFETY: a single dimension of stride 1.
        let run = unsafe { std::slice::from_raw_parts(src.add(range.start), range.len()) };
        return run.chunks(BLOCK).zip(0..).for_each(|(b, i)| f(range.start + i * BLOCK, b));
    }
    let (run, stride) = layout.reduced.last().copied().unwrap_or((1, 1));
    let mut at = range.start;
    let (mut row, mut column) = (at / run.max(1), at % run.max(1));
    let mut filled = 0;
    while at + filled < range.end {
        // SAFETY: the element lies in `range`, so in the layout.
        let p = unsafe { src.offset(layout.element(row * run + column)) };
        let left = (run - column).min(range.end - at - filled);
        let n = if filled == 0 && stride == 1 && left >= BLOCK {
            // SAFETY: a row has `left` more elements, one after the other.
            f(at, unsafe { std::slice::from_raw_parts(p, BLOCK) });
            at += BLOCK;
            BLOCK
        } else {
            let n = left.min(BLOCK - filled);
            for (i, x) in buffer[filled..filled + n].iter_mut().enumerate() {
                // SAFETY: as above, `stride` apart.
                *x = unsafe { *p.offset(i as isize * stride) };
            }
            filled += n;
            n
        };
        column += n;
        if column == run {
            (row, column) = (row + 1, 0);
        }
        if filled == BLOCK || at + filled == range.end && filled > 0 {
            f(at, &buffer[..filled]);
            at += filled;
            filled = 0;
        }
    }
}

/// Folds the elements `range` of the output whose elements start at `src`.
///
/// # Safety
/// As [`for_blocks`].
#[inline(always)]
pub(super) unsafe fn fold_range<F: Fold>(
    fold: F,
    layout: &Layout,
    src: *const F::In,
    range: std::ops::Range<usize>,
    buffer: &mut [F::In; BLOCK],
) -> F::Acc {
    if layout.mode == Mode::Run {
        // SAFETY: a single dimension of stride 1.
        let run = unsafe { std::slice::from_raw_parts(src.add(range.start), range.len()) };
        return fold_chunk(fold, run);
    }
    if range.len() <= BLOCK {
        let mut acc = F::IDENTITY;
        // SAFETY: the caller's; one block arrives.
        unsafe { for_blocks(layout, src, range, buffer, |_, block| acc = fold_block(fold, block)) };
        return acc;
    }
    let mut blocks = Blocks::new();
    // SAFETY: the caller's.
    unsafe { for_blocks(layout, src, range, buffer, |_, block| blocks.push(fold, block)) };
    blocks.finish()
}
