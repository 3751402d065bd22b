//! Double-precision functions for single-precision arguments and results.
//!
//! The argument is an f32's value. The result is good to 2^-30 or better, so that it rounds to
//! within
//! 0.51 units of an f32's last place. Nothing overflows on the way.

use super::f64::{at_least, at_most, poly};
use crate::isa::Isa;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, LN_2, LN_10, LOG2_E, PI};

/// (e^r - 1 - r) / r^2, relative to e^r, on +-log(2)/2: error 2^-34.2 (`fit.py EXP_MID`).
const EXP_MID: [f64; 6] = [
    0.500_000_006_803_701_6,
    0.166_666_658_645_954_87,
    0.041_666_293_635_411_69,
    0.008_333_497_673_697_532,
    0.001_394_475_852_280_859_7,
    0.000_197_902_439_402_289_23,
];

/// (log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, relative to 2 s / s^3, for sqrt(1/2) .. sqrt(2): error 2^-37.6 (`fit.py LOG_MID`).
const LOG_MID: [f64; 4] = [
    0.666_666_656_872_344_2,
    0.400_003_281_329_068_1,
    0.285_376_734_898_867_1,
    0.235_762_311_397_622_6,
];

/// The same, longer: `pow` multiplies its error by up to 150: error 2^-44.8 (`fit.py POW_LOG_MID`).
const POW_LOG_MID: [f64; 5] = [
    0.666_666_666_733_407_5,
    0.399_999_962_754_409_6,
    0.285_720_507_964_992_2,
    0.221_783_303_268_967_86,
    0.195_563_666_879_326_6,
];

/// (sin(r) / r - 1) / z, z = r^2, on |r| <= 1.01 pi/4: error 2^-37.4 (`fit.py SIN_MID`).
const SIN_MID: [f64; 4] = [
    -0.166_666_666_386_520_97,
    0.008_333_329_057_355_279,
    -0.000_198_392_330_605_033_2,
    2.717_370_464_770_044_5e-06,
];

/// (cos(r) - 1 + z/2) / z^2, z = r^2, on |r| <= 1.01 pi/4: error 2^-32.9 (`fit.py COS_MID`).
const COS_MID: [f64; 3] =
    [0.041_666_644_374_490_13, -0.001_388_725_181_194_565, 2.442_571_890_236_275_7e-05];

/// (sinh(x) / x - 1) / z, z = x^2, on |x| <= 1: error 2^-34.2 (`fit.py SINH_MID`).
const SINH_MID: [f64; 4] = [
    0.166_666_664_975_610_33,
    0.008_333_350_058_166_664,
    0.000_198_361_597_789_122,
    2.816_951_221_068_655e-06,
];

/// (atan(t) / t - 1) / z, z = t^2, on |t| <= sqrt(2) - 1: error 2^-30.5 (`fit.py ATAN_MID`).
const ATAN_MID: [f64; 5] = [
    -0.333_333_155_052_454_14,
    0.199_984_894_368_895_08,
    -0.142_438_487_535_728_6,
    0.105_960_016_992_450_97,
    -0.060_834_537_506_089_19,
];

/// (asin(x) / x - 1) / z, z = x^2, on |x| <= 1/2: error 2^-31.7 (`fit.py ASIN_MID`).
const ASIN_MID: [f64; 6] = [
    0.166_666_598_718_920_37,
    0.075_005_109_184_081_36,
    0.044_515_720_053_217_73,
    0.031_817_613_756_270_555,
    0.014_402_596_615_095_69,
    0.037_565_215_427_941_88,
];

/// (1 + 2 x) e^(x^2) erfc(x) in t = (x - 3) / (x + 3), x from 0.45 to 11: error 2^-30.5 (`fit.py ERFC_MID`).
const ERFC_MID: [f64; 11] = [
    1.253_008_059_069_276_3,
    -0.135_621_101_424_988_04,
    -0.047_562_410_240_823_86,
    0.129_644_915_133_826_6,
    -0.119_271_005_583_244_66,
    0.068_312_038_627_568_07,
    -0.023_791_794_370_436_038,
    0.002_500_235_472_013_113,
    0.001_958_149_770_363_862_7,
    -0.000_682_815_987_290_073_6,
    -0.000_183_230_303_631_877_58,
];

/// erf(x) / x - 1 in z = x^2, relative to erf(x) / x, on |x| <= 1: error 2^-29.5 (`fit.py ERF_MID`).
const ERF_MID: [f64; 5] = [
    0.128_379_165_567_345_83,
    -0.376_126_085_728_456_74,
    0.112_828_228_099_579_9,
    -0.026_757_184_275_563_79,
    0.004_717_990_085_627_265,
];

