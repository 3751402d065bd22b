//! A run of elements, folded in one fixed order on every machine.
//!
//! ```text
//! block of 256:  lane j joins elements j, j + 32, ..., j + 224 as a tree
//! chunk:         blocks join pairwise, lane by lane, as a binary counter carries;
//!                then the 32 lanes join as a tree; then the last, shorter block
//! run:           chunks join pairwise
//! ```
//!
//! An element of a sum of n meets about log2(n) additions (31 more at most in the short block). The
//! order depends on the length alone: neither on the instruction set nor on the number of threads.

use super::fold::{Fold, Sum};

/// Elements per block.
pub const BLOCK: usize = 256;
/// Elements per chunk: the unit of work of one thread, and of [`BlockSum`].
pub const CHUNK: usize = 32_768;
const LANES: usize = 32;
/// Occupied levels of the counter: 128 blocks need 7 while counting.
const DEPTH: usize = 8;

/// As many accumulators as registers hold at ease.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<T>([T; LANES]);

/// Joins a full block to `before`, lane by lane (a sum starts anew).
///
/// A loop over lanes outside and rows inside gets vectorised; one lane's work must be long enough
/// not to be unrolled first.
#[inline(always)]
fn lanes<F: Fold>(fold: F, before: &Lanes<F::Acc>, block: &[F::In; BLOCK]) -> Lanes<F::Acc> {
    let mut lanes = *before;
    for (j, lane) in lanes.0.iter_mut().enumerate() {
        let x = F::join8(std::array::from_fn(|k| fold.load(block[k * LANES + j])));
        *lane = if F::PAIRWISE { x } else { F::join(*lane, x) };
    }
    lanes
}

#[inline(always)]
fn join_lanes<F: Fold>(a: &Lanes<F::Acc>, b: &mut Lanes<F::Acc>) {
    for (x, y) in a.0.iter().zip(&mut b.0) {
        *y = F::join(*x, *y);
    }
}

#[inline(always)]
fn tree<F: Fold>(lanes: &Lanes<F::Acc>) -> F::Acc {
    let column = |j| F::join8(std::array::from_fn(|k| lanes.0[4 * k + j]));
    F::join(F::join(column(0), column(2)), F::join(column(1), column(3)))
}

/// Fewer elements than a block: eight accumulators, and the rest in order.
#[inline(always)]
pub(super) fn short<F: Fold>(fold: F, block: &[F::In]) -> F::Acc {
    let mut rest = F::IDENTITY;
    let rows = block.chunks_exact(8);
    for &x in rows.remainder() {
        rest = F::join(rest, fold.load(x));
    }
    if block.len() < 8 {
        return rest;
    }
    let (mut a, mut nan) = ([F::IDENTITY; 8], [F::IDENTITY; 8]);
    for row in rows {
        for (j, &x) in row.iter().enumerate() {
            a[j] = F::join_number(a[j], fold.load(x));
            nan[j] = F::join_nan(nan[j], fold.load(x));
        }
    }
    // Stored all eight, they were one vector register; from the tree below, the compiler would
    // infer pairs.
    let (a, nan) = (std::hint::black_box(&a), std::hint::black_box(&nan));
    let mut result = F::join(F::join8(*a), rest);
    if F::NANS {
        result = F::join(result, F::join8(*nan));
    }
    result
}

/// Folds one block: as a chunk of that block alone.
#[inline(always)]
pub(super) fn fold_block<F: Fold>(fold: F, block: &[F::In]) -> F::Acc {
    match block.first_chunk() {
        Some(block) => {
            let start = Lanes([F::IDENTITY; LANES]);
            F::join(tree::<F>(&lanes(fold, &start, block)), F::IDENTITY)
        }
        None => short(fold, block),
    }
}

/// The fold of a chunk that arrives block by block.
#[derive(Clone)]
pub(super) struct Blocks<F: Fold> {
    /// Folds of runs of blocks, longest first; their lengths are the one bits of `count`.
    stack: [Lanes<F::Acc>; DEPTH],
    count: usize,
    /// The fold of the last, shorter block.
    rest: F::Acc,
}

impl<F: Fold> Blocks<F> {
    #[inline(always)]
    pub fn new() -> Blocks<F> {
        let stack = [Lanes([F::IDENTITY; LANES]); DEPTH];
        Blocks { stack, count: 0, rest: F::IDENTITY }
    }

    #[inline(always)]
    pub fn push(&mut self, fold: F, block: &[F::In]) {
        let Some(block) = block.first_chunk() else {
            self.rest = short(fold, block);
            return;
        };
        if !F::PAIRWISE {
            if self.count == 0 {
                self.stack[0] = Lanes([F::IDENTITY; LANES]);
                self.count = 1;
            }
            self.stack[0] = lanes(fold, &self.stack[0], block);
            return;
        }
        let mut top = lanes(fold, &self.stack[0], block);
        let mut depth = self.count.count_ones() as usize;
        for _ in 0..self.count.trailing_ones() {
            depth -= 1;
            join_lanes::<F>(&self.stack[depth], &mut top);
        }
        self.stack[depth] = top;
        self.count += 1;
    }

    /// The result; what follows begins a new chunk.
    #[inline(always)]
    pub fn finish(&mut self) -> F::Acc {
        let rest = std::mem::replace(&mut self.rest, F::IDENTITY);
        let depth = std::mem::take(&mut self.count).count_ones() as usize;
        if depth == 0 {
            return rest;
        }
        for i in (1..depth).rev() {
            let (longer, shorter) = self.stack.split_at_mut(i);
            join_lanes::<F>(&shorter[0], &mut longer[i - 1]);
        }
        F::join(tree::<F>(&self.stack[0]), rest)
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
    pub fn finish(mut self) -> T {
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
