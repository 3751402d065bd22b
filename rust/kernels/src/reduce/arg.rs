//! Where the extremum is.
//!
//! One output at a time, a block is first folded to its extremum at full speed; only where that
//! beats the best so far is the block searched for its place. Columns keep a place per column.

use std::ops::Range;

use super::block::{BLOCK, fold_block};
use super::fold::{BoolOrder, Fold, Order, Ordered, beats};
use super::for_pieces;
use super::layout::{Dims, Layout, Mode, Unit};
use super::walk::for_blocks;
use crate::DType;

/// Which extremum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extremum {
    Max,
    Min,
}

/// The bits to flip so that a signed or float maximum is the extremum wanted; see [`Order`].
pub(super) fn order_mask(which: Extremum, dtype: DType) -> u64 {
    let sign = 1u64 << (dtype.size() * 8 - 1);
    let reverse = if dtype.is_float() { sign } else { !0 };
    let unsigned = if dtype.is_int() && !dtype.is_signed() { sign } else { 0 };
    unsigned ^ if which == Extremum::Min { reverse } else { 0 }
}

/// For each output the flat index, along `dims.reduced`, of the first extremum, and its value.
///
/// The first NaN counts as the extremum. `values`, if given, has the dtype of the input. Of bool,
/// the integers, float32 and float64. Nothing may be written where nothing is reduced.
///
/// # Panics
/// If `dtype` is another.
///
/// # Safety
/// As [`super::reduce`], `indices` and `values` both being written.
pub unsafe fn arg_reduce(
    which: Extremum,
    dtype: DType,
    src: *const u8,
    dims: &Dims,
    values: Option<*mut u8>,
    indices: *mut i64,
) {
    macro_rules! go {
        ($F:ty, $fold:expr) => {{
            let layout = Layout::new(dims, true);
            let values = values.map(|v| v.cast());
            let partials = std::ptr::null_mut();
            let src = src.cast();
            ArgJob::<$F> { fold: $fold, layout, src, values, indices, partials }.run(|job, i| {
                // SAFETY: the caller's promise.
                crate::dispatch!(_I, (job: &ArgJob<$F>, i: usize) => unsafe { job.piece(i) })
            })
        }};
    }
    let mask = order_mask(which, dtype);
    match dtype {
        DType::Bool => go!(BoolOrder, BoolOrder { mask: mask as i8 }),
        DType::I8 | DType::U8 => go!(Order<i8>, Order::new(mask)),
        DType::I16 | DType::U16 => go!(Order<i16>, Order::new(mask)),
        DType::I32 | DType::U32 => go!(Order<i32>, Order::new(mask)),
        DType::I64 | DType::U64 => go!(Order<i64>, Order::new(mask)),
        DType::F32 => go!(Order<f32>, Order::new(mask)),
        DType::F64 => go!(Order<f64>, Order::new(mask)),
        _ => panic!("no maximum of {}", dtype.name()),
    }
}

/// An extremum and its place.
#[derive(Clone, Copy)]
struct Best<A> {
    value: A,
    index: i64,
}

/// Input, outputs and what is done between.
struct ArgJob<F: Fold> {
    fold: F,
    layout: Layout,
    src: *const F::In,
    values: Option<*mut F::Out>,
    indices: *mut i64,
    /// `[group][chunk][column]`, where there is more than one chunk.
    partials: *mut Best<F::Acc>,
}

// SAFETY: pieces only read what they share, and write disjoint parts of the outputs.
unsafe impl<F: Fold> Sync for ArgJob<F> {}

/// What a strip of columns is worked in.
struct Scratch<A> {
    values: Vec<A>,
    indices: Vec<i32>,
}

