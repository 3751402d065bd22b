//! The loops round the micro-kernel, and how a product is shared among threads.

use super::pack::{pack, with_buffer};
use super::simd::Number;
use super::tile::{Kernels, Tile};
use crate::threads;
use std::ops::Range;

pub fn tune(i: usize, default: usize) -> usize {
    static T: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let t = T.get_or_init(|| {
        std::env::var("TUNE").map_or(vec![], |s| s.split(',').map(|x| x.parse().unwrap_or(0)).collect())
    });
    t.get(i).copied().filter(|&x| x > 0).unwrap_or(default)
}

/// A matrix in memory: element (i, j) at `ptr + i * rs + j * cs`.
#[derive(Clone, Copy)]
pub struct Matrix<P> {
    pub ptr: P,
    pub rs: isize,
    pub cs: isize,
    /// To the same matrix of the next product of a batch.
    pub step: isize,
}

impl<P> Matrix<P> {
    fn transposed(self) -> Self {
        Matrix { rs: self.cs, cs: self.rs, ..self }
    }
}

/// `batch` products `c = alpha * (a @ b) + beta * c`, with `m`, `n`, `k` not zero.
#[derive(Clone, Copy)]
pub struct Product<T: 'static> {
    pub kernels: &'static Kernels<T>,
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: T,
    pub a: Matrix<*const T>,
    pub b: Matrix<*const T>,
    pub beta: T,
    pub c: Matrix<*mut T>,
}

// SAFETY: the pointers are used as the caller of `gemm` promises, and threads write disjoint parts.
unsafe impl<T: Sync> Sync for Product<T> {}

