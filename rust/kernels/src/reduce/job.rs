//! One reduction over one layout, in pieces that threads can take.

use std::ops::Range;

use super::block::{BLOCK, Blocks, join_chunks, short};
use super::fold::Fold;
use super::layout::{Dims, Layout, Mode, place};
use super::walk::Source;
use super::{columns, for_pieces};

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
        let units = layout.piece(i);
        // SAFETY: the caller's.
        unsafe {
            match layout.mode {
                Mode::Columns => self.strips(units),
                Mode::Run if layout.len < BLOCK => self.short_runs(units),
                Mode::Run | Mode::Gather => self.cells(units),
            }
        }
    }

    /// [`Job::cells`] where little is done for each output.
    #[inline(always)]
    unsafe fn short_runs(&self, units: Range<usize>) {
        let (len, kept) = (self.layout.len, &self.layout.kept[..]);
        for i in units {
            let (input, output) = place(kept, i);
            // SAFETY: the unit's elements lie in the layout, its result in the output.
            unsafe {
                let run = self.src.offset(self.layout.start + input);
                let fold = self.fold.at(output, 0);
                let acc = short(fold, std::slice::from_raw_parts(run, len));
                self.dst.add(output).write(self.fold.out(acc));
            }
        }
    }

    #[inline(always)]
    unsafe fn cells(&self, units: Range<usize>) {
        let layout = &self.layout;
        let mut buffer = [F::In::default(); BLOCK];
        let mut blocks = Blocks::new();
        for i in units {
            let unit = layout.unit(i);
            let (input, output) = layout.group(unit.group);
            // SAFETY: the unit's elements lie in the layout, its result in the output.
            unsafe {
                let src = self.src.offset(input);
                let mut source = Source::new(layout, src, layout.chunk(unit.chunk));
                let fold = self.fold.at(output, 0);
                while let Some(block) = source.next(&mut buffer) {
                    blocks.push(fold, block);
                }
                let acc = blocks.finish();
                if layout.chunks == 1 {
                    self.dst.add(output).write(self.fold.out(acc));
                } else {
                    self.partials.add(i).write(acc);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn strips(&self, units: Range<usize>) {
        let layout = &self.layout;
        let Layout { chunks, width, .. } = *layout;
        let mut scratch = Vec::new();
        for unit in units.map(|i| layout.unit(i)) {
            let first = layout.strip(unit.strip).start;
            // SAFETY: the unit's elements lie in the layout; it has its own part of the results.
            unsafe {
                let (input, output) = layout.group(unit.group);
                let fold = self.fold.at(output + first * layout.width_out, layout.width_out);
                let src = self.src.offset(input);
                columns::fold_strip(fold, layout, src, &unit, &mut scratch);
                if chunks == 1 {
                    self.put(unit.group, first, &scratch);
                } else {
                    let at = (unit.group * chunks + unit.chunk) * width + first;
                    let n = scratch.len();
                    self.partials.add(at).copy_from_nonoverlapping(scratch.as_ptr(), n);
                }
            }
        }
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
