//! Block kernels: one formula over contiguous blocks of memory, per dtype and level.
//!
//! [`kernel!`](crate::kernel) turns plain Rust expressions into a constant [`Kernels`]:
//!
//! ```
//! use wengert_kernels::{DType, kernel, pointwise::Kernels};
//!
//! pub const ADD: Kernels = kernel!(
//!     float |a, b| a + b;
//!     int |a, b| a.wrapping_add(b);
//!     bool |a, b| a | b
//! );
//! assert_eq!(ADD.arity(), 2);
//! assert!(ADD.get(DType::F32).is_some() && ADD.get(DType::C64).is_none());
//! ```

mod cast;
mod half;
mod memory;
mod run;
mod table;

pub use cast::cast;
pub use memory::{copy_strided, fill};
pub use table::{BoolOp, CompareOp, EquateOp, FloatOp, IntOp, Kernels, SELECT, Table, TestOp};

/// A compiled block kernel: reads `n` elements from each source it has, writes `n` to `dst`.
///
/// # Safety
/// `dst` and the sources (the first `arity` pointers; the rest are not read) are valid for `n`
/// elements of their types, aligned or not. `dst` equals a source or does not overlap it.
pub type Kernel = unsafe fn(dst: *mut u8, src: &[*const u8; 3], n: usize);

/// Makes a constant [`Kernels`](crate::pointwise::Kernels) from expressions.
///
/// Clauses, each at most once, separated by `;`, with one to three arguments:
///
/// - `float |x| ..`: f32 and f64; arguments and result are `T: Real<I>`
/// - `quick |x| ..`: as `float`, for formulas with functions that have rare hard arguments (sine,
///   remainder) and whose result is NaN wherever theirs is
/// - `int |x| ..`: i8, i16, i32, i64, u8; arguments and result are `T: Int`
/// - `bool |x| ..`: `bool` to `bool`
/// - `compare |a, b| ..`: every real dtype; arguments are `T: PartialOrd + Copy`, result `bool`
/// - `whole |a, b| ..`: as `compare`, for bool and the integers
/// - `equate |a, b| ..`: every dtype; arguments are `T: PartialEq + Copy`, result `bool`
/// - `test |x| ..`: f32 and f64; arguments are `T: Real<I>`, result `bool`
///
/// The names `T` and `I` are in scope, as in `T::lit(0.5)`.
#[macro_export]
macro_rules! kernel {
    ($($clause:ident |$($x:ident),+| $e:expr);+ $(;)?) => {{
        struct Op;
        $($crate::kernel_clause!(Op, $clause, |$($x),+| $e);)+
        const TABLE: $crate::pointwise::Table =
            $crate::pointwise::Table::EMPTY$(.$clause::<Op>())+;
        $crate::pointwise::Kernels::new(&TABLE)
    }};
}

/// One clause of [`kernel!`](crate::kernel).
#[doc(hidden)]
#[macro_export]
macro_rules! kernel_clause {
    ($op:ident, float, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::FloatOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply<I: $crate::isa::Isa, T: $crate::lane::Real<I>>(args: [T; 3]) -> T {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
    ($op:ident, quick, |$($x:ident),+| $e:expr) => {
        $crate::kernel_clause!($op, float, |$($x),+| $e);
    };
    ($op:ident, test, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::TestOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply<I: $crate::isa::Isa, T: $crate::lane::Real<I>>(args: [T; 3]) -> bool {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
    ($op:ident, int, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::IntOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply<T: $crate::lane::Int>(args: [T; 3]) -> T {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
    ($op:ident, bool, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::BoolOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply(args: [bool; 3]) -> bool {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
    ($op:ident, compare, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::CompareOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply<T: PartialOrd + Copy>(args: [T; 3]) -> bool {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
    ($op:ident, whole, |$($x:ident),+| $e:expr) => {
        $crate::kernel_clause!($op, compare, |$($x),+| $e);
    };
    ($op:ident, equate, |$($x:ident),+| $e:expr) => {
        impl $crate::pointwise::EquateOp for $op {
            const ARITY: usize = [$(stringify!($x)),+].len();
            #[inline(always)]
            fn apply<T: PartialEq + Copy>(args: [T; 3]) -> bool {
                let [$($x,)+ ..] = args;
                $e
            }
        }
    };
}

#[cfg(test)]
mod tests;