/// Adding this rounds `|x| < 2^50` to an integer, offset by 1023 in the mantissa's low bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0 + 1023.0;

/// `2^k e^r` for `t = k + TO_INTEGER`, |k| < 1022.
#[inline(always)]
fn exp_scaled<I: Isa>(t: f64, r: f64) -> f64 {
    let y = I::fma64(r * r, poly::<I, _>(r, &EXP_MID), r) + 1.0;
    y * f64::from_bits(t.to_bits() << 52)
}

/// `e^x`, |x| < 700.
#[inline(always)]
fn exp<I: Isa>(x: f64) -> f64 {
    let t = I::fma64(x, LOG2_E, TO_INTEGER);
    exp_scaled::<I>(t, I::fma64(t - TO_INTEGER, -LN_2, x))
}

/// `x = 2^e (1 + f)`, `1 + f` from sqrt(1/2) to sqrt(2): `e` and `f`, for normal positive `x`.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF).wrapping_add(1023 << 52);
    let e = f64::from_bits(offset >> 52 | TWO_52) - (4_503_599_627_370_496.0 + 1023.0);
    let m = f64::from_bits((offset & ((1 << 52) - 1)) + SQRT_HALF);
    (e, m - 1.0)
}

/// `log(1 + f)` by `c`, [`LOG_MID`] or [`POW_LOG_MID`].
#[inline(always)]
fn log_near_1<I: Isa, const N: usize>(f: f64, c: &[f64; N]) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    I::fma64(s * z, poly::<I, _>(z, c), s + s)
}

/// `y`, a logarithm of `x` right for finite positive `x`, made right for all.
#[inline(always)]
fn log_special(x: f64, y: f64) -> f64 {
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x < 0.0 { f64::NAN } else { y }
}

#[inline(always)]
pub fn log2<I: Isa>(x: f64) -> f64 {
    let (e, f) = split(x);
    log_special(x, I::fma64(log_near_1::<I, _>(f, &LOG_MID), LOG2_E, e))
}

#[inline(always)]
pub fn log10<I: Isa>(x: f64) -> f64 {
    let (e, f) = split(x);
    log_special(x, I::fma64(e, LN_2, log_near_1::<I, _>(f, &LOG_MID)) * (1.0 / LN_10))
}

/// `log(1 + x)` for `x >= 0` or an f32's value above -1, where `1 + x` may round: near 1 `x` itself is used.
#[inline(always)]
fn log1p_finite<I: Isa>(x: f64) -> f64 {
    let (e, f) = split(1.0 + x);
    let f = if e == 0.0 { x } else { f };
    I::fma64(e, LN_2, log_near_1::<I, _>(f, &LOG_MID))
}

#[inline(always)]
pub fn log1p<I: Isa>(x: f64) -> f64 {
    let y = log_special(1.0 + x, log1p_finite::<I>(x));
    if x == 0.0 { x } else { y }
}

/// Tangent, |x| up to 2^20.
#[inline(always)]
pub fn tan<I: Isa>(x: f64) -> f64 {
    let t = I::fma64(x, FRAC_2_PI, TO_INTEGER);
    let k = t - TO_INTEGER;
    // pi/2 in parts of 33 and 53 bits: the first product is exact.
    let r = I::fma64(k, -6.077_100_506_506_192e-11, I::fma64(k, -1.570_796_326_734_125_6, x));
    let z = r * r;
    let sin = I::fma64(r * z, poly::<I, _>(z, &SIN_MID), r);
    let cos = I::fma64(z * z, poly::<I, _>(z, &COS_MID), I::fma64(z, -0.5, 1.0));
    // 1023 is odd: an even k leaves the last bit set.
    let even = t.to_bits() & 1 != 0;
    let y = (if even { sin } else { -cos }) / (if even { cos } else { sin });
    if x == 0.0 { x } else { y }
}

/// `asin(x) / x - 1` for `z = x^2`.
#[inline(always)]
fn asin_rest<I: Isa>(z: f64) -> f64 {
    z * poly::<I, _>(z, &ASIN_MID)
}

#[inline(always)]
pub fn asin<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let far = a > 0.5;
    let z = if far { 0.5 - 0.5 * a } else { a * a };
    let s = if far { z.sqrt() } else { a };
    let y = I::fma64(s, asin_rest::<I>(z), s);
    (if far { FRAC_PI_2 - 2.0 * y } else { y }).copysign(x)
}

