//! Rows put in order: sorting, the k smallest, medians, modes, and searching in sorted rows.
//!
//! Each element becomes a number whose order as an unsigned integer is the order wanted (NaN last,
//! both zeros equal), with its index below: one comparison of plain integers decides, and ties go
//! by index, so that every sort is stable.

use crate::dtype::{Bool, DType};
use crate::threads;
use half::{bf16, f16};
use std::ops::Range;

/// What is picked of each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pick {
    /// All, in order.
    Sorted,
    /// The first so many of the sorted row.
    First(usize),
    /// The one at this place of the sorted row.
    Nth(usize),
    /// The lower median: the first NaN if there is one and they count.
    Median { skip_nan: bool },
    /// The most frequent, the smallest of several; its last place.
    Mode,
}

impl Pick {
    /// How many are picked of a row of `n`.
    pub fn count(self, n: usize) -> usize {
        match self {
            Pick::Sorted => n,
            Pick::First(k) => k,
            Pick::Nth(_) | Pick::Median { .. } | Pick::Mode => 1,
        }
    }
}

/// An element that can be ordered.
trait Key: Copy + Send + Sync + 'static {
    /// The order as an unsigned number.
    fn key(self) -> u64;
}

macro_rules! integers {
    ($($t:ty, $u:ty, $flip:expr;)*) => { $(impl Key for $t {
        #[inline(always)]
        fn key(self) -> u64 {
            ((self as $u) ^ $flip) as u64
        }
    })* };
}
integers! {
    u8, u8, 0; u16, u16, 0; u32, u32, 0; u64, u64, 0;
    i8, u8, 1 << 7; i16, u16, 1 << 15; i32, u32, 1 << 31; i64, u64, 1 << 63;
}

impl Key for Bool {
    #[inline(always)]
    fn key(self) -> u64 {
        self.get() as u64
    }
}

/// Keys of floats have the bits of NaN beyond those of infinity.
macro_rules! floats {
    ($($t:ty, $u:ty;)*) => { $(impl Key for $t {
        #[inline(always)]
        fn key(self) -> u64 {
            const SIGN: $u = 1 << (<$u>::BITS - 1);
            if self.is_nan() {
                return <$u>::MAX as u64;
            }
            let bits = self.to_bits();
            (if bits == SIGN || bits & SIGN == 0 { (bits | SIGN) as u64 } else { !bits as u64 })
        }
    })* };
}
floats! { f32, u32; f64, u64; f16, u16; bf16, u16; }

/// A key and an index as one number.
trait Packed: Copy + Ord + Send + Sync {
    fn new(key: u64, index: usize) -> Self;
    fn index(self) -> usize;
    fn key(self) -> u64;
}

impl Packed for u64 {
    #[inline(always)]
    fn new(key: u64, index: usize) -> u64 {
        key << 32 | index as u64
    }
    #[inline(always)]
    fn index(self) -> usize {
        self as u32 as usize
    }
    #[inline(always)]
    fn key(self) -> u64 {
        self >> 32
    }
}

impl Packed for u128 {
    #[inline(always)]
    fn new(key: u64, index: usize) -> u128 {
        (key as u128) << 64 | index as u128
    }
    #[inline(always)]
    fn index(self) -> usize {
        self as u64 as usize
    }
    #[inline(always)]
    fn key(self) -> u64 {
        (self >> 64) as u64
    }
}

/// Elements from which one row is sorted by several threads.
const LONG: usize = 1 << 16;

/// Sorts one row; several threads sort parts, which the stable sort then finds and merges.
fn sort<P: Packed>(row: &mut [P], shared: bool) {
    let parts = if shared { threads::num_threads() } else { 1 };
    if parts > 1 && row.len() >= LONG {
        let size = row.len().div_ceil(parts);
        let parts: Vec<std::sync::Mutex<&mut [P]>> =
            row.chunks_mut(size).map(std::sync::Mutex::new).collect();
        threads::parallel_for(parts.len(), &|i| {
            if let Ok(mut part) = parts[i].lock() {
                part.sort_unstable();
            }
        });
        return row.sort();
    }
    row.sort_unstable();
}

/// Puts what is picked to the front of the row.
fn pick<P: Packed>(row: &mut [P], what: Pick, nan: Option<u64>, shared: bool) {
    let nth = |row: &mut [P], k: usize| {
        let found = *row.select_nth_unstable(k).1;
        // Of equals the first counts, as in a stable sort: it is at place k by its index.
        row[0] = found;
    };
    match what {
        Pick::Sorted => sort(row, shared),
        Pick::First(k) if k < row.len() / 2 => {
            if k > 0 {
                row.select_nth_unstable(k - 1);
                sort(&mut row[..k], shared);
            }
        }
        Pick::First(_) => sort(row, shared),
        Pick::Nth(k) => nth(row, k),
        Pick::Median { skip_nan } => {
            let nans = row.iter().filter(|p| Some(p.key()) == nan).count();
            match (nans, skip_nan && nans < row.len()) {
                (0, _) => nth(row, (row.len() - 1) / 2),
                (_, true) => nth(row, (row.len() - nans - 1) / 2),
                (_, false) => nth(row, row.len() - nans),
            }
        }
        Pick::Mode => {
            sort(row, shared);
            let groups = row.chunk_by(|a, b| a.key() == b.key());
            let best =
                groups.fold(&row[..1], |best, g| if g.len() > best.len() { g } else { best });
            row[0] = best[best.len() - 1];
        }
    }
}

