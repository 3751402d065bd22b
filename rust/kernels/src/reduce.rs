//! Reductions and scans over strided memory.
//!
//! Every result depends on the values and the layout alone: not on the instruction set, nor on the
//! number of threads.

/// Runs a `Fold`, compiled once per instruction set.
macro_rules! fold {
    ($F:ty, $fold:expr, $src:ident, $dims:ident, $dst:ident) => {{
        use $crate::reduce::job::Job;
        Job::<$F>::new($fold, $dims, $src.cast(), $dst.cast()).run(|job, i| {
            // SAFETY: the caller of the function this stands in promises what `piece` asks.
            $crate::dispatch!(_I, (job: &Job<$F>, i: usize) => unsafe { job.piece(i) })
        })
    }};
}

mod arg;
mod block;
mod columns;
mod fold;
mod job;
mod layout;
mod moments;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

pub use arg::{Extremum, arg_reduce};
pub use block::{BLOCK, BlockSum, CHUNK, combine};
pub use layout::Dims;
pub use moments::variance;
pub use scan::{Scan, scan};

use num_complex::Complex;

use crate::{DType, threads};
use fold::{Bits, Magnitudes, Order, PairBits, Prod, Squares, Sum};

/// A reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Of int64 and uint64 (wrapping), and float and complex types from 32 bits a number.
    Sum,
    /// As `Sum`.
    Prod,
    /// Sum of squares, of float32 and float64.
    SumSquares,
    /// Sum of magnitudes, of float32 and float64.
    SumMagnitudes,
    /// Of bool, the integers, float32 and float64; a NaN wins.
    Max,
    /// As `Max`.
    Min,
    /// Whether an element is true (not zero; a NaN is true). Any dtype, result `Bool`.
    Any,
    /// Whether all elements are true. Any dtype, result `Bool`.
    All,
}

/// Reduces the elements of `src` over `dims.reduced` into `dst`, contiguous over `dims.kept`.
///
/// The result has the dtype of the input, `Bool` for `Any` and `All`. Nothing reduced gives 0 for
/// `Sum`, 1 for `Prod`, false for `Any`, true for `All`, and no meaningful value for `Max`, `Min`.
///
/// # Panics
/// If `op` does not take `dtype`; see [`Op`].
///
/// # Safety
/// Each element that `dims` describes can be read from `src`; `dst` can be written and is apart from
/// them; both are aligned for their dtypes.
pub unsafe fn reduce(op: Op, dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    // SAFETY: the caller's, handed on.
    unsafe {
        match (op, dtype) {
            (Op::Sum, _) => sum(dtype, src, dims, dst),
            (Op::Prod, _) => prod(dtype, src, dims, dst),
            (Op::SumSquares, _) => squares(dtype, src, dims, dst),
            (Op::SumMagnitudes, _) => magnitudes(dtype, src, dims, dst),
            (Op::Any, _) | (Op::Max, DType::Bool) => truth(false, dtype, src, dims, dst),
            (Op::All, _) | (Op::Min, DType::Bool) => truth(true, dtype, src, dims, dst),
            (Op::Max, _) => extremum(Extremum::Max, dtype, src, dims, dst),
            (Op::Min, _) => extremum(Extremum::Min, dtype, src, dims, dst),
        }
    }
}

unsafe fn sum(dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    match dtype {
        DType::I64 | DType::U64 => fold!(Sum<i64>, Sum::default(), src, dims, dst),
        DType::F32 => fold!(Sum<f32>, Sum::default(), src, dims, dst),
        DType::F64 => fold!(Sum<f64>, Sum::default(), src, dims, dst),
        DType::C64 | DType::C128 => {
            // Real and imaginary parts are two neighbouring outputs.
            let double = |d: &(usize, isize)| (d.0, d.1 * 2);
            let mut kept: Vec<_> = dims.kept.iter().map(double).collect();
            kept.push((2, 1));
            let reduced: Vec<_> = dims.reduced.iter().map(double).collect();
            let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
            // SAFETY: the caller's; a complex number is two floats.
            unsafe { sum(part, src, &Dims { kept: &kept, reduced: &reduced }, dst) }
        }
        _ => panic!("no sum of {}", dtype.name()),
    }
}

