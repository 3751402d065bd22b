//! A contiguous run, folded in one fixed order on every machine.
//!
//! ```text
//! block of 256:  lane j joins elements j, j + 32, ..., j + 224 as a tree
//! chunk:         blocks join pairwise, lane by lane, as a binary counter carries
//!                then the 32 lanes join as a tree
//! run:           chunks join pairwise
//! ```
//!
//! An element of a sum of n meets about log2(n) additions. The order depends on the length alone:
//! neither on the instruction set nor on the number of threads.
//!
//! The loops over lanes are written for the vectoriser: it handles a loop that is long (or of
//! unknown length), but short ones are unrolled first, and comparisons then stay scalar.

use super::fold::{Fold, Sum};

/// Elements per block.
pub const BLOCK: usize = 256;
/// Elements per chunk: the unit of work of one thread, and of [`BlockSum`].
pub const CHUNK: usize = 32_768;
const LANES: usize = 32;
/// Occupied levels of the counter: 128 blocks need 7 while counting.
const DEPTH: usize = 8;

/// As many accumulators as the fastest registers need to hide the latency of an addition.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<T>([T; LANES]);

#[inline(always)]
fn join_lanes<F: Fold>(a: &Lanes<F::Acc>, b: &Lanes<F::Acc>) -> Lanes<F::Acc> {
    let mut out = *a;
    for (x, y) in out.0.iter_mut().zip(&b.0) {
        *x = F::join(*x, *y);
    }
    out
}

/// The lanes of a block of at most [`BLOCK`] elements.
#[inline(always)]
fn lanes<F: Fold>(fold: F, block: &[F::In]) -> Lanes<F::Acc> {
    let mut acc = Lanes([F::IDENTITY; LANES]);
    if let Some(block) = block.first_chunk::<BLOCK>() {
        for (j, acc) in acc.0.iter_mut().enumerate() {
            let x: [_; 8] = std::array::from_fn(|k| fold.load(block[k * LANES + j]));
            *acc = tree8::<F>(x);
        }
    } else if block.len() < LANES {
        acc.0[0] = short(fold, block);
    } else {
        for row in block.chunks(LANES) {
            for (a, &x) in acc.0.iter_mut().zip(row) {
                *a = F::join(*a, fold.load(x));
            }
        }
    }
    acc
}

#[inline(always)]
pub(super) fn tree8<F: Fold>(x: [F::Acc; 8]) -> F::Acc {
    let [a, b, c, d] = std::array::from_fn(|i| F::join(x[2 * i], x[2 * i + 1]));
    F::join(F::join(a, b), F::join(c, d))
}

/// Fewer elements than lanes: four accumulators and the rest in order.
#[inline(always)]
fn short<F: Fold>(fold: F, block: &[F::In]) -> F::Acc {
    let mut a = [F::IDENTITY; 4];
    let quads = block.chunks_exact(4);
    let mut rest = F::IDENTITY;
    for &x in quads.remainder() {
        rest = F::join(rest, fold.load(x));
    }
    for quad in quads {
        for (a, &x) in a.iter_mut().zip(quad) {
            *a = F::join(*a, fold.load(x));
        }
    }
    F::join(F::join(F::join(a[0], a[2]), F::join(a[1], a[3])), rest)
}

#[inline(always)]
fn tree<F: Fold>(mut lanes: Lanes<F::Acc>) -> F::Acc {
    let a = &mut lanes.0;
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            a[i] = F::join(a[i], a[i + half]);
        }
    }
    // A sum of -0 is +0.
    F::join(F::IDENTITY, a[0])
}

/// Folds one block: as a chunk of that block alone.
#[inline(always)]
pub(super) fn fold_block<F: Fold>(fold: F, block: &[F::In]) -> F::Acc {
    if block.len() < LANES { short(fold, block) } else { tree::<F>(lanes(fold, block)) }
}

/// Folds a contiguous chunk.
#[inline(always)]
pub(super) fn fold_chunk<F: Fold>(fold: F, chunk: &[F::In]) -> F::Acc {
    if chunk.len() <= BLOCK {
        return fold_block(fold, chunk);
    }
    let mut blocks = Blocks::new();
    for block in chunk.chunks(BLOCK) {
        blocks.push(fold, block);
    }
    blocks.finish()
}