/// A part of the work: some products, some rows, some columns.
struct Part {
    batch: Range<usize>,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl<T: Number> Product<T> {
    /// The same product written as `c.T = b.T @ a.T`.
    pub fn transposed(self) -> Self {
        let (a, b) = (self.b.transposed(), self.a.transposed());
        Product { m: self.n, n: self.m, a, b, c: self.c.transposed(), ..self }
    }

    /// # Safety
    /// The matrices must be valid, and C must overlap neither itself nor the others.
    pub unsafe fn run(self) {
        let this = if self.c.cs != 1 && self.c.rs == 1 { self.transposed() } else { self };
        // SAFETY: the caller's promise, passed on.
        unsafe { this.run_oriented() }
    }

    unsafe fn run_oriented(&self) {
        let (m, n) = (self.m, self.n);
        let threads = threads::num_threads();
        let madds = self.m * self.n * self.k;
        let all = Part { batch: 0..self.batch, rows: 0..m, cols: 0..n };
        if threads == 1 || madds * self.batch < tune(3, 100_000) {
            // SAFETY: the caller's promise.
            return unsafe { self.part(all) };
        }
        if self.batch >= 2 * threads || self.batch > 1 && madds < 100_000 {
            let shared = self.b.step == 0;
            let min = if shared { 1 } else { (50_000 / madds).max(1) };
            let chunks = (self.batch / min).clamp(1, threads * 4);
            let chunk = self.batch.div_ceil(chunks);
            return threads::parallel_for(self.batch.div_ceil(chunk), &|i| {
                let batch = i * chunk..self.batch.min((i + 1) * chunk);
                // SAFETY: products of a batch write disjoint matrices.
                unsafe { self.part(Part { batch, rows: 0..m, cols: 0..n }) }
            });
        }
        let units = threads * tune(4, 3);
        let (lanes, rows) = (self.kernels.lanes, self.kernels.rows());
        let col_units = units.min((n / (2 * lanes * self.kernels.vectors())).max(1));
        let row_units = units.div_ceil(col_units).min(m.div_ceil(rows));
        let width = n.div_ceil(col_units).next_multiple_of(lanes);
        let height = m.div_ceil(row_units).next_multiple_of(rows);
        let (across, down) = (n.div_ceil(width), m.div_ceil(height));
        threads::parallel_for(self.batch * across * down, &|i| {
            let (e, i) = (i / (across * down), i % (across * down));
            let (x, y) = (i / down * width, i % down * height);
            let part = Part { batch: e..e + 1, rows: y..m.min(y + height), cols: x..n.min(x + width) };
            // SAFETY: parts are disjoint in C.
            unsafe { self.part(part) }
        });
    }

    /// Computes a part on this thread.
    unsafe fn part(&self, part: Part) {
        let (lanes, size) = (self.kernels.lanes, size_of::<T>());
        let depth = self.k.min(tune(0, 384));
        let width = (tune(1, 512) * 1024 / (depth * size)).max(1).next_multiple_of(lanes * self.kernels.vectors());
        let width = width.min(part.cols.len().next_multiple_of(lanes));
        // Adjacent elements in rows, few rows to reuse it or small enough not to matter: as it is.
        let direct = self.b.cs == 1 && (part.rows.len() <= 2 * self.kernels.rows()
            || self.k * part.cols.len() * size <= tune(2, 64) * 1024);
        if direct && self.c.cs == 1 {
            // SAFETY: the caller's promise.
            return unsafe { self.direct(&part) };
        }
        with_buffer(depth * width, |buffer: *mut T| {
            for e in part.batch.clone() {
                for x in part.cols.clone().step_by(width) {
                    let cols = x..part.cols.end.min(x + width);
                    for p in (0..self.k).step_by(depth) {
                        let beta = if p == 0 { self.beta } else { T::ONE };
                        let k = depth.min(self.k - p);
                        // SAFETY
                        unsafe {
                            let b = self.b.ptr.offset(e as isize * self.b.step + p as isize * self.b.rs + x as isize * self.b.cs);
                            for (v, count) in spread(cols.len().div_ceil(lanes), self.kernels.vectors()) {
                                let w = (count * lanes).min(cols.len() - v * lanes);
                                pack((w, self.b.cs), (k, self.b.rs), b.offset((v * lanes) as isize * self.b.cs), buffer.add(v * lanes * k), count * lanes);
                            }
                            self.panel(e, &part.rows, &cols, p, k, beta, buffer, None);
                        }
                    }
                }
            }
        });
    }

    unsafe fn direct(&self, part: &Part) {
        for e in part.batch.clone() {
            unsafe {
                let b = self.b.ptr.offset(e as isize * self.b.step + part.cols.start as isize);
                self.panel(e, &part.rows, &part.cols, 0, self.k, self.beta, b, Some(self.b.rs));
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    unsafe fn panel(&self, e: usize, rows: &Range<usize>, cols: &Range<usize>, p: usize, k: usize, beta: T, b: *const T, rsb: Option<isize>) {
        let lanes = self.kernels.lanes;
        let e = e as isize;
        for (r, height) in spread(rows.len(), self.kernels.rows()) {
            for (v, count) in spread(cols.len().div_ceil(lanes), self.kernels.vectors()) {
                let (i, j) = ((rows.start + r) as isize, (cols.start + v * lanes) as isize);
                let w = (count * lanes).min(cols.len() - v * lanes);
                unsafe {
                    let (b, rsb) = match rsb {
                        None => (b.add(v * lanes * k), (count * lanes) as isize),
                        Some(rsb) => (b.add(v * lanes), rsb),
                    };
                    let tile = Tile {
                        k, alpha: self.alpha,
                        a: self.a.ptr.offset(e * self.a.step + i * self.a.rs + p as isize * self.a.cs),
                        rsa: self.a.rs, csa: self.a.cs, b, rsb, beta,
                        c: self.c.ptr.offset(e * self.c.step + i * self.c.rs + j * self.c.cs),
                        rsc: self.c.rs,
                        last: w - (count - 1) * lanes,
                    };
                    self.kernels.tiles[height - 1][count - 1](&tile);
                }
            }
        }
    }
}

/// Cuts `0..len` into the fewest pieces of at most `most`, as even as can be: (start, length) pairs.
fn spread(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let pieces = len.div_ceil(most);
    let (small, larger) = (len / pieces.max(1), len % pieces.max(1));
    (0..pieces).map(move |i| (i * small + i.min(larger), small + usize::from(i < larger)))
}