#[inline(always)]
pub fn acos<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let far = a > 0.5;
    let z = if far { 0.5 - 0.5 * a } else { a * a };
    let s = if far { z.sqrt() } else { x };
    let y = I::fma64(s, asin_rest::<I>(z), s);
    let near = FRAC_PI_2 - y;
    let far_up = y + y;
    let y = if x < 0.0 { PI - far_up } else { far_up };
    if far { y } else { near }
}

/// Angle of the point (`x`, `y`), both at least 0 and not both 0.
#[inline(always)]
fn angle<I: Isa>(y: f64, x: f64) -> f64 {
    let steep = y > x;
    let (low, high) = if steep { (x, y) } else { (y, x) };
    // Above tan(pi/8), from the diagonal.
    let far = low > 0.414_213_562_373_095_03 * high;
    let t = (if far { low - high } else { low }) / (if far { low + high } else { high });
    let z = t * t;
    let y = I::fma64(t * z, poly::<I, _>(z, &ATAN_MID), t);
    let y = if far { FRAC_PI_4 + y } else { y };
    if steep { FRAC_PI_2 - y } else { y }
}

#[inline(always)]
pub fn atan<I: Isa>(x: f64) -> f64 {
    // (So large a tangent has the angle of an infinite one.)
    angle::<I>(at_most(x.abs(), 1e30), 1.0).copysign(x)
}

#[inline(always)]
pub fn atan2<I: Isa>(y: f64, x: f64) -> f64 {
    let (ay, ax) = (at_most(y.abs(), 1e300), at_most(x.abs(), 1e300));
    // The origin counts as on the axis.
    let ax = if ay == 0.0 && ax == 0.0 { 1.0 } else { ax };
    let angle = angle::<I>(ay, ax);
    let angle = if x.is_sign_negative() { PI - angle } else { angle };
    (if x.is_nan() { x } else { angle }).copysign(y)
}

/// `e^|x|`, infinite as an f32 where that overflows, and `sinh(|x|)` near 0.
#[inline(always)]
fn exp_clamped<I: Isa>(a: f64) -> f64 {
    exp::<I>(at_most(a, 100.0))
}

#[inline(always)]
pub fn sinh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let e = exp_clamped::<I>(a);
    let far = 0.5 * e - 0.5 / e;
    let z = a * a;
    let near = I::fma64(a * z, poly::<I, _>(z, &SINH_MID), a);
    (if a < 1.0 { near } else { far }).copysign(x)
}

#[inline(always)]
pub fn cosh<I: Isa>(x: f64) -> f64 {
    let e = exp_clamped::<I>(x.abs());
    0.5 * e + 0.5 / e
}

#[inline(always)]
pub fn asinh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let z = a * a;
    let y = log1p_finite::<I>(a + z / (1.0 + (z + 1.0).sqrt()));
    (if a < f64::INFINITY { y } else { a }).copysign(x)
}

#[inline(always)]
pub fn acosh<I: Isa>(x: f64) -> f64 {
    let t = x - 1.0;
    let y = log1p_finite::<I>(t + (t * (x + 1.0)).sqrt());
    let y = if x < f64::INFINITY { y } else { x };
    if x < 1.0 { f64::NAN } else { y }
}

#[inline(always)]
pub fn atanh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let y = 0.5 * log1p_finite::<I>(2.0 * a / (1.0 - a));
    let end = if a == 1.0 { f64::INFINITY } else { f64::NAN };
    (if a < 1.0 { y } else { end }).copysign(x)
}

#[inline(always)]
pub fn erfc<I: Isa>(x: f64) -> f64 {
    let a = at_most(x.abs(), 11.0);
    let t = (a - 3.0) / (a + 3.0);
    let far = poly::<I, _>(t, &ERFC_MID) / (1.0 + 2.0 * a) * exp::<I>(-a * a);
    let far = if x < 0.0 { 2.0 - far } else { far };
    let near = 1.0 - I::fma64(x, poly::<I, _>(x * x, &ERF_MID), x);
    if a < 0.5 { near } else { far }
}

#[inline(always)]
pub fn pow<I: Isa>(x: f64, y: f64) -> f64 {
    let a = x.abs();
    let (e, f) = split(a);
    let log2 = I::fma64(log_near_1::<I, _>(f, &POW_LOG_MID), LOG2_E, e);
    let log2 = log_special(a, log2);
    // 2^+-200 is an infinite or zero f32.
    let p = at_least(at_most(y * log2, 200.0), -200.0);
    let t = p + TO_INTEGER;
    let value = exp_scaled::<I>(t, (p - (t - TO_INTEGER)) * LN_2);
    super::f64::pow_special::<I>(x, y, value)
}