/// The fold of a chunk that arrives block by block.
#[derive(Clone)]
pub(super) struct Blocks<F: Fold> {
    /// Folds of runs of blocks, longest first; their lengths are the one bits of `count`.
    stack: [Lanes<F::Acc>; DEPTH],
    count: usize,
}

impl<F: Fold> Blocks<F> {
    #[inline(always)]
    pub fn new() -> Blocks<F> {
        Blocks { stack: [Lanes([F::IDENTITY; LANES]); DEPTH], count: 0 }
    }

    #[inline(always)]
    pub fn push(&mut self, fold: F, block: &[F::In]) {
        let mut top = lanes(fold, block);
        let mut depth = self.count.count_ones() as usize;
        for _ in 0..self.count.trailing_ones() {
            depth -= 1;
            top = join_lanes::<F>(&self.stack[depth], &top);
        }
        self.stack[depth] = top;
        self.count += 1;
    }

    #[inline(always)]
    pub fn finish(self) -> F::Acc {
        let depth = self.count.count_ones() as usize;
        let Some((last, longer)) = self.stack[..depth].split_last() else {
            return F::IDENTITY;
        };
        tree::<F>(longer.iter().rev().fold(*last, |acc, x| join_lanes::<F>(x, &acc)))
    }
}

/// The sum of one chunk whose blocks are at hand one after the other, as in a fused computation.
///
/// `reduce` of the whole contiguous run gives, bit for bit, [`combine`] of the chunks' sums.
///
/// ```
/// use wengert_kernels::reduce::{BLOCK, BlockSum, CHUNK, combine};
/// let x = vec![0.1f32; 100_000];
/// let partials: Vec<f32> = x
///     .chunks(CHUNK)
///     .map(|chunk| {
///         let mut sum = BlockSum::new();
///         chunk.chunks(BLOCK).for_each(|block| sum.push(block));
///         sum.finish()
///     })
///     .collect();
/// assert!((combine(&partials) - 10_000.).abs() < 0.01);
/// ```
#[derive(Clone)]
pub struct BlockSum<T>(Blocks<Sum<T>>)
where
    Sum<T>: Fold<In = T, Acc = T, Out = T> + Default;

impl<T> BlockSum<T>
where
    Sum<T>: Fold<In = T, Acc = T, Out = T> + Default,
{
    /// A sum of no elements.
    #[inline(always)]
    pub fn new() -> BlockSum<T> {
        BlockSum(Blocks::new())
    }

    /// Adds the next block, compiled for the instruction set of the caller.
    ///
    /// Blocks have [`BLOCK`] elements, the last of a chunk from 1 to that; a chunk has at most
    /// [`CHUNK`] elements. Others give a sum too, but not that of `reduce`.
    #[inline(always)]
    pub fn push(&mut self, block: &[T]) {
        self.0.push(Sum::default(), block);
    }

    /// The chunk's sum.
    #[inline(always)]
    pub fn finish(self) -> T {
        self.0.finish()
    }
}

impl<T> Default for BlockSum<T>
where
    Sum<T>: Fold<In = T, Acc = T, Out = T> + Default,
{
    fn default() -> BlockSum<T> {
        BlockSum::new()
    }
}

/// The sum of the chunks' sums, pairwise; 0 for none.
pub fn combine<T: Copy>(partials: &[T]) -> T
where
    Sum<T>: Fold<In = T, Acc = T, Out = T> + Default,
{
    match partials {
        [] => Sum::<T>::IDENTITY,
        &[x] => x,
        _ => {
            // The tree of `join_chunks`: the largest power of two that is less than the length.
            let (a, b) = partials.split_at(partials.len().next_power_of_two() / 2);
            Sum::<T>::join(combine(a), combine(b))
        }
    }
}

/// Joins the rows of a matrix pairwise into its first row, in place.
pub(super) fn join_chunks<F: Fold>(rows: &mut [F::Acc], width: usize) {
    let count = rows.len() / width;
    let mut step = 1;
    while step < count {
        for pair in rows.chunks_mut(2 * step * width) {
            if pair.len() > step * width {
                let (a, b) = pair.split_at_mut(step * width);
                for (a, b) in a[..width].iter_mut().zip(b) {
                    *a = F::join(*a, *b);
                }
            }
        }
        step *= 2;
    }
}
