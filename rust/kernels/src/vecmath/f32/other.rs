//! The error function in single precision, and the functions that go through double.

use super::{at_most, exp, poly};
use crate::isa::Isa;
use crate::vecmath::mid;

/// erf(x) / x - 1 in z = x^2, relative to erf(x) / x, on |x| <= 1: error 2^-29.6 (`fit.py ERF_SMALL_32`).
const ERF_SMALL_32: [f32; 7] = [
    1.283_791_7e-1,
    -3.761_262_6e-1,
    1.128_358_54e-1,
    -2.685_381_3e-2,
    5.188_327_7e-3,
    -8.010_193_7e-4,
    7.853_861_5e-5,
];

/// -log(1 - erf(x)), relative to erf(x) / (1 - erf(x)), from 0.99 to 4: error 2^-29.7 (`fit.py ERF_LARGE_32`).
const ERF_LARGE_32: [f32; 7] = [
    3.205_754_3e-4,
    1.127_171_6,
    6.380_122_3e-1,
    1.032_181_9e-1,
    -2.188_963_8e-2,
    2.960_113e-3,
    -1.876_046_9e-4,
];

/// Error function.
#[inline(always)]
pub fn erf<I: Isa>(x: f32) -> f32 {
    let a = x.abs();
    let near = I::fma32(a, poly::<I, _>(a * a, &ERF_SMALL_32), a);
    // From 3.93 on it rounds to 1.
    let far = 1.0 - exp::<I>(-poly::<I, _>(at_most(a, 4.0), &ERF_LARGE_32));
    (if a > 1.0 { far } else { near }).copysign(x)
}

macro_rules! through_double {
    ($($(#[$doc:meta])* $name:ident($($x:ident),*);)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name<I: Isa>($($x: f32),*) -> f32 {
            mid::$name::<I>($($x as f64),*) as f32
        }
    )* };
}

through_double! {
    /// Logarithm to base 2.
    log2(x);
    /// Logarithm to base 10.
    log10(x);
    /// `log(1 + x)`.
    log1p(x);
    /// Arc sine.
    asin(x);
    /// Arc cosine.
    acos(x);
    /// Arc tangent.
    atan(x);
    /// Angle of the point (`x`, `y`).
    atan2(y, x);
    /// Hyperbolic sine.
    sinh(x);
    /// Hyperbolic cosine.
    cosh(x);
    /// Inverse hyperbolic sine.
    asinh(x);
    /// Inverse hyperbolic cosine.
    acosh(x);
    /// Inverse hyperbolic tangent.
    atanh(x);
    /// `1 - erf(x)`.
    erfc(x);
    /// `x` to the power `y`.
    pow(x, y);
}
