//! e to the power of x and what follows from it, in double precision.

use super::double::fast_two_sum;
use super::{at_least, at_most, poly};
use crate::isa::Isa;

/// (e^r - 1 - r) / r^2, relative to e^r, on +-log(2)/2: error 2^-57.9 (`fit.py EXP_64`).
const EXP_64: [f64; 10] = [
    0.500_000_000_000_001_1,
    0.166_666_666_666_664_1,
    0.041_666_666_666_529_19,
    0.008_333_333_333_495_627,
    0.001_388_888_894_392_271,
    0.000_198_412_695_047_562_52,
    2.480_149_276_271_854e-05,
    2.755_758_735_077_044_3e-06,
    2.763_037_864_877_271_6e-07,
    2.499_996_251_890_421_2e-08,
];

/// The same, relative to e^r - 1: error 2^-61.7 (`fit.py EXPM1_64`).
const EXPM1_64: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_77,
    0.041_666_666_666_666_505,
    0.008_333_333_333_321_608,
    0.001_388_888_888_896_290_1,
    0.000_198_412_698_862_079_07,
    2.480_158_717_184_226_8e-05,
    2.755_724_410_422_633e-06,
    2.755_740_294_156_137_4e-07,
    2.510_908_138_593_314e-08,
    2.087_532_801_977_389e-09,
];

/// (sinh(x) / x - 1) / z, z = x^2, on |x| <= 1: error 2^-63.3 (`fit.py SINH_64`).
const SINH_64: [f64; 7] = [
    0.166_666_666_666_666_69,
    0.008_333_333_333_333_148,
    0.000_198_412_698_414_318_73,
    2.755_731_915_707_185e-06,
    2.505_212_313_672_592e-08,
    1.605_725_976_861_031e-10,
    7.758_748_801_816_795e-13,
];

/// 32 bits, so that its product with an exponent is exact.
const LN2_HI: f64 = 0.693_147_180_601_954_5;
const LN2_LO: f64 = -4.200_915_072_681_084e-11;

/// Adding this rounds `|x| < 2^50` to an integer, whose low bits then stand at the mantissa's end,
/// offset by 2046: the biases of two exponents.
pub(super) const TO_INTEGER: f64 = 6_755_399_441_055_744.0 + 2046.0;

/// `y * 2^k` for `t = k + TO_INTEGER`, -2044 <= k <= 2046: two factors reach subnormals and infinity.
#[inline(always)]
pub(super) fn scale(y: f64, t: f64) -> f64 {
    let k = t.to_bits();
    let half = k >> 1;
    y * f64::from_bits(half << 52) * f64::from_bits((k - half) << 52)
}

/// `x = k ln 2 + r + tail`: `k + TO_INTEGER`, `r` (exact but for the product with `LN2_LO`), `tail`.
#[inline(always)]
fn reduce<I: Isa>(x: f64) -> (f64, f64, f64) {
    let t = I::fma64(x, std::f64::consts::LOG2_E, TO_INTEGER);
    let k = t - TO_INTEGER;
    let high = I::fma64(k, -LN2_HI, x);
    let low = k * LN2_LO;
    let r = high - low;
    (t, r, (high - r) - low)
}

/// `k + TO_INTEGER` and `w` with `e^(x + tail) = 2^k (1 + w)`, for `tail` below 1e-10.
#[inline(always)]
pub(super) fn exp_parts<I: Isa>(x: f64, tail: f64) -> (f64, f64) {
    let (t, r, _) = reduce::<I>(x);
    (t, I::fma64(r * r, poly::<I, _>(r, &EXP_64), r + tail))
}

/// `x` where `e^x` is neither zero nor infinite, else a bound beyond.
#[inline(always)]
pub(super) fn exp_clamp(x: f64) -> f64 {
    at_least(at_most(x, 710.0), -746.0)
}

/// `e^x`.
#[inline(always)]
pub fn exp<I: Isa>(x: f64) -> f64 {
    let (t, w) = exp_parts::<I>(exp_clamp(x), 0.0);
    scale(1.0 + w, t)
}

/// `2^x`; exact for integers.
#[inline(always)]
pub fn exp2<I: Isa>(x: f64) -> f64 {
    let x = at_least(at_most(x, 1025.0), -1080.0);
    let t = x + TO_INTEGER;
    let r = (x - (t - TO_INTEGER)) * std::f64::consts::LN_2;
    scale(I::fma64(r * r, poly::<I, _>(r, &EXP_64), r) + 1.0, t)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<I: Isa>(x: f64) -> f64 {
    // The exponential of a negative number: nothing overflows, and small results keep their bits.
    let (t, w) = exp_parts::<I>(at_least(-x.abs(), -746.0), 0.0);
    let e = scale(1.0 + w, t);
    let numerator = if x < 0.0 { e } else { 1.0 };
    let d = 1.0 + e;
    let y = numerator / d;
    // What the sum rounded off, times the derivative: 1 / d is y or 1 - y.
    let inverse = if x < 0.0 { 1.0 - y } else { y };
    I::fma64(-y * inverse, e - (d - 1.0), y)
}

/// `(e^x - 1) / 2`, for -50 <= x <= 710.
#[inline(always)]
fn half_expm1<I: Isa>(x: f64) -> f64 {
    let (t, r, tail) = reduce::<I>(x);
    let rest = I::fma64(r * r, poly::<I, _>(r, &EXPM1_64), tail);
    // 2^(k-1): k may be 1024.
    let s = f64::from_bits((t.to_bits() - 1024) << 52);
    // s r carries no error, and the sum's is added to the small rest.
    let (y, error) = fast_two_sum(s - 0.5, s * r);
    y + I::fma64(s, rest, error)
}

/// `e^x - 1`.
#[inline(always)]
pub fn expm1<I: Isa>(x: f64) -> f64 {
    let y = 2.0 * half_expm1::<I>(at_least(at_most(x, 710.0), -50.0));
    // Of zeros and subnormals `half_expm1` loses the sign or a bit.
    if x.abs() < 1e-290 { x } else { y }
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<I: Isa>(x: f64) -> f64 {
    // With m = (e^2a - 1) / 2 it is m / (m + 1); from 19.1 on it rounds to 1.
    let a = x.abs();
    let m = half_expm1::<I>(2.0 * at_most(a, 20.0));
    let d = m + 1.0;
    let y = m / d;
    // What the sum rounded off, where it matters, times the derivative.
    let lost = if d < 1024.0 { m - (d - 1.0) } else { 0.0 };
    let y = I::fma64(-y * (1.0 - y), lost, y);
    (if a < 1e-290 { a } else { y }).copysign(x)
}

/// `e^a / 2`, which overflows only where `sinh` and `cosh` do; `a >= 0`.
#[inline(always)]
fn half_exp<I: Isa>(a: f64) -> f64 {
    let (t, w) = exp_parts::<I>(at_most(a, 711.0), 0.0);
    scale(1.0 + w, t - 1.0)
}

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let e = half_exp::<I>(a);
    let z = a * a;
    let near = I::fma64(a * z, poly::<I, _>(z, &SINH_64), a);
    (if a < 1.0 { near } else { e - 0.25 / e }).copysign(x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<I: Isa>(x: f64) -> f64 {
    let e = half_exp::<I>(x.abs());
    e + 0.25 / e
}
