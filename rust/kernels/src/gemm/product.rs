//! The loops round the micro-kernel, and how a product is shared among threads.
//!
//! ```text
//! for each panel of B: PANEL bytes at most, at most DEPTH rows     (copied to stay in L2)
//!     for each strip of A: as many rows as a tile                  (stays in L1, never copied)
//!         for each tile of the strip: micro-kernel
//! ```

use super::pack::{copy, pack, with_buffer};
use super::simd::Number;
use super::tile::{Kernels, TILE, Tile};
use super::vector;
use crate::threads;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Most rows of a panel of B: C is read and written once per so many. Speed is flat from 256 to 768;
/// the smaller, the smaller the rounding error.
const DEPTH: usize = 320;

/// Elements of a strip of A: the most rows of a tile, by the depth of a panel.
const STRIP: usize = 8 * DEPTH;

/// Bytes of a packed panel of B: half of the smallest L2 of current cores. Flat from 384 K to 768 K.
const PANEL: usize = 512 << 10;

/// A panel of B at most this big, in bytes, with adjacent columns, is read where it is.
const DIRECT: usize = 64 << 10;

/// Multiplications that pay for handing a part to another thread, about 1.5 us.
const WORTH_SHARING: usize = 80_000;

/// As [`WORTH_SHARING`], where the other threads sleep; waking one takes the caller 5 to 20 us.
const WORTH_WAKING: usize = 1_500_000;

/// Parts per thread: more than one, so that a disturbed core does less; few, so that parts are large.
const PARTS_PER_THREAD: usize = 3;

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

    /// The offset of element (i, j) of matrix `e`.
    pub fn at(&self, e: usize, i: usize, j: usize) -> isize {
        e as isize * self.step + i as isize * self.rs + j as isize * self.cs
    }
}

/// `batch` products `c = alpha * (a @ b) + beta * c`, with no size zero.
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
    /// C is not read where this is zero.
    pub beta: T,
    pub c: Matrix<*mut T>,
}

// SAFETY: whoever makes a product vouches for its pointers; threads write disjoint parts of C.
unsafe impl<T: Sync> Sync for Product<T> {}

/// A part of the work: some products, some rows, some columns.
struct Part {
    batch: Range<usize>,
    rows: Range<usize>,
    cols: Range<usize>,
}

/// A panel of B as the tiles read it, and where it lies in the product.
struct Panel<T> {
    ptr: *const T,
    /// The distance of rows, or none if packed: slivers as wide as a tile, one after the other.
    rs: Option<isize>,
    depth: Range<usize>,
    cols: Range<usize>,
}

impl<T: Number> Product<T> {
    /// Computes the product.
    ///
    /// # Safety
    /// A and B must be valid for reads, C for reads and writes; elements of C must be distinct and
    /// apart from A and B; the machine must have the instructions of the kernels.
    pub unsafe fn run(self) {
        let this = self.folded();
        let other = this.transposed().folded();
        let this = if other.batch < this.batch { other.transposed() } else { this };
        // SAFETY: the caller's promise, passed on.
        unsafe {
            for p in [&this, &other] {
                if p.n == 1 && (p.m == 1 || p.a.rs == 1 || p.a.cs == 1) {
                    return vector::run(p);
                }
            }
            if other.cost() < this.cost() { other.run_matrix() } else { this.run_matrix() }
        }
    }

    /// `c = beta * c`: what is left of a product of nothing.
    ///
    /// # Safety
    /// As [`Product::run`], of C.
    pub unsafe fn scale(self) {
        for (e, i) in (0..self.batch).flat_map(|e| (0..self.m).map(move |i| (e, i))) {
            for j in 0..self.n {
                // SAFETY: the caller's promise.
                unsafe {
                    let c = self.c.ptr.offset(self.c.at(e, i, j));
                    *c = if self.beta == T::ZERO { T::ZERO } else { self.beta.times(*c) };
                }
            }
        }
    }

    /// One tall product instead of many, where B is shared and rows go on from one to the next.
    fn folded(self) -> Self {
        let (batch, rows) = (self.batch, self.m as isize);
        let goes_on = self.a.step == rows * self.a.rs && self.c.step == rows * self.c.rs;
        if batch == 1 || self.b.step != 0 || !(goes_on || rows == 1) {
            return self;
        }
        let (mut a, mut c) = (self.a, self.c);
        if rows == 1 {
            (a.rs, c.rs) = (a.step, c.step);
        }
        Product { batch: 1, m: self.m * batch, a, c, ..self }
    }

    /// The same product written as `c.T = b.T @ a.T`.
    fn transposed(&self) -> Self {
        let (a, b) = (self.b.transposed(), self.a.transposed());
        Product { m: self.n, n: self.m, a, b, c: self.c.transposed(), ..*self }
    }