unsafe fn prod(dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    match dtype {
        DType::I64 | DType::U64 => fold!(Prod<i64>, Prod::default(), src, dims, dst),
        DType::F32 => fold!(Prod<f32>, Prod::default(), src, dims, dst),
        DType::F64 => fold!(Prod<f64>, Prod::default(), src, dims, dst),
        DType::C64 => fold!(Prod<Complex<f32>>, Prod::default(), src, dims, dst),
        DType::C128 => fold!(Prod<Complex<f64>>, Prod::default(), src, dims, dst),
        _ => panic!("no product of {}", dtype.name()),
    }
}

unsafe fn squares(dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    match dtype {
        DType::F32 => fold!(Squares<f32>, Squares::default(), src, dims, dst),
        DType::F64 => fold!(Squares<f64>, Squares::default(), src, dims, dst),
        _ => panic!("no sum of squares of {}", dtype.name()),
    }
}

unsafe fn magnitudes(dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    match dtype {
        DType::F32 => fold!(Magnitudes<f32>, Magnitudes::default(), src, dims, dst),
        DType::F64 => fold!(Magnitudes<f64>, Magnitudes::default(), src, dims, dst),
        _ => panic!("no sum of magnitudes of {}", dtype.name()),
    }
}

unsafe fn extremum(which: Extremum, dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    let mask = arg::order_mask(which, dtype);
    match dtype {
        DType::I8 | DType::U8 => fold!(Order<i8>, Order::new(mask), src, dims, dst),
        DType::I16 | DType::U16 => fold!(Order<i16>, Order::new(mask), src, dims, dst),
        DType::I32 | DType::U32 => fold!(Order<i32>, Order::new(mask), src, dims, dst),
        DType::I64 | DType::U64 => fold!(Order<i64>, Order::new(mask), src, dims, dst),
        DType::F32 => fold!(Order<f32>, Order::new(mask), src, dims, dst),
        DType::F64 => fold!(Order<f64>, Order::new(mask), src, dims, dst),
        _ => panic!("no maximum of {}", dtype.name()),
    }
}

/// `any` or `all`.
unsafe fn truth(all: bool, dtype: DType, src: *const u8, dims: &Dims, dst: *mut u8) {
    macro_rules! bits {
        ($t:ty, $mask:expr) => {
            fold!(Bits<$t>, Bits { mask: $mask, all }, src, dims, dst)
        };
    }
    let mask32 = u32::MAX >> 1;
    let mask64 = u64::MAX >> 1;
    match dtype {
        DType::Bool | DType::U8 | DType::I8 => bits!(u8, !0),
        DType::I16 | DType::U16 => bits!(u16, !0),
        DType::I32 | DType::U32 => bits!(u32, !0),
        DType::I64 | DType::U64 => bits!(u64, !0),
        DType::F16 | DType::BF16 => bits!(u16, u16::MAX >> 1),
        DType::F32 => bits!(u32, mask32),
        DType::F64 => bits!(u64, mask64),
        DType::C64 => {
            fold!(PairBits<u32>, PairBits(Bits { mask: mask32, all }), src, dims, dst)
        }
        DType::C128 => {
            fold!(PairBits<u64>, PairBits(Bits { mask: mask64, all }), src, dims, dst)
        }
    }
}

/// Pieces that are worth waking a thread for; each takes some 2 us or more.
const WAKE: usize = 12;

/// Calls `f` with 0 to `n - 1`: the pieces of work, each of which threads may take.
fn for_pieces(n: usize, f: &(dyn Fn(usize) + Sync)) {
    if n >= WAKE || n > 1 && threads::are_hot() {
        threads::parallel_for(n, f);
    } else {
        (0..n).for_each(f);
    }
}
