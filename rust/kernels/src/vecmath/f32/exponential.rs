//! e to the power of x and what follows from it, and the natural logarithm, in single precision.

use super::{at_least, at_most, poly};
use crate::isa::Isa;

/// (e^r - 1 - r) / r^2, relative to e^r, on +-log(2)/2: error 2^-28.3 (`fit.py EXP_32`).
const EXP_32: [f32; 5] =
    [4.999_999_4e-1, 1.666_652e-1, 4.166_839_3e-2, 8.368_781e-3, 1.381_446_7e-3];

/// The same, relative to e^r - 1: error 2^-32.0 (`fit.py EXPM1_32`).
const EXPM1_32: [f32; 6] =
    [5.0e-1, 1.666_666_6e-1, 4.166_636e-2, 8.333_39e-3, 1.394_072e-3, 1.984_588_6e-4];

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// Twelve bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 0.693_115_23;
const LN2_LO: f32 = 3.194_618_6e-5;

/// Adding this rounds `|x| < 2^21` to an integer, whose low bits then stand at the mantissa's end,
/// offset by 254: the biases of two exponents.
const TO_INTEGER: f32 = 12_582_912.0 + 254.0;

/// `y * 2^k` for `t = k + TO_INTEGER`, -252 <= k <= 254: two factors reach subnormals and infinity.
#[inline(always)]
fn scale(y: f32, t: f32) -> f32 {
    let k = t.to_bits();
    let half = k >> 1;
    y * f32::from_bits(half << 23) * f32::from_bits((k - half) << 23)
}

/// `x = k ln 2 + r`: `k + TO_INTEGER`, and `r`.
#[inline(always)]
fn reduce<I: Isa>(x: f32) -> (f32, f32) {
    let t = I::fma32(x, LOG2_E, TO_INTEGER);
    let k = t - TO_INTEGER;
    (t, I::fma32(k, -LN2_LO, I::fma32(k, -LN2_HI, x)))
}

/// `e^r` near 0.
#[inline(always)]
fn exp_near_0<I: Isa>(r: f32) -> f32 {
    I::fma32(r * r, poly::<I, _>(r, &EXP_32), r) + 1.0
}

/// `e^x`, for `x` up to 88.
#[inline(always)]
fn exp_below<I: Isa>(x: f32) -> f32 {
    // e^-104 rounds to zero.
    let (t, r) = reduce::<I>(at_least(x, -104.5));
    scale(exp_near_0::<I>(r), t)
}

/// `e^x`.
#[inline(always)]
pub fn exp<I: Isa>(x: f32) -> f32 {
    exp_below::<I>(at_most(x, 89.0))
}

/// `2^x`; exact for integers.
#[inline(always)]
pub fn exp2<I: Isa>(x: f32) -> f32 {
    let x = at_least(at_most(x, 129.0), -151.0);
    let t = x + TO_INTEGER;
    let r = (x - (t - TO_INTEGER)) * std::f32::consts::LN_2;
    scale(exp_near_0::<I>(r), t)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<I: Isa>(x: f32) -> f32 {
    // The exponential of a negative number: nothing overflows, and small results keep their bits.
    let e = exp_below::<I>(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    let d = 1.0 + e;
    let y = numerator / d;
    // What the sum rounded off, times the derivative: 1 / d is y or 1 - y.
    let inverse = if x < 0.0 { 1.0 - y } else { y };
    I::fma32(-y * inverse, e - (d - 1.0), y)
}

/// `e^x - 1`, halved, for -18 <= x <= 89.
#[inline(always)]
fn half_expm1<I: Isa>(x: f32) -> f32 {
    let (t, r) = reduce::<I>(x);
    let q = I::fma32(r * r, poly::<I, _>(r, &EXPM1_32), r);
    // 2^(k-1): k may be 128.
    let s = f32::from_bits((t.to_bits() - 128) << 23);
    I::fma32(s, q, s - 0.5)
}

/// `e^x - 1`.
#[inline(always)]
pub fn expm1<I: Isa>(x: f32) -> f32 {
    let y = 2.0 * half_expm1::<I>(at_least(at_most(x, 89.0), -18.0));
    // Of all zeros and subnormals `half_expm1` loses the sign or a bit.
    if x.abs() < 1e-30 { x } else { y }
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<I: Isa>(x: f32) -> f32 {
    // With m = (e^2a - 1) / 2 it is m / (m + 1); from 9.1 on it rounds to 1.
    let a = x.abs();
    let m = half_expm1::<I>(2.0 * at_most(a, 10.0));
    let d = m + 1.0;
    let y = m / d;
    // What the sum rounded off, where it matters, times the derivative.
    let lost = if d < 1024.0 { m - (d - 1.0) } else { 0.0 };
    let y = I::fma32(-y * (1.0 - y), lost, y);
    (if a < 1e-30 { a } else { y }).copysign(x)
}

/// (log(1 + f) - f + f^2 / 2) / f^3, relative to log(1 + f), on sqrt(1/2) - 1 .. sqrt(2) - 1: error 2^-27.4 (`fit.py LOG_32`).
const LOG_32: [f32; 8] = [
    3.333_333e-1,
    -2.500_082e-1,
    2.000_122_7e-1,
    -1.662_335_7e-1,
    1.420_175_7e-1,
    -1.316_018_3e-1,
    1.276_157_8e-1,
    -7.634_498e-2,
];

/// Natural logarithm.
#[inline(always)]
pub fn log<I: Isa>(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 8_388_608.0 } else { x }).to_bits();
    let exponent = if tiny { -23 } else { 0 };
    // x = 2^e (1 + f), 1 + f from sqrt(1/2) to sqrt(2).
    let offset = bits.wrapping_sub(SQRT_HALF) as i32;
    let e = ((offset >> 23) + exponent) as f32;
    let f = f32::from_bits((offset as u32 & 0x7f_ffff) + SQRT_HALF) - 1.0;
    let z = f * f;
    let y = I::fma32(e, LN2_LO, z * (f * poly::<I, _>(f, &LOG_32)));
    let y = I::fma32(e, LN2_HI, I::fma32(z, -0.5, y) + f);
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 { f32::NAN } else { y }
}