/// Where the results of a call go.
struct Job<T> {
    src: *const T,
    values: *mut T,
    indices: *mut i64,
    n: usize,
    what: Pick,
    descending: bool,
    nan: Option<u64>,
}
// SAFETY: rows are read together, and each row's results are written by one thread.
unsafe impl<T> Sync for Job<T> {}

impl<T: Key> Job<T> {
    unsafe fn rows<P: Packed>(&self, rows: Range<usize>, shared: bool) {
        let (n, count) = (self.n, self.what.count(self.n));
        let mut packed: Vec<P> = Vec::with_capacity(n);
        // Smaller types fill part of the key: only its bits are turned round.
        let mask = if !self.descending { 0 } else { u64::MAX >> (64 - 8 * size_of::<T>()) };
        for r in rows {
            // SAFETY: the caller's: `n` elements in each row, `count` results.
            let (src, values, indices) = unsafe {
                (
                    std::slice::from_raw_parts(self.src.add(r * n), n),
                    std::slice::from_raw_parts_mut(self.values.add(r * count), count),
                    std::slice::from_raw_parts_mut(self.indices.add(r * count), count),
                )
            };
            packed.clear();
            packed.extend(src.iter().enumerate().map(|(i, x)| P::new(x.key() ^ mask, i)));
            pick(&mut packed, self.what, self.nan, shared);
            for ((value, index), p) in values.iter_mut().zip(indices).zip(&packed) {
                (*value, *index) = (src[p.index()], p.index() as i64);
            }
        }
    }

    unsafe fn run(&self, rows: usize) {
        if self.n == 0 || rows == 0 {
            return;
        }
        let narrow = size_of::<T>() <= 4 && self.n <= u32::MAX as usize;
        let go = |range: Range<usize>, shared: bool| {
            // SAFETY: the caller's.
            unsafe {
                if narrow {
                    self.rows::<u64>(range, shared);
                } else {
                    self.rows::<u128>(range, shared);
                }
            }
        };
        if rows < threads::num_threads() {
            return go(0..rows, true);
        }
        let tasks = (rows * self.n / 4096).clamp(1, rows.min(4 * threads::num_threads()));
        threads::parallel_for(tasks, &|i| go(rows * i / tasks..rows * (i + 1) / tasks, false));
    }
}

/// Picks of each row of `n` elements: values and their places. Not of complex numbers.
///
/// # Panics
/// For complex dtypes, and for picks beyond the row.
///
/// # Safety
/// `src` holds `rows * n` elements of `dtype`, `values` and `indices` have room for what is picked
/// of each row.
pub unsafe fn order(
    dtype: DType,
    what: Pick,
    descending: bool,
    src: *const u8,
    (rows, n): (usize, usize),
    values: *mut u8,
    indices: *mut i64,
) {
    macro_rules! go {
        ($t:ty, $nan:expr) => {{
            let (src, values) = (src.cast::<$t>(), values.cast::<$t>());
            let job = Job { src, values, indices, n, what, descending, nan: $nan };
            // SAFETY: the caller's.
            unsafe { job.run(rows) }
        }};
    }
    match dtype {
        DType::Bool => go!(Bool, None),
        DType::U8 => go!(u8, None),
        DType::I8 => go!(i8, None),
        DType::I16 => go!(i16, None),
        DType::I32 => go!(i32, None),
        DType::I64 => go!(i64, None),
        DType::U16 => go!(u16, None),
        DType::U32 => go!(u32, None),
        DType::U64 => go!(u64, None),
        DType::F16 => go!(f16, Some(u16::MAX as u64)),
        DType::BF16 => go!(bf16, Some(u16::MAX as u64)),
        DType::F32 => go!(f32, Some(u32::MAX as u64)),
        DType::F64 => go!(f64, Some(u64::MAX)),
        DType::C64 | DType::C128 => panic!("complex numbers have no order"),
    }
}