    /// Cycles per product, roughly: vector multiplications, and elements that need shuffling.
    fn cost(&self) -> usize {
        let (m, n, k) = (self.m, self.n, self.k);
        let scattered = if self.c.cs == 1 { 0 } else { 2 * m * n };
        let transposed = if self.b.cs == 1 { 0 } else { n * k };
        m * n.div_ceil(self.kernels.lanes) * k + scattered + transposed
    }

    unsafe fn run_matrix(&self) {
        let (m, n, threads) = (self.m, self.n, threads::num_threads());
        let madds = m.saturating_mul(n).saturating_mul(self.k);
        if !worth_sharing(madds.saturating_mul(self.batch)) {
            // SAFETY: the caller's promise.
            return unsafe { self.run_part(Part { batch: 0..self.batch, rows: 0..m, cols: 0..n }) };
        }
        if self.batch >= 2 * threads || madds < WORTH_SHARING {
            let parts = self.batch.min(threads * PARTS_PER_THREAD);
            return threads::parallel_for(parts, &|i| {
                let batch = i * self.batch / parts..(i + 1) * self.batch / parts;
                // SAFETY: products of a batch write disjoint matrices.
                unsafe { self.run_part(Part { batch, rows: 0..m, cols: 0..n }) }
            });
        }
        // Columns first: threads then share no panel of B. Not narrower than two tiles, though.
        let (lanes, most) = (self.kernels.lanes, self.kernels.vectors());
        let across = (threads * PARTS_PER_THREAD).min(n / (2 * lanes * most)).max(1);
        // Parts that differ in rows pack the same B; where this means shuffling, make few.
        let per_thread = if self.b.cs == 1 { PARTS_PER_THREAD } else { 1 };
        let parts = (threads * per_thread).div_ceil(self.batch);
        let width = n.div_ceil(across).next_multiple_of(lanes);
        let height = m.div_ceil(parts.div_ceil(across)).next_multiple_of(self.kernels.rows());
        let (across, down) = (n.div_ceil(width), m.div_ceil(height));
        threads::parallel_for(self.batch * across * down, &|i| {
            let (e, i) = (i / (across * down), i % (across * down));
            let (x, y) = (i / down * width, i % down * height);
            let (rows, cols) = (y..m.min(y + height), x..n.min(x + width));
            // SAFETY: parts are disjoint in C.
            unsafe { self.run_part(Part { batch: e..e + 1, rows, cols }) }
        });
    }

    /// Computes a part on this thread.
    ///
    /// # Safety
    /// As [`Product::run`].
    unsafe fn run_part(&self, part: Part) {
        let (lanes, rows) = (self.kernels.lanes, part.rows.len());
        let depth = self.k.div_ceil(self.k.div_ceil(DEPTH));
        let whole = part.cols.len().next_multiple_of(lanes);
        let direct = self.b.cs == 1
            && (rows <= 4 * self.kernels.rows() || depth * whole * size_of::<T>() <= DIRECT);
        if direct {
            // SAFETY: the caller's promise.
            return unsafe { self.run_panels(&part, depth, whole, None) };
        }
        let fitting = PANEL / (depth * size_of::<T>());
        let width = fitting.next_multiple_of(lanes * self.kernels.vectors()).min(whole);
        with_buffer(depth * width, |buffer| {
            // SAFETY: the caller's promise, and the buffer holds a panel.
            unsafe { self.run_panels(&part, depth, width, Some(buffer)) }
        });
    }

    /// Computes a part, panel by panel, packed if there is a buffer to pack into.
    ///
    /// # Safety
    /// As [`Product::run`]; `buffer` must hold `depth * width` elements.
    unsafe fn run_panels(&self, part: &Part, depth: usize, width: usize, buffer: Option<*mut T>) {
        // Products that share B share its panels.
        let sharing = if self.b.step == 0 { part.batch.len() } else { 1 };
        for group in pieces(&part.batch, sharing) {
            for cols in pieces(&part.cols, width) {
                for depth in pieces(&(0..self.k), depth) {
                    let (cols, at) =
                        (cols.clone(), self.b.at(group.start, depth.start, cols.start));
                    // SAFETY: the caller's promise.
                    unsafe {
                        let ptr = self.b.ptr.offset(at);
                        let rs = if buffer.is_some() { None } else { Some(self.b.rs) };
                        let mut panel = Panel { ptr, rs, depth, cols };
                        if let Some(buffer) = buffer {
                            self.pack(&mut panel, buffer);
                        }
                        for e in group.clone() {
                            self.run_panel(e, &part.rows, &panel);
                        }
                    }
                }
            }
        }
    }

    /// Packs a panel of B into slivers as wide as the tiles that will read them.
    unsafe fn pack(&self, panel: &mut Panel<T>, buffer: *mut T) {
        let (lanes, depth) = (self.kernels.lanes, panel.depth.len());
        for (v, count) in spread(panel.cols.len().div_ceil(lanes), self.kernels.vectors()) {
            let (x, pitch) = (v * lanes, count * lanes);
            let width = pitch.min(panel.cols.len() - x);
            // SAFETY: the caller's promise; slivers lie one after the other in the buffer.
            unsafe {
                let src = panel.ptr.offset(x as isize * self.b.cs);
                let dst = buffer.add(x * depth);
                pack((width, self.b.cs), (depth, self.b.rs), src, dst, pitch);
            }
        }
        panel.ptr = buffer;
    }