impl<F: Fold> ArgJob<F>
where
    F::Acc: Ordered,
{
    fn run(mut self, piece: impl Fn(&ArgJob<F>, usize) + Sync) {
        let Layout { groups, chunks, width, .. } = self.layout;
        let mut partials = Vec::new();
        if chunks > 1 {
            partials.resize(groups * chunks * width, Best { value: F::IDENTITY, index: 0 });
            self.partials = partials.as_mut_ptr();
        }
        for_pieces(self.layout.pieces(), &|i| piece(&self, i));
        if chunks > 1 && width > 0 {
            for (group, partials) in partials.chunks(chunks * width).enumerate() {
                for column in 0..width {
                    let of_chunks = partials[column..].iter().step_by(width);
                    let best = of_chunks
                        .copied()
                        .reduce(|a, b| if beats(b.value, a.value) { b } else { a });
                    // SAFETY: a column of a group.
                    best.into_iter().for_each(|best| unsafe { self.put(group, column, best) });
                }
            }
        }
    }

    /// One piece of the work.
    ///
    /// # Safety
    /// As [`arg_reduce`]; `i` is less than the layout's pieces, and no other thread has it.
    #[inline(always)]
    unsafe fn piece(&self, i: usize) {
        let layout = &self.layout;
        let mut buffer = [F::In::default(); BLOCK];
        let mut scratch = Scratch { values: Vec::new(), indices: Vec::new() };
        for unit in layout.piece(i) {
            let unit = layout.unit(unit);
            let rows = layout.chunk(unit.chunk);
            // SAFETY: the unit's elements lie in the layout.
            unsafe {
                let src = self.src.offset(layout.group(unit.group).0);
                if layout.mode == Mode::Columns {
                    let first = rows.start as i64;
                    let columns = layout.strip(unit.strip);
                    self.strip(src, rows, &columns, &mut scratch);
                    let found = scratch.values.iter().zip(&scratch.indices);
                    for (column, (&value, &index)) in columns.zip(found) {
                        let best = Best { value, index: first + i64::from(index) };
                        self.store(&unit, column, best);
                    }
                } else {
                    let best = self.cell(src, rows, &mut buffer);
                    self.store(&unit, 0, best);
                }
            }
        }
    }

    /// One output: the best of the elements `range`.
    #[inline(always)]
    unsafe fn cell(
        &self,
        src: *const F::In,
        range: Range<usize>,
        buffer: &mut [F::In; BLOCK],
    ) -> Best<F::Acc> {
        let mut best = Best { value: F::IDENTITY, index: range.start as i64 };
        let better = |at: usize, block: &[F::In]| {
            let value = fold_block(self.fold, block);
            if beats(value, best.value) {
                let is_it = |&x: &F::In| {
                    let x = self.fold.load(x);
                    x == value || x.is_nan()
                };
                let place = block.iter().position(is_it).unwrap_or(0);
                best = Best { value, index: (at + place) as i64 };
            }
        };
        // SAFETY: the caller's.
        unsafe { for_blocks(&self.layout, src, range, buffer, better) };
        best
    }

    /// A strip of columns: the best of `rows`, with indices from the first of them.
    #[inline(always)]
    unsafe fn strip(
        &self,
        src: *const F::In,
        rows: Range<usize>,
        columns: &Range<usize>,
        scratch: &mut Scratch<F::Acc>,
    ) {
        let width = columns.len();
        scratch.values.clear();
        scratch.values.resize(width, F::IDENTITY);
        scratch.indices.clear();
        scratch.indices.resize(width, 0);
        for (i, row) in (0..).zip(rows) {
            // SAFETY: columns of the strip, of a row of the layout.
            let row = unsafe {
                let row = src.offset(self.layout.element(row)).add(columns.start);
                std::slice::from_raw_parts(row, width)
            };
            let best = scratch.values.iter_mut().zip(&mut scratch.indices);
            for ((value, index), &x) in best.zip(row) {
                let x = self.fold.load(x);
                let better = beats(x, *value);
                *value = if better { x } else { *value };
                *index = if better { i } else { *index };
            }
        }
    }

    /// Keeps a unit's result, for a join of the chunks or as output.
    #[inline(always)]
    unsafe fn store(&self, unit: &Unit, column: usize, best: Best<F::Acc>) {
        let Layout { chunks, width, .. } = self.layout;
        // SAFETY: the caller's; each unit has its own part of the partial results.
        unsafe {
            if chunks == 1 {
                self.put(unit.group, column, best);
            } else {
                let at = (unit.group * chunks + unit.chunk) * width + column;
                self.partials.add(at).write(best);
            }
        }
    }

    #[inline(always)]
    unsafe fn put(&self, group: usize, column: usize, best: Best<F::Acc>) {
        let at = self.layout.group(group).1 + column * self.layout.width_out;
        // SAFETY: the layout's outputs lie in both.
        unsafe {
            self.indices.add(at).write(best.index);
            if let Some(values) = self.values {
                values.add(at).write(self.fold.out(best.value));
            }
        }
    }
}
