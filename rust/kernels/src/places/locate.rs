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

/// Elements that are worked on at a time: they stay in the first cache.
const CHUNK: usize = 2048;

/// Writes down the offset that the indices say, plus that of a tensor with the strides `base` (none
/// if empty), for each place of `shape` in row-major order.
///
/// # Errors
/// The first index out of range, by place; then nothing may be done with the offsets.
///
/// # Safety
/// The strides of each index reach memory that can be read, for all of `shape`; `offsets` has room
/// for as many as it has places.
pub unsafe fn locate(
    shape: &[usize],
    indices: &[Index],
    base: &[isize],
    offsets: *mut isize,
) -> Result<(), Outside> {
    let worst = Mutex::new(None::<Outside>);
    let out = Out(offsets);
    // Pointers, as seen by threads that only read.
    let shared = Shared(indices);
    threads::for_ranges(shape.iter().product(), SHARE, &|range| {
        for start in range.clone().step_by(CHUNK) {
            let chunk = start..range.end.min(start + CHUNK);
            // SAFETY: ranges are disjoint, and inside by the caller's promise; all-zero bytes are
            // numbers.
            let part = unsafe {
                out.0.add(start).write_bytes(0, chunk.len());
                out.part(chunk.clone())
            };
            if !base.is_empty() {
                ramp(shape, base, chunk.clone(), part);
            }
            for (k, index) in shared.get().iter().enumerate() {
                // SAFETY: the caller's.
                let Some((place, value)) = (unsafe { add(shape, index, chunk.clone(), part) })
                else {
                    continue;
                };
                let mut worst = worst.lock().unwrap_or_else(|e| e.into_inner());
                if worst.is_none_or(|w| (place, k) < (w.place, w.index)) {
                    *worst = Some(Outside { index: k, place, value });
                }
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

/// Adds to each offset where a tensor with these strides has its element.
fn ramp(shape: &[usize], strides: &[isize], range: Range<usize>, part: &mut [isize]) {
    let start = range.start;
    runs(shape, strides, range, |first, offset, n, stride| {
        let out = &mut part[first - start..first - start + n];
        for (j, o) in out.iter_mut().enumerate() {
            *o += offset + j as isize * stride;
        }
    });
}

/// How many of the bytes are not zero.
fn count_trues(mask: &[u8]) -> usize {
    // Sums of 255 fit a byte, so the inner loop stays in bytes.
    mask.chunks(255).map(|c| c.iter().map(|&m| (m != 0) as u8).sum::<u8>() as usize).sum()
}

/// Bytes of a mask that one task looks at.
const BLOCK: usize = 1 << 15;

/// Writes `value(j)` for each byte number j that is not zero; returns how many were written.
///
/// Whether a byte counts moves the end of what is written, and is no branch: masks are as good as
/// random.
#[inline(always)]
fn compress<T>(mask: &[u8], out: &mut [T], value: impl Fn(usize) -> T) -> usize {
    let mut k = 0;
    for (w, word) in mask.chunks(8).enumerate() {
        if word.try_into().is_ok_and(|bytes| u64::from_ne_bytes(bytes) == 0) {
            continue;
        }
        for (j, &m) in word.iter().enumerate() {
            if let Some(place) = out.get_mut(k) {
                *place = value(w * 8 + j);
            }
            k += (m != 0) as usize;
        }
    }
    k
}

/// The elements of a row-major mask that are not zero, counted block by block.
pub struct Trues<'a> {
    mask: &'a [u8],
    /// How many there are before each block, and in all.
    starts: Vec<usize>,
}

impl<'a> Trues<'a> {
    pub fn of(mask: &'a [u8]) -> Trues<'a> {
        let blocks = mask.len().div_ceil(BLOCK);
        let mut trues = Trues { mask, starts: vec![0; blocks + 1] };
        let mut starts = vec![0; blocks + 1];
        let out = Out(starts.as_mut_ptr());
        threads::parallel_for(blocks, &|b| {
            // SAFETY: each task has a place of its own.
            let count = unsafe { out.part(b + 1..b + 2) };
            count[0] = count_trues(&mask[trues.block(b)]);
        });
        for b in 0..blocks {
            starts[b + 1] += starts[b];
        }
        trues.starts = starts;
        trues
    }

    pub fn count(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn block(&self, b: usize) -> Range<usize> {
        b * BLOCK..self.mask.len().min((b + 1) * BLOCK)
    }

    /// Writes their offsets in a tensor with these strides; `shape` is that of the mask.
    ///
    /// # Safety
    /// `out` has room for all of them.
    pub unsafe fn offsets(&self, shape: &[usize], strides: &[isize], out: *mut isize) {
        let out = Out(out);
        threads::parallel_for(self.starts.len() - 1, &|b| {
            // SAFETY: the items of a block are its own; they are only written.
            let (out, mut k) = (unsafe { out.part(self.starts[b]..self.starts[b + 1]) }, 0);
            runs(shape, strides, self.block(b), |first, offset, n, step| {
                let mask = &self.mask[first..first + n];
                k += compress(mask, &mut out[k..], |j| offset + j as isize * step);
            });
        });
    }

    /// Writes their indices along the first dimension, then those along the second, and so on;
    /// `shape` is that of the mask, which is not 0-d.
    ///
    /// # Safety
    /// `out` has room for all of them.
    pub unsafe fn places(&self, shape: &[usize], out: *mut i64) {
        let (dims, total, out) = (shape.len(), self.count(), Out(out));
        let zeros = vec![0; dims];
        threads::parallel_for(self.starts.len() - 1, &|b| {
            for d in 0..dims {
                let start = d * total;
                // SAFETY: the items of a block are its own, in each column; they are only written.
                let column =
                    unsafe { out.part(start + self.starts[b]..start + self.starts[b + 1]) };
                let inside: usize = shape[d + 1..].iter().product();
                let mut k = 0;
                runs(shape, &zeros, self.block(b), |first, _, n, _| {
                    let (mask, at) = (&self.mask[first..first + n], first / inside % shape[d]);
                    let step = (d + 1 == dims) as usize;
                    k += compress(mask, &mut column[k..], |j| (at + j * step) as i64);
                });
            }
        });
    }
}
