//! Running sums and products along one dimension.
//!
//! Rounding is PyTorch's: in order, accumulated in double precision. Speed comes from several
//! independent scans at a time: four rows, or a strip of columns.

use std::marker::PhantomData;

use num_complex::Complex;

use super::block::CHUNK;
use super::for_pieces;
use super::layout::{Kept, List, contiguous, merge_kept, place};
use crate::DType;

/// A running reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// Of int64 and uint64 (wrapping), and float and complex types from 32 bits a number.
    Sum,
    /// As `Sum`.
    Prod,
}

/// Columns scanned at a time.
const STRIP: usize = 256;
/// Rows scanned at a time.
const ROWS: usize = 4;

/// Writes the running reduction of `src` along dimension `dim` to `dst`, contiguous over `shape`.
///
/// `shape` holds sizes and signed strides (in elements) of `src`.
///
/// # Panics
/// If `op` does not take `dtype` (see [`Scan`]), or `dim` is not a dimension of `shape`.
///
/// # Safety
/// Each element that `shape` describes can be read from `src`; `dst` can be written and is apart
/// from them; both are aligned for `dtype`.
pub unsafe fn scan(
    op: Scan,
    dtype: DType,
    src: *const u8,
    shape: &[(usize, isize)],
    dim: usize,
    dst: *mut u8,
) {
    macro_rules! go {
        ($S:ty) => {{
            let job = ScanJob::<$S>::new(src.cast(), shape, dim, dst.cast());
            for_pieces(job.units.div_ceil(job.per_piece), &|i| {
                let job = &job;
                // SAFETY: the caller's promise.
                crate::dispatch!(_I, (job: &ScanJob<$S>, i: usize) => unsafe { job.piece(i) })
            })
        }};
    }
    match (op, dtype) {
        (Scan::Sum, DType::I64 | DType::U64) => go!(CumSum<i64>),
        (Scan::Sum, DType::F32) => go!(CumSum<f32>),
        (Scan::Sum, DType::F64) => go!(CumSum<f64>),
        (Scan::Sum, DType::C64) => go!(CumSum<Complex<f32>>),
        (Scan::Sum, DType::C128) => go!(CumSum<Complex<f64>>),
        (Scan::Prod, DType::I64 | DType::U64) => go!(CumProd<i64>),
        (Scan::Prod, DType::F32) => go!(CumProd<f32>),
        (Scan::Prod, DType::F64) => go!(CumProd<f64>),
        (Scan::Prod, DType::C64) => go!(CumProd<Complex<f32>>),
        (Scan::Prod, DType::C128) => go!(CumProd<Complex<f64>>),
        _ => panic!("no running {op:?} of {}", dtype.name()),
    }
}

/// What is accumulated, and in which type.
trait Step {
    type T: Copy;
    type Acc: Copy;
    const START: Self::Acc;
    fn step(acc: Self::Acc, x: Self::T) -> Self::Acc;
    fn out(acc: Self::Acc) -> Self::T;
}

struct CumSum<T>(PhantomData<T>);
struct CumProd<T>(PhantomData<T>);

/// To and from the accumulator's type.
trait Wide: Copy {
    type Acc: Copy;
    fn widen(self) -> Self::Acc;
    fn narrow(acc: Self::Acc) -> Self;
}

macro_rules! wide {
    ($($t:ty => $acc:ty, |$x:ident| $widen:expr, $narrow:expr;)*) => {
        $(impl Wide for $t {
            type Acc = $acc;
            #[inline(always)]
            fn widen(self) -> $acc { let $x = self; $widen }
            #[inline(always)]
            fn narrow($x: $acc) -> $t { $narrow }
        })*
    };
}

wide! {
    i64 => i64, |x| x, x;
    f32 => f64, |x| f64::from(x), x as f32;
    f64 => f64, |x| x, x;
    Complex<f32> => Complex<f64>, |x| Complex::new(x.re.into(), x.im.into()), Complex::new(x.re as f32, x.im as f32);
    Complex<f64> => Complex<f64>, |x| x, x;
}

macro_rules! steps {
    ($($scan:ident<$t:ty>: $start:expr, |$a:ident, $x:ident| $step:expr;)*) => {
        $(impl Step for $scan<$t> {
            type T = $t;
            type Acc = <$t as Wide>::Acc;
            const START: Self::Acc = $start;
            #[inline(always)]
            fn step($a: Self::Acc, x: $t) -> Self::Acc { let $x = x.widen(); $step }
            #[inline(always)]
            fn out(acc: Self::Acc) -> $t { <$t>::narrow(acc) }
        })*
    };
}

steps! {
    CumSum<i64>: 0, |a, x| a.wrapping_add(x);
    CumSum<f32>: 0., |a, x| a + x;
    CumSum<f64>: 0., |a, x| a + x;
    CumSum<Complex<f32>>: Complex::new(0., 0.), |a, x| a + x;
    CumSum<Complex<f64>>: Complex::new(0., 0.), |a, x| a + x;
    CumProd<i64>: 1, |a, x| a.wrapping_mul(x);
    CumProd<f32>: 1., |a, x| a * x;
    CumProd<f64>: 1., |a, x| a * x;
    CumProd<Complex<f32>>: Complex::new(1., 0.), |a, x| a * x;
    CumProd<Complex<f64>>: Complex::new(1., 0.), |a, x| a * x;
}

