//! Elementary functions, written once as scalar branchless source and vectorised per level.
//!
//! Each function is generic over an [`Isa`](crate::isa::Isa), which says how `a * b + c` rounds, and
//! inlines into a `#[target_feature]` loop (see [`crate::pointwise`]), where LLVM vectorises it:
//! choices are selects, integers come out of floats by adding a large constant, and nothing calls
//! the C library. Special values (NaN, infinities, signed zeros, subnormals, `pow`'s table) follow
//! C's Annex F.
//!
//! - [`f32`]: errors at most [`f32::MAX_ULP`]; the hot functions stay in single precision, the rest
//!   compute in double with polynomials just long enough (`mid`), and round once
//! - [`f64`]: errors at most [`f64::MAX_ULP`]
//!
//! Coefficients are minimax fits by `fit.py` in this folder: `python fit.py NAME` prints the constant
//! of that name.

pub mod f32;
pub mod f64;

mod mid;
mod reduce;

use crate::isa::{Isa, Level};

/// Whether `fma32` and `fma64` round once at level `I`.
#[inline(always)]
const fn has_fma<I: Isa>() -> bool {
    !matches!(I::LEVEL, Level::Baseline) || cfg!(target_arch = "aarch64")
}

/// What both precisions define alike.
macro_rules! shared {
    ($t:ident, $bits:ident, $fma:ident, $limit:expr) => {
        use crate::isa::Isa;

        /// `c[0] + c[1] x + ...` by Horner's rule.
        #[inline(always)]
        pub(super) fn poly<I: Isa, const N: usize>(x: $t, c: &[$t; N]) -> $t {
            let mut y = c[N - 1];
            let mut i = N - 1;
            while i > 0 {
                i -= 1;
                y = I::$fma(y, x, c[i]);
            }
            y
        }

        /// `x`, but at least `low`; NaN stays.
        #[inline(always)]
        pub(super) fn at_least(x: $t, low: $t) -> $t {
            if x < low { low } else { x }
        }

        /// `x`, but at most `high`; NaN stays.
        #[inline(always)]
        pub(super) fn at_most(x: $t, high: $t) -> $t {
            if x > high { high } else { x }
        }

        /// Magnitude.
        #[inline(always)]
        pub fn abs<I: Isa>(x: $t) -> $t {
            x.abs()
        }

        /// Square root, correctly rounded.
        #[inline(always)]
        pub fn sqrt<I: Isa>(x: $t) -> $t {
            x.sqrt()
        }

        /// `1 / sqrt(x)`: two roundings.
        #[inline(always)]
        pub fn rsqrt<I: Isa>(x: $t) -> $t {
            1.0 / x.sqrt()
        }

        /// From here on every number is an integer.
        const INTEGERS: $t = (1u64 << ($t::MANTISSA_DIGITS - 1)) as $t;

        /// Nearest integer, ties to even.
        #[inline(always)]
        pub fn round_even<I: Isa>(x: $t) -> $t {
            if has_rounding::<I>() {
                return x.round_ties_even();
            }
            let a = x.abs();
            let y = (a + INTEGERS) - INTEGERS;
            (if a < INTEGERS { y } else { a }).copysign(x)
        }

        /// Integer part.
        #[inline(always)]
        pub fn trunc<I: Isa>(x: $t) -> $t {
            if has_rounding::<I>() {
                return x.trunc();
            }
            let a = x.abs();
            let y = round_even::<I>(a);
            let y = if y > a { y - 1.0 } else { y };
            y.copysign(x)
        }

        /// Largest integer not above.
        #[inline(always)]
        pub fn floor<I: Isa>(x: $t) -> $t {
            if has_rounding::<I>() {
                return x.floor();
            }
            let y = round_even::<I>(x);
            (if y > x { y - 1.0 } else { y }).copysign(x)
        }

        /// Smallest integer not below.
        #[inline(always)]
        pub fn ceil<I: Isa>(x: $t) -> $t {
            if has_rounding::<I>() {
                return x.ceil();
            }
            let y = round_even::<I>(x);
            (if y < x { y + 1.0 } else { y }).copysign(x)
        }

        /// Magnitude of `x`, sign of `sign`.
        #[inline(always)]
        pub fn copysign<I: Isa>(x: $t, sign: $t) -> $t {
            x.copysign(sign)
        }

        /// `x * b + c`: one rounding where the level has FMA, two where it has not.
        #[inline(always)]
        pub fn fma<I: Isa>(x: $t, b: $t, c: $t) -> $t {
            I::$fma(x, b, c)
        }

        /// -1, 0 or 1; 0 for NaN and both zeros, as `torch.sign`.
        #[inline(always)]
        pub fn sign<I: Isa>(x: $t) -> $t {
            let y = if x > 0.0 { 1.0 } else { 0.0 };
            if x < 0.0 { -1.0 } else { y }
        }

        /// Maximum, NaN if either is; of zeros of both signs the first, here and below.
        #[inline(always)]
        pub fn max_nan<I: Isa>(a: $t, b: $t) -> $t {
            if b > a || b.is_nan() { b } else { a }
        }

        /// Minimum, NaN if either is.
        #[inline(always)]
        pub fn min_nan<I: Isa>(a: $t, b: $t) -> $t {
            if b < a || b.is_nan() { b } else { a }
        }

        /// Maximum, ignoring a NaN.
        #[inline(always)]
        pub fn fmax<I: Isa>(a: $t, b: $t) -> $t {
            if b > a || a.is_nan() { b } else { a }
        }

        /// Minimum, ignoring a NaN.
        #[inline(always)]
        pub fn fmin<I: Isa>(a: $t, b: $t) -> $t {
            if b < a || a.is_nan() { b } else { a }
        }

        /// Whether the quick remainders below are exact for this pair: a quotient of not too many
        /// bits. False for NaN, an infinite `a` and `b == 0`.
        #[inline(always)]
        pub fn quotient_is_small(a: $t, b: $t) -> bool {
            (a / b).abs() < $limit
        }

        /// `fmod` where [`quotient_is_small`].
        #[inline(always)]
        pub fn rem_trunc_quick<I: Isa>(a: $t, b: $t) -> $t {
            let (x, y) = (a.abs(), b.abs());
            let q = trunc::<I>(x / y);
            let r = minus_product::<I>(x, q, y);
            // The rounded quotient may have reached the next integer.
            let r = if r < 0.0 { r + y } else { r };
            (if x < y { x } else { r }).copysign(a)
        }

        /// Remainder with the dividend's sign (C's `fmod`), exact.
        #[inline(always)]
        pub fn rem_trunc<I: Isa>(a: $t, b: $t) -> $t {
            if I::QUICK {
                let r = rem_trunc_quick::<I>(a, b);
                return if quotient_is_small(a, b) { r } else { $t::NAN };
            }
            if quotient_is_small(a, b) { rem_trunc_quick::<I>(a, b) } else { a % b }
        }

        #[inline(always)]
        fn towards_divisor(r: $t, b: $t) -> $t {
            if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
        }

        /// Remainder with the divisor's sign (`torch.remainder`).
        #[inline(always)]
        pub fn rem_floor<I: Isa>(a: $t, b: $t) -> $t {
            towards_divisor(rem_trunc::<I>(a, b), b)
        }

        /// PyTorch's own sequence of roundings, given `r = fmod(a, b)`.
        #[inline(always)]
        fn quotient_of<I: Isa>(a: $t, b: $t, r: $t) -> $t {
            let d = (a - r) / b;
            let d = if r != 0.0 && (b < 0.0) != (r < 0.0) { d - 1.0 } else { d };
            let f = floor::<I>(d);
            let f = if d - f > 0.5 { f + 1.0 } else { f };
            if d != 0.0 { f } else { (0.0 as $t).copysign(a / b) }
        }

        /// Quotient rounded down (`torch.floor_divide`); `a / b` where `b` is zero.
        #[inline(always)]
        pub fn div_floor<I: Isa>(a: $t, b: $t) -> $t {
            let q = quotient_of::<I>(a, b, rem_trunc::<I>(a, b));
            if b == 0.0 { a / b } else { q }
        }

        /// Next representable number from `a` towards `b`.
        #[inline(always)]
        pub fn next_after<I: Isa>(a: $t, b: $t) -> $t {
            const SIGN: $bits = 1 << ($bits::BITS - 1);
            let bits = a.to_bits();
            let away = (b > a) == (a > 0.0);
            let moved = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
            // From zero, the smallest number of b's sign.
            let moved = if a == 0.0 { (b.to_bits() & SIGN) | 1 } else { moved };
            let y = if a == b { b } else { $t::from_bits(moved) };
            if a.is_nan() || b.is_nan() { a + b } else { y }
        }
    };
}
use shared;

/// Whether the level has instructions that round to integers.
#[inline(always)]
const fn has_rounding<I: Isa>() -> bool {
    has_fma::<I>()
}

#[cfg(test)]
mod tests;