    /// Computes what one panel of B contributes to some rows of product `e`.
    unsafe fn run_panel(&self, e: usize, rows: &Range<usize>, panel: &Panel<T>) {
        let (lanes, k) = (self.kernels.lanes, panel.depth.len());
        let beta = if panel.depth.start == 0 { self.beta } else { T::ONE };
        // Columns of A that lie far apart may fall into few cache sets: copied when read often.
        let copying = self.a.cs != 1 && panel.cols.len() > 2 * lanes * self.kernels.vectors();
        let mut strip = [MaybeUninit::<T>::uninit(); STRIP];
        for (i, height) in spread(rows.len(), self.kernels.rows()) {
            // SAFETY: the caller's promise, and a strip holds that many rows of a panel's depth.
            let (a, rsa, csa) = unsafe {
                let a = self.a.ptr.offset(self.a.at(e, rows.start + i, panel.depth.start));
                if copying {
                    let strip = strip.as_mut_ptr().cast::<T>();
                    copy((height, self.a.rs), (k, self.a.cs), a, strip, height as isize);
                    (strip.cast_const(), 1, height as isize)
                } else {
                    (a, self.a.rs, self.a.cs)
                }
            };
            for (v, count) in spread(panel.cols.len().div_ceil(lanes), self.kernels.vectors()) {
                let (row, x) = (rows.start + i, v * lanes);
                let width = (count * lanes).min(panel.cols.len() - x);
                let (b_skip, rsb) = match panel.rs {
                    Some(rs) => (x, rs),
                    None => (x * k, (count * lanes) as isize),
                };
                // SAFETY: the tile lies inside the part.
                unsafe {
                    let mut tile = Tile {
                        k,
                        alpha: self.alpha,
                        a,
                        rsa,
                        csa,
                        b: panel.ptr.add(b_skip),
                        rsb,
                        beta,
                        c: self.c.ptr.offset(self.c.at(e, row, panel.cols.start + x)),
                        rsc: self.c.rs,
                        last: width - (count - 1) * lanes,
                    };
                    let run = self.kernels.tiles[height - 1][count - 1];
                    if self.c.cs == 1 {
                        run(&tile);
                    } else {
                        self.scatter(&mut tile, run, height, width);
                    }
                }
            }
        }
    }

    /// Computes a tile of a C whose columns are not adjacent: aside, then copied.
    unsafe fn scatter(&self, tile: &mut Tile<T>, run: unsafe fn(&Tile<T>), m: usize, n: usize) {
        let mut aside = [T::ZERO; TILE];
        let (c, beta, rs) = (tile.c, tile.beta, n.next_multiple_of(self.kernels.lanes));
        (tile.c, tile.beta, tile.rsc) = (aside.as_mut_ptr(), T::ZERO, rs as isize);
        // SAFETY: the caller's promise, and no tile has more than `TILE` elements.
        unsafe {
            run(tile);
            if beta == T::ZERO && self.c.rs == 1 {
                return copy((m, rs as isize), (n, 1), aside.as_ptr(), c, self.c.cs);
            }
            for i in 0..m {
                for j in 0..n {
                    let c = c.offset(i as isize * self.c.rs + j as isize * self.c.cs);
                    let new = aside[i * rs + j];
                    *c = if beta == T::ZERO { new } else { new.plus(beta.times(*c)) };
                }
            }
        }
    }
}

/// Whether so many multiplications are worth more than one thread.
///
/// Sleeping threads are woken once what they were not woken for adds up to [`WORTH_WAKING`].
pub fn worth_sharing(madds: usize) -> bool {
    static FORGONE: AtomicUsize = AtomicUsize::new(0);
    if madds < WORTH_SHARING || threads::num_threads() == 1 {
        return false;
    }
    if threads::are_hot() {
        return true;
    }
    let forgone = FORGONE.load(Relaxed).saturating_add(madds);
    let worth = forgone >= WORTH_WAKING;
    FORGONE.store(if worth { 0 } else { forgone }, Relaxed);
    worth
}

/// Cuts a range into pieces of `size`, the last one shorter.
pub fn pieces(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    range.clone().step_by(size).map(move |start| start..end.min(start + size))
}

/// Cuts `0..len` into the fewest pieces of at most `most`, as even as can be: (start, length) pairs.
fn spread(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let pieces = len.div_ceil(most).max(1);
    let (small, larger) = (len / pieces, len % pieces);
    (0..pieces).map(move |i| (i * small + i.min(larger), small + usize::from(i < larger)))
}