struct ScanJob<S: Step> {
    src: *const S::T,
    dst: *mut S::T,
    /// The dimension scanned.
    along: Kept,
    /// The other dimensions, without `inner`.
    outer: List<Kept>,
    /// The last dimension, if it is not the one scanned; of size 1 otherwise.
    inner: Kept,
    /// Four values of the outer index (with an `inner` of size 1), or a strip of one.
    units: usize,
    per_piece: usize,
}

// SAFETY: pieces only read what they share, and write disjoint parts of the output.
unsafe impl<S: Step> Sync for ScanJob<S> {}

impl<S: Step> ScanJob<S> {
    fn new(src: *const S::T, shape: &[(usize, isize)], dim: usize, dst: *mut S::T) -> ScanJob<S> {
        let along = contiguous(shape).nth(dim).unwrap_or_default();
        let others = contiguous(shape).enumerate().filter(|&(i, _)| i != dim).map(|(_, d)| d);
        let mut outer = merge_kept(others);
        let mut inner = Kept { size: 1, stride: 0, out: 1 };
        if outer.last().is_some_and(|d| d.out == 1) && along.out != 1 {
            inner = outer.remove(outer.len() - 1);
        }
        let groups: usize = outer.iter().map(|d| d.size).product();
        let (units, width) = match inner.size {
            1 => (groups.div_ceil(ROWS), ROWS),
            n => (groups * n.div_ceil(STRIP), n.min(STRIP)),
        };
        let per_piece = (CHUNK / (along.size * width).max(1)).max(1);
        ScanJob { src, dst, along, outer, inner, units, per_piece }
    }

    /// One piece of the work.
    ///
    /// # Safety
    /// As [`scan`]; `i` is less than the pieces, and no other thread has it.
    #[inline(always)]
    unsafe fn piece(&self, i: usize) {
        let first = i * self.per_piece;
        for unit in first..(first + self.per_piece).min(self.units) {
            // SAFETY: places in the input and the output.
            unsafe {
                if self.inner.size != 1 {
                    let strips = self.inner.size.div_ceil(STRIP);
                    let start = unit % strips * STRIP;
                    let (src, dst) = self.group(unit / strips);
                    let width = (self.inner.size - start).min(STRIP);
                    let src = src.offset(start as isize * self.inner.stride);
                    self.columns(src, dst.add(start), width);
                } else {
                    self.rows(unit * ROWS);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn group(&self, i: usize) -> (*const S::T, *mut S::T) {
        let (input, output) = place(&self.outer, i);
        // SAFETY: the caller's.
        unsafe { (self.src.offset(input), self.dst.add(output)) }
    }

    /// Scans up to [`ROWS`] rows together, from `first` on: their chains of additions overlap.
    #[inline(always)]
    unsafe fn rows(&self, first: usize) {
        let groups: usize = self.outer.iter().map(|d| d.size).product();
        // SAFETY: the caller's.
        unsafe {
            if first + ROWS <= groups {
                self.scan_rows::<ROWS>(std::array::from_fn(|k| self.group(first + k)));
            } else {
                (first..groups).for_each(|i| self.scan_rows([self.group(i)]));
            }
        }
    }

    #[inline(always)]
    unsafe fn scan_rows<const N: usize>(&self, rows: [(*const S::T, *mut S::T); N]) {
        let Kept { size, stride, out } = self.along;
        let mut acc = [S::START; N];
        for i in 0..size {
            for (acc, (src, dst)) in acc.iter_mut().zip(rows) {
                // SAFETY: the caller's.
                unsafe {
                    *acc = S::step(*acc, *src.offset(i as isize * stride));
                    *dst.add(i * out) = S::out(*acc);
                }
            }
        }
    }

    /// Scans `width` columns (at most [`STRIP`]) together.
    #[inline(always)]
    unsafe fn columns(&self, src: *const S::T, dst: *mut S::T, width: usize) {
        let mut acc = [S::START; STRIP];
        let (acc, step) = (&mut acc[..width], self.inner.stride);
        for i in 0..self.along.size {
            // SAFETY: a row of input and output, apart from each other.
            let (src, dst) = unsafe {
                let dst = dst.add(i * self.along.out);
                let src = src.offset(i as isize * self.along.stride);
                (src, std::slice::from_raw_parts_mut(dst, width))
            };
            if step == 1 {
                // SAFETY: as above.
                let src = unsafe { std::slice::from_raw_parts(src, width) };
                for ((acc, dst), &x) in acc.iter_mut().zip(dst).zip(src) {
                    *acc = S::step(*acc, x);
                    *dst = S::out(*acc);
                }
            } else {
                for (j, (acc, dst)) in acc.iter_mut().zip(dst).enumerate() {
                    // SAFETY: as above.
                    *acc = S::step(*acc, unsafe { *src.offset(j as isize * step) });
                    *dst = S::out(*acc);
                }
            }
        }
    }
}
