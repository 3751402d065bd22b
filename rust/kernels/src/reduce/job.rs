//! One reduction over one layout, in pieces that threads can take.

use super::block::{BLOCK, join_chunks};
use super::fold::Fold;
use super::for_pieces;
use super::layout::{Dims, Layout, Mode, Unit};
use super::{columns, walk};

/// Input, output and what is done between.
pub(super) struct Job<F: Fold> {
    fold: F,
    layout: Layout,
    src: *const F::In,
    dst: *mut F::Out,
    /// `[group][chunk][column]`, where there is more than one chunk.
    partials: *mut F::Acc,
}

// SAFETY: pieces only read what they share, and write disjoint parts of the output.
unsafe impl<F: Fold> Sync for Job<F> {}

impl<F: Fold> Job<F> {
    pub fn new(fold: F, dims: &Dims, src: *const F::In, dst: *mut F::Out) -> Job<F> {
        let layout = Layout::new(dims, false);
        Job { fold, layout, src, dst, partials: std::ptr::null_mut() }
    }

    /// Does all the work; `piece` is [`Job::piece`], compiled for the machine.
    pub fn run(mut self, piece: impl Fn(&Job<F>, usize) + Sync) {
        let Layout { groups, chunks, width, .. } = self.layout;
        let mut partials = Vec::new();
        if chunks > 1 {
            partials.resize(groups * chunks * width, F::IDENTITY);
            self.partials = partials.as_mut_ptr();
        }
        for_pieces(self.layout.pieces(), &|i| piece(&self, i));
        if chunks > 1 && width > 0 {
            for (group, partials) in partials.chunks_mut(chunks * width).enumerate() {
                join_chunks::<F>(partials, width);
                // SAFETY: the group's outputs, all columns.
                unsafe { self.put(group, 0, &partials[..width]) };
            }
        }
    }

    /// One piece of the work.
    ///
    /// # Safety
    /// As [`super::reduce`]; `i` is less than the layout's pieces, and no other thread has it.
    #[inline(always)]
    pub unsafe fn piece(&self, i: usize) {
        let layout = &self.layout;
        let mut buffer = [F::In::default(); BLOCK];
        let mut scratch = Vec::new();
        for unit in layout.piece(i) {
            let unit = layout.unit(unit);
            // SAFETY: the unit's elements lie in the layout.
            unsafe {
                let src = self.src.offset(layout.group(unit.group).0);
                if layout.mode == Mode::Columns {
                    columns::fold_strip(self.fold, layout, src, &unit, &mut scratch);
                    self.store(&unit, &scratch);
                } else {
                    let range = layout.chunk(unit.chunk);
                    let acc = walk::fold_range(self.fold, layout, src, range, &mut buffer);
                    self.store(&unit, &[acc]);
                }
            }
        }
    }

    /// Keeps a unit's results, for a join of the chunks or as output.
    #[inline(always)]
    unsafe fn store(&self, unit: &Unit, acc: &[F::Acc]) {
        let Layout { chunks, width, .. } = self.layout;
        let first = self.layout.strip(unit.strip).start;
        if chunks == 1 {
            // SAFETY: the caller's.
            return unsafe { self.put(unit.group, first, acc) };
        }
        let at = (unit.group * chunks + unit.chunk) * width + first;
        // SAFETY: each unit has its own part of the partial results.
        unsafe { self.partials.add(at).copy_from_nonoverlapping(acc.as_ptr(), acc.len()) };
    }

    /// Writes the outputs of a group from column `first` on.
    #[inline(always)]
    unsafe fn put(&self, group: usize, first: usize, acc: &[F::Acc]) {
        let stride = self.layout.width_out;
        // SAFETY: the layout's outputs lie in `dst`.
        let dst = unsafe { self.dst.add(self.layout.group(group).1 + first * stride) };
        for (i, &a) in acc.iter().enumerate() {
            // SAFETY: as above.
            unsafe { dst.add(i * stride).write(self.fold.out(a)) };
        }
    }
}