/// Places in a sorted row where `value` could be inserted: before its equals, or after.
#[inline]
fn place<T: Key>(row: impl Fn(usize) -> T, n: usize, value: T, right: bool) -> usize {
    let (mut low, mut high) = (0, n);
    let key = value.key();
    while low < high {
        let mid = low + (high - low) / 2;
        let k = row(mid).key();
        if k < key || (right && k == key) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    low
}

/// Sorted rows, and the values searched in them: both row-major, of the same number of rows, or
/// one row for all values.
#[derive(Clone, Copy)]
pub struct Search {
    pub sorted: *const u8,
    /// Elements of a sorted row.
    pub n: usize,
    /// How each row is sorted, if it is not itself.
    pub sorter: Option<*const i64>,
    pub values: *const u8,
    /// Values searched in each row.
    pub per_row: usize,
    pub right: bool,
    pub out: *mut i64,
}
// SAFETY: each thread writes places of its own.
unsafe impl Sync for Search {}

/// Finds the places of `count` values of `dtype`.
///
/// # Panics
/// For complex dtypes.
///
/// # Safety
/// The operands hold what [`Search`] says, and a sorter holds indices of the row.
pub unsafe fn search(dtype: DType, s: &Search, count: usize) {
    macro_rules! go {
        ($t:ty) => {
            threads::for_ranges(count, 4096, &|range| {
                for i in range {
                    // SAFETY: the caller's.
                    unsafe {
                        let first = i / s.per_row.max(1) * s.n;
                        let row = |k: usize| {
                            let k = s.sorter.map_or(k, |p| *p.add(first + k) as usize);
                            *s.sorted.cast::<$t>().add(first + k)
                        };
                        let value = *s.values.cast::<$t>().add(i);
                        *s.out.add(i) = place(row, s.n, value, s.right) as i64;
                    }
                }
            })
        };
    }
    match dtype {
        DType::Bool => go!(Bool),
        DType::U8 => go!(u8),
        DType::I8 => go!(i8),
        DType::I16 => go!(i16),
        DType::I32 => go!(i32),
        DType::I64 => go!(i64),
        DType::U16 => go!(u16),
        DType::U32 => go!(u32),
        DType::U64 => go!(u64),
        DType::F16 => go!(f16),
        DType::BF16 => go!(bf16),
        DType::F32 => go!(f32),
        DType::F64 => go!(f64),
        DType::C64 | DType::C128 => panic!("complex numbers have no order"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(x: &[f32], what: Pick, descending: bool) -> (Vec<f32>, Vec<i64>) {
        let n = what.count(x.len());
        let (mut values, mut indices) = (vec![0f32; n], vec![0i64; n]);
        let (src, to) = (x.as_ptr().cast(), values.as_mut_ptr().cast());
        let at = indices.as_mut_ptr();
        // SAFETY: one row, with room for its results.
        unsafe { order(DType::F32, what, descending, src, (1, x.len()), to, at) };
        (values, indices)
    }

    #[test]
    fn sorts_are_stable_and_put_nan_last() {
        let x = [3.0, f32::NAN, -0.0, 0.0, f32::NEG_INFINITY, -1.5];
        assert_eq!(run(&x, Pick::Sorted, false).1, [4, 5, 2, 3, 0, 1]);
        assert_eq!(run(&x, Pick::Sorted, true).1, [1, 0, 2, 3, 5, 4]);
        assert_eq!(run(&x, Pick::First(2), false), (vec![f32::NEG_INFINITY, -1.5], vec![4, 5]));
        assert_eq!(run(&x, Pick::Median { skip_nan: false }, false).1, [1]);
        assert_eq!(run(&x, Pick::Median { skip_nan: true }, false).1, [2]);
        assert_eq!(run(&[1.0, 2.0, 2.0, 1.0], Pick::Mode, false), (vec![1.0], vec![3]));
    }

    #[test]
    fn a_long_row_is_shared_by_threads() {
        let n = 3 * LONG + 7;
        let x: Vec<f32> = (0..n).map(|i| ((i * 7919) % 65_537) as f32 - 3e4).collect();
        let mut expected: Vec<i64> = (0..n as i64).collect();
        expected.sort_by(|&a, &b| x[a as usize].total_cmp(&x[b as usize]));
        for threads in [1, 3] {
            threads::set_num_threads(threads);
            assert_eq!(run(&x, Pick::Sorted, false).1, expected);
        }
    }

    #[test]
    fn places_before_and_after_equals() {
        let (sorted, values) = ([1i64, 3, 3, 5], [3i64, 0, 6]);
        for (right, expected) in [(false, [1, 0, 4]), (true, [3, 0, 4])] {
            let mut out = [0i64; 3];
            let (s, v) = (sorted.as_ptr().cast(), values.as_ptr().cast());
            let (sorter, out_ptr) = (None, out.as_mut_ptr());
            let s = Search { sorted: s, n: 4, sorter, values: v, per_row: 3, right, out: out_ptr };
            // SAFETY: one row of four, three values.
            unsafe { search(DType::I64, &s, 3) };
            assert_eq!(out, expected);
        }
    }
}
