//! Products with a vector, and dot products: bound by memory, so each element is read once.

use super::pack::{copy, with_buffer};
use super::product::{Product, pieces, worth_sharing};
use super::simd::{Number, Vector};
use super::tile::Kernels;
use crate::threads;
use std::ops::Range;

/// Rows that one pass over the vector multiplies, or columns that one pass over the result adds.
pub const ROWS: usize = 4;
pub const COLS: usize = 8;

/// Elements of a result kept in L1 while the columns go by.
const BLOCK: usize = 1024;

/// Elements of a dot product summed by one task; fixed, so the result depends on no thread count.
const CHUNK: usize = 32 * 1024;

/// The vector kernels of one element type at one level.
pub struct VectorKernels<T> {
    /// `out[i] = row i of A . x` for [`ROWS`] rows, and for one.
    pub rows: RowsFn<T>,
    pub row: RowsFn<T>,
    /// `y += A x` for [`COLS`] columns, and for one.
    pub cols: ColsFn<T>,
    pub col: ColsFn<T>,
}

/// Length, A, distance of rows, x, result.
type RowsFn<T> = unsafe fn(usize, *const T, isize, *const T, *mut T);
/// Length, A, distance of columns, coefficients, y.
type ColsFn<T> = unsafe fn(usize, *const T, isize, *const T, *mut T);

/// # Safety
/// As [`Vector`] asks, for `R` rows of `len` elements, and x.
#[inline(always)]
pub unsafe fn rows<V: Vector, const R: usize>(
    len: usize,
    a: *const V::Elem,
    rs: isize,
    x: *const V::Elem,
    out: *mut V::Elem,
) {
    /// Independent sums per row, to hide the latency of addition.
    const SUMS: usize = 4;
    // SAFETY: the caller's promise.
    unsafe {
        let zero = V::splat(V::Elem::ZERO);
        let mut acc = [[zero; SUMS]; R];
        let mut p = 0;
        while p + SUMS * V::LANES <= len {
            for s in 0..SUMS {
                let at = p + s * V::LANES;
                let x = V::load(x.add(at));
                for (i, acc) in acc.iter_mut().enumerate() {
                    acc[s] = V::load(a.offset(i as isize * rs).add(at)).times_plus(x, acc[s]);
                }
            }
            p += SUMS * V::LANES;
        }
        while p < len {
            let mask = V::mask(V::LANES.min(len - p));
            let x = V::load_masked(x.add(p), mask);
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = V::load_masked(a.offset(i as isize * rs).add(p), mask);
                acc[0] = a.times_plus(x, acc[0]);
            }
            p += V::LANES;
        }
        for (i, [s, t, u, v]) in acc.into_iter().enumerate() {
            *out.add(i) = s.plus(t).plus(u.plus(v)).sum();
        }
    }
}

/// # Safety
/// As [`Vector`] asks, for `C` columns of `len` elements, `C` coefficients, and y.
#[inline(always)]
pub unsafe fn cols<V: Vector, const C: usize>(
    len: usize,
    a: *const V::Elem,
    cs: isize,
    x: *const V::Elem,
    y: *mut V::Elem,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x: [V; C] = std::array::from_fn(|j| V::splat(*x.add(j)));
        let a: [*const V::Elem; C] = std::array::from_fn(|j| a.offset(j as isize * cs));
        let mut p = 0;
        while p + V::LANES <= len {
            let mut sum = V::load(y.add(p));
            for j in 0..C {
                sum = V::load(a[j].add(p)).times_plus(x[j], sum);
            }
            sum.store(y.add(p));
            p += V::LANES;
        }
        if p < len {
            let mask = V::mask(len - p);
            let mut sum = V::load_masked(y.add(p), mask);
            for j in 0..C {
                sum = V::load_masked(a[j].add(p), mask).times_plus(x[j], sum);
            }
            sum.store_masked(y.add(p), mask);
        }
    }
}

/// Computes products with `n == 1` whose A has adjacent elements in rows or in columns.
///
/// # Safety
/// As [`Product::run`].
pub unsafe fn run<T: Number>(p: &Product<T>) {
    let by_rows = p.a.cs == 1;
    let grain = if by_rows { ROWS } else { 256 };
    let all = p.m.saturating_mul(p.k).saturating_mul(p.batch);
    // SAFETY: the caller's promise; parts are disjoint in C.
    let part = |e, rows| unsafe {
        if by_rows {
            run_rows(p, e, rows)
        } else {
            run_cols(p, e, rows)
        };
    };
    if p.m == 1 && p.batch == 1 {
        // SAFETY: the caller's promise.
        unsafe {
            let (a, b) = ((p.a.ptr, p.a.cs), (p.b.ptr, p.b.rs));
            let sum = Dot { kernels: p.kernels, len: p.k, a, b }.run();
            return finish(p, 0, 0, sum);
        }
    }
    if !worth_sharing(2 * all) {
        return (0..p.batch).for_each(|e| part(e, 0..p.m));
    }
    let parts = (threads::num_threads() * 3).div_ceil(p.batch);
    let height = p.m.div_ceil(parts).next_multiple_of(grain);
    let down = p.m.div_ceil(height);
    // Small products in groups: a task should be worth its claim.
    let group = (all / (p.batch * down)).max(1);
    let group = (16 * 1024 / group).clamp(1, p.batch.div_ceil(threads::num_threads() * 3));
    let groups = p.batch.div_ceil(group);
    threads::parallel_for(groups * down, &|i| {
        let (g, y) = (i / down * group, i % down * height);
        (g..p.batch.min(g + group)).for_each(|e| part(e, y..p.m.min(y + height)));
    });
}

