//! Elements picked out of a tensor by indices: where they are, and how they are read and written.
//!
//! All indexing takes two steps. First the indices are checked and turned into one list of offsets
//! (`locate`, `Trues`); only then is memory touched (`take`, `put`, `combine`).

use crate::DType;
use crate::threads;
use smallvec::SmallVec;
use std::ops::Range;

mod locate;
mod number;

pub use locate::{Index, Outside, Trues, locate};
pub use number::{Combine, combine};

/// A dimension that is walked for every place, with the steps of both operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dim {
    pub size: usize,
    pub whole: isize,
    pub part: isize,
}

/// Which elements of the whole belong to which of the part, in elements:
/// `whole[outer + offsets[j] + inner]` and `part[outer + j * step + inner]`.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Dimensions walked outside the list of offsets; none of size 0.
    pub outer: &'a [Dim],
    pub offsets: &'a [isize],
    /// From one place to the next in the part.
    pub step: isize,
    /// Dimensions walked inside; none of size 0.
    pub inner: &'a [Dim],
}

/// Elements a thread should have at least.
const SHARE: usize = 1 << 15;

fn count(dims: &[Dim]) -> usize {
    dims.iter().map(|d| d.size).product()
}

/// Offsets in both operands of step number `i` of a walk in row-major order.
fn at(dims: &[Dim], mut i: usize) -> (isize, isize) {
    let (mut whole, mut part) = (0, 0);
    for d in dims.iter().rev() {
        let k = (i % d.size) as isize;
        i /= d.size;
        whole += k * d.whole;
        part += k * d.part;
    }
    (whole, part)
}

/// Neighbouring dimensions that both operands walk as one are joined; those of size 1 go.
pub fn join(dims: &[Dim]) -> SmallVec<[Dim; 4]> {
    let mut out: SmallVec<[Dim; 4]> = SmallVec::new();
    for &d in dims.iter().filter(|d| d.size != 1) {
        match out.last_mut() {
            Some(p)
                if p.whole == d.whole * d.size as isize && p.part == d.part * d.size as isize =>
            {
                *p = Dim { size: p.size * d.size, ..d };
            }
            _ => out.push(d),
        }
    }
    out
}

/// The elements of the innermost walk: `n` of them, at given steps, from given offsets.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    whole: isize,
    part: isize,
    n: usize,
    steps: (isize, isize),
}

impl Places<'_> {
    /// Calls `f` for each run of the outer steps `outer`, the places `places`, and the part `last`
    /// of the last inner dimension, in order.
    #[inline(always)]
    fn runs(
        &self,
        outer: Range<usize>,
        places: Range<usize>,
        last: Range<usize>,
        keep: impl Fn(isize) -> bool,
        mut f: impl FnMut(Run),
    ) {
        let (rows, row) = match self.inner.split_last() {
            Some((row, rows)) => (rows, *row),
            None => (&[][..], Dim { size: 1, whole: 0, part: 0 }),
        };
        let (lines, steps) = (count(rows), (row.whole, row.part));
        for o in outer {
            let (w0, p0) = at(self.outer, o);
            let (w0, p0) =
                (w0 + last.start as isize * row.whole, p0 + last.start as isize * row.part);
            let all = places.clone().zip(&self.offsets[places.clone()]);
            let places = all.filter(|p| keep(*p.1));
            let places = places.map(|(j, &w)| (w0 + w, p0 + j as isize * self.step));
            if self.inner.is_empty() {
                places.for_each(|(whole, part)| f(Run { whole, part, n: 1, steps }));
                continue;
            }
            for (w1, p1) in places {
                for line in 0..lines {
                    let (w, p) = if lines == 1 { (0, 0) } else { at(rows, line) };
                    f(Run { whole: w1 + w, part: p1 + p, n: last.len(), steps });
                }
            }
        }
    }

    fn row(&self) -> usize {
        self.inner.last().map_or(1, |d| d.size)
    }

    /// Reading: any thread may do any part.
    fn read(&self, f: impl Fn(Run) + Sync) {
        let (n, outer, inner) = (self.offsets.len(), count(self.outer), count(self.inner));
        if n == 0 {
            return;
        }
        threads::for_ranges(outer * n, (SHARE / inner).max(1), &|range| {
            let mut from = range.start;
            while from < range.end {
                let (o, j) = (from / n, from % n);
                let to = range.end.min((o + 1) * n);
                self.runs(o..o + 1, j..j + to - from, 0..self.row(), |_| true, &f);
                from = to;
            }
        });
    }

    /// Writing: each element of the whole belongs to one thread, which visits the places in order,
    /// so that the result is that of a plain loop however many threads there are.
    fn write(&self, f: impl Fn(Run) + Sync) {
        let (n, outer, inner) = (self.offsets.len(), count(self.outer), count(self.inner));
        let threads = threads::num_threads();
        if n == 0 {
            return;
        }
        let all = |_: isize| true;
        if threads == 1 || outer * n * inner < 2 * SHARE {
            self.runs(0..outer, 0..n, 0..self.row(), all, &f);
        } else if outer >= threads {
            let least = (SHARE / (n * inner)).max(1);
            threads::for_ranges(outer, least, &|o| self.runs(o, 0..n, 0..self.row(), all, &f));
        } else if self.row() >= 64 * threads {
            threads::for_ranges(self.row(), 64, &|last| self.runs(0..outer, 0..n, last, all, &f));
        } else {
            self.by_owner(threads, outer, &f);
        }
    }

    /// Each thread takes the places whose offset lies in its part of the whole.
    fn by_owner(&self, threads: usize, outer: usize, f: &(impl Fn(Run) + Sync)) {
        let (mut low, mut high) = (isize::MAX, isize::MIN);
        for &o in self.offsets {
            (low, high) = (low.min(o), high.max(o));
        }
        let share = (high - low) / threads as isize + 1;
        threads::parallel_for(threads, &|t| {
            let from = low + t as isize * share;
            let mine = |o: isize| (from..from + share).contains(&o);
            self.runs(0..outer, 0..self.offsets.len(), 0..self.row(), mine, f);
        });
    }
}

