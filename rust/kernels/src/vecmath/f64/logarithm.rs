//! Logarithms in double precision.

use super::double::{fast_two_sum, two_sum};
use super::poly;
use crate::isa::Isa;

/// (log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, relative to 2 / z, for sqrt(1/2) .. sqrt(2): error 2^-59.2 (`fit.py LOG_64`).
const LOG_64: [f64; 7] = [
    0.666_666_666_666_669_6,
    0.399_999_999_996_137_56,
    0.285_714_287_049_682_66,
    0.222_222_019_527_310_47,
    0.181_834_057_361_955_65,
    0.153_177_788_380_493_84,
    0.147_612_356_296_811_4,
];

/// 32 bits, so that its product with an exponent is exact.
pub(super) const LN2_HI: f64 = 0.693_147_180_601_954_5;
pub(super) const LN2_LO: f64 = -4.200_915_072_681_084e-11;

/// `x = 2^e (1 + f)`, `1 + f` from sqrt(1/2) to sqrt(2): `e` and `f`, for finite positive `x`.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let tiny = x < f64::MIN_POSITIVE;
    let bits = (if tiny { x * 18_014_398_509_481_984.0 } else { x }).to_bits();
    let bias = if tiny { 1023.0 + 54.0 } else { 1023.0 };
    let offset = bits.wrapping_sub(SQRT_HALF).wrapping_add(1023 << 52);
    let e = (f64::from_bits(offset >> 52 | TWO_52) - 4_503_599_627_370_496.0) - bias;
    let m = f64::from_bits((offset & ((1 << 52) - 1)) + SQRT_HALF);
    (e, m - 1.0)
}

/// `log(1 + f) = f - half + rest`, `half = f^2 / 2`, `rest` small.
#[inline(always)]
fn log_near_1<I: Isa>(f: f64) -> (f64, f64) {
    // 2 s + s z P(z) with 2 s = f - s f, rearranged so that only small terms round.
    let s = f / (2.0 + f);
    let z = s * s;
    let half = 0.5 * f * f;
    (half, s * I::fma64(z, poly::<I, _>(z, &LOG_64), half))
}

/// `e ln 2 + log(1 + f) + tail`, for a small `tail`.
#[inline(always)]
fn log_sum<I: Isa>(e: f64, f: f64, tail: f64) -> f64 {
    let (half, rest) = log_near_1::<I>(f);
    I::fma64(e, LN2_HI, f - (half - (rest + I::fma64(e, LN2_LO, tail))))
}

/// `y`, a logarithm of `x` right for finite positive `x`, made right for all.
#[inline(always)]
fn special(x: f64, y: f64) -> f64 {
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x < 0.0 { f64::NAN } else { y }
}

/// Natural logarithm.
#[inline(always)]
pub fn log<I: Isa>(x: f64) -> f64 {
    let (e, f) = split(x);
    special(x, log_sum::<I>(e, f, 0.0))
}

/// `log(1 + x + tail)` for a finite `x > -1`, `tail` its rounding error.
#[inline(always)]
pub(super) fn log1p_parts<I: Isa>(x: f64, tail: f64) -> f64 {
    let (u, error) = two_sum(1.0, x);
    let (e, f) = split(u);
    log_sum::<I>(e, f, (error + tail) / u)
}

/// `log(1 + x)`.
#[inline(always)]
pub fn log1p<I: Isa>(x: f64) -> f64 {
    let y = special(1.0 + x, log1p_parts::<I>(x, 0.0));
    if x.abs() < 1e-300 { x } else { y }
}

/// `log(1 + f)` as a number of 21 bits and a correction.
#[inline(always)]
fn log_in_two<I: Isa>(f: f64) -> (f64, f64) {
    let (half, rest) = log_near_1::<I>(f);
    let high = f64::from_bits((f - half).to_bits() & !0xffff_ffff);
    (high, ((f - high) - half) + rest)
}

/// Logarithm to base 2; exact for powers of 2.
#[inline(always)]
pub fn log2<I: Isa>(x: f64) -> f64 {
    /// log2(e): 21 bits, and the rest.
    const HI: f64 = 1.442_694_664_001_464_8;
    const LO: f64 = 3.768_874_985_636_099e-7;
    let (e, f) = split(x);
    let (high, low) = log_in_two::<I>(f);
    let (y, error) = fast_two_sum(e, high * HI);
    special(x, y + (error + I::fma64(low, HI, (low + high) * LO)))
}

/// Logarithm to base 10.
#[inline(always)]
pub fn log10<I: Isa>(x: f64) -> f64 {
    /// log10(e): 21 bits, and the rest.
    const HI: f64 = 0.434_294_462_203_979_5;
    const LO: f64 = 1.969_927_233_546_362_7e-8;
    /// log10(2): 32 bits, and the rest.
    const TWO_HI: f64 = 0.301_029_995_665_885_5;
    const TWO_LO: f64 = -1.904_312_846_716_427_4e-12;
    let (e, f) = split(x);
    let (high, low) = log_in_two::<I>(f);
    let (y, error) = fast_two_sum(e * TWO_HI, high * HI);
    let low = I::fma64(low, HI, (low + high) * LO);
    special(x, y + (error + I::fma64(e, TWO_LO, low)))
}