/// `c[i] = alpha * sum + beta * c[i]`.
#[inline]
unsafe fn finish<T: Number>(p: &Product<T>, e: usize, i: usize, sum: T) {
    // SAFETY: the caller's promise.
    unsafe {
        let c = p.c.ptr.offset(p.c.at(e, i, 0));
        let new = p.alpha.times(sum);
        *c = if p.beta == T::ZERO { new } else { new.plus(p.beta.times(*c)) };
    }
}

/// Rows of A are adjacent: a dot product each.
unsafe fn run_rows<T: Number>(p: &Product<T>, e: usize, range: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        with_adjacent(p.k, p.b.ptr.offset(p.b.at(e, 0, 0)), p.b.rs, |x| {
            for rows in pieces(&range, ROWS) {
                let a = p.a.ptr.offset(p.a.at(e, rows.start, 0));
                let mut out = [T::ZERO; ROWS];
                if rows.len() == ROWS {
                    (p.kernels.vector.rows)(p.k, a, p.a.rs, x, out.as_mut_ptr());
                } else {
                    for i in 0..rows.len() {
                        let a = a.offset(i as isize * p.a.rs);
                        (p.kernels.vector.row)(p.k, a, 0, x, out.as_mut_ptr().add(i));
                    }
                }
                rows.zip(out).for_each(|(i, sum)| finish(p, e, i, sum));
            }
        });
    }
}

/// Columns of A are adjacent: the result is a sum of them.
unsafe fn run_cols<T: Number>(p: &Product<T>, e: usize, range: Range<usize>) {
    for rows in pieces(&range, BLOCK) {
        let mut sums = [T::ZERO; BLOCK];
        for cols in pieces(&(0..p.k), COLS) {
            let (vector, y, len) = (&p.kernels.vector, sums.as_mut_ptr(), rows.len());
            // SAFETY: the caller's promise.
            unsafe {
                let a = p.a.ptr.offset(p.a.at(e, rows.start, cols.start));
                let mut x = [T::ZERO; COLS];
                for (x, j) in x.iter_mut().zip(cols.clone()) {
                    *x = *p.b.ptr.offset(p.b.at(e, j, 0));
                }
                if cols.len() == COLS {
                    (vector.cols)(len, a, p.a.cs, x.as_ptr(), y);
                } else {
                    for (j, x) in x[..cols.len()].iter().enumerate() {
                        (vector.col)(len, a.offset(j as isize * p.a.cs), 0, x, y);
                    }
                }
            }
        }
        // SAFETY: the caller's promise.
        rows.zip(sums).for_each(|(i, sum)| unsafe { finish(p, e, i, sum) });
    }
}

/// Calls `f` with adjacent elements: those given, or a copy of them.
unsafe fn with_adjacent<T: Number>(
    len: usize,
    x: *const T,
    stride: isize,
    f: impl FnOnce(*const T),
) {
    if stride == 1 || len == 1 {
        return f(x);
    }
    with_buffer(len, |buffer| {
        // SAFETY: the caller's promise, and the buffer holds `len` elements.
        unsafe { copy((1, 1), (len, stride), x, buffer, 1) };
        f(buffer);
    });
}

/// Two vectors, each a pointer and a stride, to be multiplied.
pub struct Dot<T: 'static> {
    pub kernels: &'static Kernels<T>,
    pub len: usize,
    pub a: (*const T, isize),
    pub b: (*const T, isize),
}

impl<T: Number> Dot<T> {
    /// The dot product.
    ///
    /// # Safety
    /// `len` elements must be valid for reads at both ends; the machine must have the instructions of
    /// the kernels.
    pub unsafe fn run(self) -> T {
        let parts = self.len.div_ceil(CHUNK);
        if parts <= 1 {
            // SAFETY: the caller's promise.
            return unsafe { self.chunk(0) };
        }
        let mut sums = vec![T::ZERO; parts];
        let job = Chunks { dot: self, sums: sums.as_mut_ptr() };
        let job = &job;
        // SAFETY: the caller's promise; each task writes its own sum.
        let task = |i| unsafe { *job.sums.add(i) = job.dot.chunk(i) };
        if worth_sharing(4 * job.dot.len) {
            threads::parallel_for(parts, &task);
        } else {
            (0..parts).for_each(task);
        }
        sums.into_iter().fold(T::ZERO, T::plus)
    }

    /// The sum of one chunk of products.
    unsafe fn chunk(&self, i: usize) -> T {
        let (start, len) = (i * CHUNK, CHUNK.min(self.len - i * CHUNK));
        // SAFETY: the caller's promise.
        unsafe {
            let a = self.a.0.offset(start as isize * self.a.1);
            let b = self.b.0.offset(start as isize * self.b.1);
            if (self.a.1, self.b.1) == (1, 1) {
                let mut sum = T::ZERO;
                (self.kernels.vector.row)(len, a, 0, b, &mut sum);
                return sum;
            }
            let mut sums = [T::ZERO; 8];
            for i in 0..len as isize {
                let sum = &mut sums[i as usize % 8];
                *sum = sum.plus((*a.offset(i * self.a.1)).times(*b.offset(i * self.b.1)));
            }
            sums.into_iter().fold(T::ZERO, T::plus)
        }
    }
}

/// A dot product and the sums of its chunks.
struct Chunks<T: 'static> {
    dot: Dot<T>,
    sums: *mut T,
}

// SAFETY: whoever makes it vouches for its pointers; tasks write different sums.
unsafe impl<T: Sync> Sync for Chunks<T> {}