/// Pointers that threads share.
#[derive(Clone, Copy)]
struct Both<T>(*mut T, *mut T);
// SAFETY: `Places` hands each thread elements of its own to write.
unsafe impl<T> Sync for Both<T> {}

impl<T> Both<T> {
    /// The elements a run starts at.
    ///
    /// # Safety
    /// The run lies inside both operands.
    #[inline(always)]
    unsafe fn start(&self, run: &Run) -> (*mut T, *mut T) {
        // SAFETY: the caller's.
        unsafe { (self.0.offset(run.whole), self.1.offset(run.part)) }
    }
}

/// Calls a generic function with the unsigned type of as many bytes as an element has.
macro_rules! by_size {
    ($size:expr, $f:ident($($arg:expr),*)) => {
        match $size {
            1 => $f::<u8>($($arg),*),
            2 => $f::<u16>($($arg),*),
            4 => $f::<u32>($($arg),*),
            8 => $f::<u64>($($arg),*),
            16 => $f::<[u64; 2]>($($arg),*),
            n => panic!("no element has {n} bytes"),
        }
    };
}

/// Copies the elements at the places to `part`.
///
/// # Safety
/// Everything `places` describes is inside the operands, whose elements are of `dtype`; they do
/// not overlap, and no two elements of the part are the same.
pub unsafe fn take(dtype: DType, places: &Places, whole: *const u8, part: *mut u8) {
    // SAFETY: the caller's, handed on.
    unsafe { by_size!(dtype.size(), take_as(places, whole.cast_mut(), part)) }
}

unsafe fn take_as<T: Copy>(places: &Places, whole: *mut u8, part: *mut u8) {
    let both = Both::<T>(whole.cast(), part.cast());
    places.read(|run| {
        // SAFETY: the caller's: each element is inside its operand.
        unsafe {
            let (from, to) = both.start(&run);
            copy(from, run.steps.0, to, run.steps.1, run.n);
        }
    });
}

/// Copies the elements of `part` to the places; the last of several at one place stays.
///
/// # Safety
/// Everything `places` describes is inside the operands, whose elements are of `dtype`; they do
/// not overlap.
pub unsafe fn put(dtype: DType, places: &Places, whole: *mut u8, part: *const u8) {
    // SAFETY: the caller's, handed on.
    unsafe { by_size!(dtype.size(), put_as(places, whole, part.cast_mut())) }
}

unsafe fn put_as<T: Copy>(places: &Places, whole: *mut u8, part: *mut u8) {
    let both = Both::<T>(whole.cast(), part.cast());
    places.write(|run| {
        // SAFETY: the caller's: each element is inside its operand.
        unsafe {
            let (to, from) = both.start(&run);
            copy(from, run.steps.1, to, run.steps.0, run.n);
        }
    });
}

/// `n` elements at steps of their own.
#[inline(always)]
unsafe fn copy<T: Copy>(from: *const T, a: isize, to: *mut T, b: isize, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        if n == 1 {
            *to = *from;
        } else if a == 1 && b == 1 {
            std::ptr::copy_nonoverlapping(from, to, n);
        } else {
            for j in 0..n as isize {
                *to.offset(j * b) = *from.offset(j * a);
            }
        }
    }
}

#[cfg(test)]
mod tests;
