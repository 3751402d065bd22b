//! From indices and masks to offsets.

use crate::threads;
use std::ops::Range;
use std::sync::Mutex;

/// One tensor of indices, broadcast to the common shape of all.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    pub ptr: *const i64,
    /// Strides over the common shape.
    pub strides: &'a [isize],
    /// Size of the dimension indexed: valid are `-size..size`, or `0..size` if not `negative`.
    pub size: usize,
    pub negative: bool,
    /// Stride of that dimension.
    pub step: isize,
}

/// An index out of range: which of the indices, at which place, and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outside {
    pub index: usize,
    pub place: usize,
    pub value: i64,
}

/// Least places a thread should get.
const SHARE: usize = 1 << 14;

/// Calls `f(first, offset, n, step)` for each run along the last dimension inside the flat range.
fn runs(
    shape: &[usize],
    strides: &[isize],
    range: Range<usize>,
    mut f: impl FnMut(usize, isize, usize, isize),
) {
    let Some((&row, lead)) = shape.split_last() else {
        return f(range.start, 0, range.len(), 0);
    };
    let step = strides[lead.len()];
    let mut first = range.start;
    while first < range.end {
        let (mut rest, column) = (first / row, first % row);
        let n = (row - column).min(range.end - first);
        let mut offset = column as isize * step;
        for d in (0..lead.len()).rev() {
            offset += (rest % lead[d]) as isize * strides[d];
            rest /= lead[d];
        }
        f(first, offset, n, step);
        first += n;
    }
}

/// Shared among threads that write parts of their own.
#[derive(Clone, Copy)]
struct Out<T>(*mut T);
// SAFETY: each thread makes a slice of a range of its own.
unsafe impl<T> Sync for Out<T> {}

impl<T> Out<T> {
    /// # Safety
    /// The range is inside, and no other thread has a part of it.
    #[allow(clippy::mut_from_ref)]
    unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}

/// Adds to each offset what the indices say, in row-major order of `shape`.
///
/// # Errors
/// The first index out of range, by place; then nothing may be done with the offsets.
///
/// # Safety
/// The strides of each index reach memory that can be read, for all of `shape`, which has as many
/// places as there are offsets.
pub unsafe fn locate(
    shape: &[usize],
    indices: &[Index],
    offsets: &mut [isize],
) -> Result<(), Outside> {
    let worst = Mutex::new(None::<Outside>);
    let out = Out(offsets.as_mut_ptr());
    // Pointers, as seen by threads that only read.
    let shared = Shared(indices);
    threads::for_ranges(offsets.len(), SHARE, &|range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { out.part(range.clone()) };
        for k in 0..shared.get().len() {
            // SAFETY: the caller's.
            let bad = unsafe { add(shape, &shared.get()[k], range.clone(), part) };
            let bad = bad.map(|(place, value)| Outside { index: k, place, value });
            let mut worst = worst.lock().unwrap_or_else(|e| e.into_inner());
            if let Some(b) = bad
                && worst.is_none_or(|w| (b.place, b.index) < (w.place, w.index))
            {
                *worst = bad;
            }
        }
    });
    worst.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
}

struct Shared<'a>(&'a [Index<'a>]);
// SAFETY: what the pointers reach is only read.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    fn get(&self) -> &'a [Index<'a>] {
        self.0
    }
}

/// The first place in the range whose index is out of range, and that index.
unsafe fn add(
    shape: &[usize],
    index: &Index,
    range: Range<usize>,
    part: &mut [isize],
) -> Option<(usize, i64)> {
    let (size, step, start) = (index.size as i64, index.step, range.start);
    let low = if index.negative { -size } else { 0 };
    let mut bad = None;
    runs(shape, index.strides, range, |first, offset, n, stride| {
        // SAFETY: the caller's.
        let from = unsafe { index.ptr.offset(offset) };
        let out = &mut part[first - start..first - start + n];
        let mut fine = true;
        for (j, o) in out.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let i = unsafe { *from.offset(j as isize * stride) };
            fine &= (low..size).contains(&i);
            let i = i.wrapping_add(if i < 0 { size } else { 0 });
            *o = o.wrapping_add((i as isize).wrapping_mul(step));
        }
        if !fine && bad.is_none() {
            // SAFETY: the caller's.
            let value = |j: usize| unsafe { *from.offset(j as isize * stride) };
            bad = (0..n).find(|&j| !(low..size).contains(&value(j))).map(|j| (first + j, value(j)));
        }
    });
    bad
}

