//! [`Real`] and [`Int`]: the number types that pointwise formulas are written in.
//!
//! A formula is written once, over `T: Real<I>`, and compiled for f32 and f64 at each
//! instruction-set level `I`. Everything here is branchless, so that a loop over it vectorises, and
//! a lane's result depends on that lane alone.

use crate::isa::Isa;
use crate::vecmath;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

macro_rules! real {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident),*);)*) => {
        /// A floating-point lane: f32 or f64, computing at instruction-set level `I`.
        ///
        /// Special values follow IEEE 754 and the C library; error bounds stand in [`vecmath`].
        pub trait Real<I: Isa>:
            Copy
            + PartialOrd
            + Add<Output = Self>
            + Sub<Output = Self>
            + Mul<Output = Self>
            + Div<Output = Self>
            + Neg<Output = Self>
            + 'static
        {
            /// A constant of the formula, rounded to this type.
            fn lit(x: f64) -> Self;
            /// `a` if `cond`, else `b`; both are evaluated.
            #[inline(always)]
            fn select(cond: bool, a: Self, b: Self) -> Self {
                if cond { a } else { b }
            }
            /// True for NaN.
            #[inline(always)]
            #[allow(clippy::eq_op)]
            fn is_nan(self) -> bool {
                self != self
            }
            /// True for either infinity.
            fn is_inf(self) -> bool;
            /// True for anything but NaN and the infinities.
            fn is_finite(self) -> bool;
            /// True where the sign bit is set, NaN and -0 included.
            fn is_sign_negative(self) -> bool;
            $($(#[$doc])* fn $name(self $(, $arg: Self)*) -> Self;)*
        }

        impl<I: Isa> Real<I> for f32 {
            real_consts!(f32);
            $(#[inline(always)]
            fn $name(self $(, $arg: f32)*) -> f32 { vecmath::f32::$name::<I>(self $(, $arg)*) })*
        }

        impl<I: Isa> Real<I> for f64 {
            real_consts!(f64);
            $(#[inline(always)]
            fn $name(self $(, $arg: f64)*) -> f64 { vecmath::f64::$name::<I>(self $(, $arg)*) })*
        }
    };
}

macro_rules! real_consts {
    ($t:ident) => {
        #[inline(always)]
        fn lit(x: f64) -> $t {
            x as $t
        }
        #[inline(always)]
        fn is_inf(self) -> bool {
            <$t>::abs(self) == $t::INFINITY
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            <$t>::abs(self) < $t::INFINITY
        }
        #[inline(always)]
        fn is_sign_negative(self) -> bool {
            <$t>::is_sign_negative(self)
        }
    };
}

real! {
    /// Magnitude.
    fn abs();
    /// Square root, correctly rounded.
    fn sqrt();
    /// `1 / sqrt(x)`.
    fn rsqrt();
    /// Largest integer not above.
    fn floor();
    /// Smallest integer not below.
    fn ceil();
    /// Integer part.
    fn trunc();
    /// Nearest integer, ties to even (`torch.round`).
    fn round_even();
    /// Magnitude of `self`, sign of `sign`.
    fn copysign(sign);
    /// `self * b + c`: one rounding where the level has FMA, two where it has not.
    fn fma(b, c);
    /// -1, 0 or 1; 0 for NaN, as `torch.sign`.
    fn sign();
    /// Maximum, NaN if either is (`torch.maximum`).
    fn max_nan(other);
    /// Minimum, NaN if either is (`torch.minimum`).
    fn min_nan(other);
    /// Maximum, ignoring a NaN (`torch.fmax`).
    fn fmax(other);
    /// Minimum, ignoring a NaN (`torch.fmin`).
    fn fmin(other);
    /// Remainder with the divisor's sign (`torch.remainder`).
    fn rem_floor(divisor);
    /// Remainder with the dividend's sign (`torch.fmod`).
    fn rem_trunc(divisor);
    /// Quotient rounded down (`torch.floor_divide`).
    fn div_floor(divisor);
    /// Next representable number towards `other` (`torch.nextafter`).
    fn next_after(other);
    /// `e^x`.
    fn exp();
    /// `2^x`.
    fn exp2();
    /// `e^x - 1`.
    fn expm1();
    /// Natural logarithm.
    fn log();
    /// Logarithm to base 2.
    fn log2();
    /// Logarithm to base 10.
    fn log10();
    /// `log(1 + x)`.
    fn log1p();
    /// Sine.
    fn sin();
    /// Cosine.
    fn cos();
    /// Tangent.
    fn tan();
    /// Arc sine.
    fn asin();
    /// Arc cosine.
    fn acos();
    /// Arc tangent.
    fn atan();
    /// Angle of the point (`x`, `self`).
    fn atan2(x);
    /// Hyperbolic sine.
    fn sinh();
    /// Hyperbolic cosine.
    fn cosh();
    /// Hyperbolic tangent.
    fn tanh();
    /// Inverse hyperbolic sine.
    fn asinh();
    /// Inverse hyperbolic cosine.
    fn acosh();
    /// Inverse hyperbolic tangent.
    fn atanh();
    /// Error function.
    fn erf();
    /// `1 - erf(x)`.
    fn erfc();
    /// `self` to the power `y`.
    fn pow(y);
    /// `1 / (1 + e^-x)`.
    fn sigmoid();
}

/// An integer lane: i8, i16, i32, i64 or u8. All arithmetic wraps.
///
/// Division by zero yields 0 here; a caller that must raise looks for zeros first.
pub trait Int:
    Copy
    + Ord
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + 'static
{
    /// A constant of the formula, wrapped to this type.
    fn lit(x: i64) -> Self;
    /// `a` if `cond`, else `b`.
    #[inline(always)]
    fn select(cond: bool, a: Self, b: Self) -> Self {
        if cond { a } else { b }
    }
    /// Sum, wrapping.
    fn wrapping_add(self, other: Self) -> Self;
    /// Difference, wrapping.
    fn wrapping_sub(self, other: Self) -> Self;
    /// Product, wrapping.
    fn wrapping_mul(self, other: Self) -> Self;
    /// Negation, wrapping.
    fn wrapping_neg(self) -> Self;
    /// Magnitude; that of the least value is itself.
    fn wrapping_abs(self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    /// Remainder with the divisor's sign (`torch.remainder`).
    fn rem_floor(self, divisor: Self) -> Self;
    /// Remainder with the dividend's sign (`torch.fmod`).
    fn rem_trunc(self, divisor: Self) -> Self;
    /// Quotient rounded down.
    fn div_floor(self, divisor: Self) -> Self;
    /// Quotient rounded towards zero.
    fn div_trunc(self, divisor: Self) -> Self;
    /// Power, wrapping. A negative exponent gives 1 for 1, ±1 for -1 and else 0, as torch does.
    fn pow(self, exponent: Self) -> Self;
    /// Left shift; 0 if `by` is negative or not below the width, as torch has it.
    fn shl(self, by: Self) -> Self;
    /// Arithmetic right shift; all sign bits if `by` is negative or not below the width.
    fn shr(self, by: Self) -> Self;
}

macro_rules! int {
    ($($t:ident)*) => { $(impl Int for $t {
        #[inline(always)]
        fn lit(x: i64) -> $t { x as $t }
        #[inline(always)]
        fn wrapping_add(self, other: $t) -> $t { <$t>::wrapping_add(self, other) }
        #[inline(always)]
        fn wrapping_sub(self, other: $t) -> $t { <$t>::wrapping_sub(self, other) }
        #[inline(always)]
        fn wrapping_mul(self, other: $t) -> $t { <$t>::wrapping_mul(self, other) }
        #[inline(always)]
        fn wrapping_neg(self) -> $t { <$t>::wrapping_neg(self) }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn wrapping_abs(self) -> $t { if self < 0 { <$t>::wrapping_neg(self) } else { self } }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn sign(self) -> $t { ((self > 0) as $t).wrapping_sub((self < 0) as $t) }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn rem_floor(self, divisor: $t) -> $t {
            let r = Int::rem_trunc(self, divisor);
            if r != 0 && (r < 0) != (divisor < 0) { r.wrapping_add(divisor) } else { r }
        }
        #[inline(always)]
        fn rem_trunc(self, divisor: $t) -> $t {
            if divisor == 0 { 0 } else { self.wrapping_rem(divisor) }
        }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn div_floor(self, divisor: $t) -> $t {
            let q = Int::div_trunc(self, divisor);
            let r = <$t>::wrapping_sub(self, q.wrapping_mul(divisor));
            let down = divisor != 0 && r != 0 && (r < 0) != (divisor < 0);
            q.wrapping_sub(down as $t)
        }
        #[inline(always)]
        fn div_trunc(self, divisor: $t) -> $t {
            if divisor == 0 { 0 } else { self.wrapping_div(divisor) }
        }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn pow(self, exponent: $t) -> $t {
            if exponent < 0 {
                let minus = (0 as $t).wrapping_sub(1);
                let odd = if exponent & 1 != 0 { minus } else { 1 };
                return if self == 1 { 1 } else if self == minus { odd } else { 0 };
            }
            let (mut base, mut e, mut y) = (self, exponent, 1 as $t);
            while e > 0 {
                if e & 1 != 0 {
                    y = y.wrapping_mul(base);
                }
                base = base.wrapping_mul(base);
                e >>= 1;
            }
            y
        }
        #[inline(always)]
        fn shl(self, by: $t) -> $t {
            let inside = (by as u64) < <$t>::BITS as u64;
            if inside { self.wrapping_shl(by as u32) } else { 0 }
        }
        #[inline(always)]
        #[allow(unused_comparisons)]
        fn shr(self, by: $t) -> $t {
            // The widest shift that keeps the sign: torch uses 63 for i64 and 8 for u8.
            let inside = (by as u64) < <$t>::BITS as u64;
            let all = if self < 0 { (0 as $t).wrapping_sub(1) } else { 0 };
            if inside { self.wrapping_shr(by as u32) } else { all }
        }
    })* };
}

int!(i8 i16 i32 i64 u8);