/// Adds to each offset where a tensor of this layout has its element, in row-major order.
pub fn ramp(shape: &[usize], strides: &[isize], offsets: &mut [isize]) {
    let out = Out(offsets.as_mut_ptr());
    threads::for_ranges(offsets.len(), SHARE, &|range| {
        let start = range.start;
        // SAFETY: ranges are disjoint.
        let part = unsafe { out.part(range.clone()) };
        runs(shape, strides, range, |first, offset, n, stride| {
            let out = &mut part[first - start..first - start + n];
            for (j, o) in out.iter_mut().enumerate() {
                *o += offset + j as isize * stride;
            }
        });
    });
}

/// How many of the bytes are not zero.
fn trues(mask: &[u8]) -> usize {
    // Sums of 255 fit a byte, so the inner loop stays in bytes.
    mask.chunks(255).map(|c| c.iter().map(|&m| (m != 0) as u8).sum::<u8>() as usize).sum()
}

/// Bytes of a mask that one task looks at.
const BLOCK: usize = 1 << 15;

/// Calls `f(bytes, items)` for each block of the mask: its bytes, and which of all trues are its own.
/// The number of trues is told to `make` before.
fn by_block<M: Sync>(
    mask: &[u8],
    make: impl FnOnce(usize) -> M,
    f: impl Fn(&M, Range<usize>, Range<usize>) + Sync,
) -> M {
    let blocks = mask.len().div_ceil(BLOCK);
    let range = |b: usize| b * BLOCK..mask.len().min((b + 1) * BLOCK);
    let mut starts = vec![0usize; blocks + 1];
    let out = Out(starts.as_mut_ptr());
    threads::parallel_for(blocks, &|b| {
        // SAFETY: each task has a place of its own.
        let count = unsafe { out.part(b + 1..b + 2) };
        count[0] = trues(&mask[range(b)]);
    });
    for b in 0..blocks {
        starts[b + 1] += starts[b];
    }
    let made = make(starts[blocks]);
    threads::parallel_for(blocks, &|b| f(&made, range(b), starts[b]..starts[b + 1]));
    made
}

/// Calls `f` with the position of each byte that is not zero.
#[inline(always)]
fn each_true(mask: &[u8], mut f: impl FnMut(usize)) {
    for (w, word) in mask.chunks(8).enumerate() {
        if let Ok(bytes) = <[u8; 8]>::try_from(word)
            && u64::from_le_bytes(bytes) == 0
        {
            continue;
        }
        for (k, &m) in word.iter().enumerate() {
            if m != 0 {
                f(w * 8 + k);
            }
        }
    }
}

/// Offsets of the elements where a row-major mask is true, in a tensor with these strides.
pub fn true_offsets(mask: &[u8], shape: &[usize], strides: &[isize]) -> Vec<isize> {
    let mut found = Vec::new();
    let make = |n| {
        found.resize(n, 0);
        Out(found.as_mut_ptr())
    };
    by_block(mask, make, |out: &Out<isize>, range, items| {
        // SAFETY: the items of a block are its own.
        let (out, mut k) = (unsafe { out.part(items) }, 0);
        runs(shape, strides, range, |first, offset, n, step| {
            each_true(&mask[first..first + n], |j| {
                out[k] = offset + j as isize * step;
                k += 1;
            });
        });
    });
    found
}

/// Indices of the elements where a row-major mask of at least one dimension is true: those along
/// the first dimension, then those along the second, and so on.
pub fn true_places(mask: &[u8], shape: &[usize]) -> Vec<i64> {
    let (dims, mut found) = (shape.len(), Vec::new());
    let zeros = vec![0; dims];
    let make = |n| {
        found.resize(n * dims, 0i64);
        (Out(found.as_mut_ptr()), n)
    };
    by_block(mask, make, |(out, n), range, items| {
        for d in 0..dims {
            // SAFETY: the items of a block are its own, in each column.
            let column = unsafe { out.part(d * n + items.start..d * n + items.end) };
            let inside: usize = shape[d + 1..].iter().product();
            let mut k = 0;
            runs(shape, &zeros, range.clone(), |first, _, n, _| {
                let start = first / inside % shape[d];
                each_true(&mask[first..first + n], |j| {
                    column[k] = if d + 1 == dims { start + j } else { start } as i64;
                    k += 1;
                });
            });
        }
    });
    found
}
