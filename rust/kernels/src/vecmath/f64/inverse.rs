//! Inverse trigonometric and hyperbolic functions in double precision.

use super::double::{fast_two_sum, two_prod, two_sum};
use super::logarithm::log1p_parts;
use super::{at_most, log, poly};
use crate::isa::Isa;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI};

/// (asin(x) / x - 1) / z, z = x^2, relative to 1 / z, on |x| <= 1/2: error 2^-55.9 (`fit.py ASIN_64`).
const ASIN_64: [f64; 12] = [
    0.166_666_666_666_653_83,
    0.075_000_000_003_430_59,
    0.044_642_856_823_472_875,
    0.030_381_959_331_555_356,
    0.022_371_753_518_183_17,
    0.017_359_771_157_284_765,
    0.013_884_598_169_813_042,
    0.012_173_280_415_017_352,
    0.006_510_851_075_556_231,
    0.019_573_907_520_911_68,
    -0.016_294_070_113_038_808,
    0.031_958_960_263_992_64,
];

/// (atan(t) / t - 1) / z, z = t^2, relative to 1 / z, on |t| <= sqrt(2) - 1: error 2^-59.5 (`fit.py ATAN_64`).
const ATAN_64: [f64; 11] = [
    -0.333_333_333_333_332_1,
    0.199_999_999_999_558_42,
    -0.142_857_142_803_886_62,
    0.111_111_107_919_828_1,
    -0.090_908_979_815_254_14,
    0.076_920_639_177_501_05,
    -0.066_631_436_916_821_95,
    0.058_481_633_998_386_61,
    -0.050_404_861_134_205_07,
    0.038_093_423_878_867_31,
    -0.017_937_731_387_410_255,
];

/// What pi/2 and pi/4 lack.
const FRAC_PI_2_TAIL: f64 = 6.123_233_995_736_766e-17;
const FRAC_PI_4_TAIL: f64 = 3.061_616_997_868_383e-17;

/// For `a > 1/2`, with `asin(a) = pi/2 - 2 asin(s)`, `s = sqrt((1 - a) / 2)`; else with `s = a`: `s`
/// and `asin(s) - s`.
#[inline(always)]
fn asin_parts<I: Isa>(a: f64) -> (f64, f64) {
    let far = a > 0.5;
    let z = if far { 0.5 - 0.5 * a } else { a * a };
    let s = if far { z.sqrt() } else { a };
    // What the square root rounded off.
    let (square, error) = two_prod::<I>(s, s);
    let tail = ((z - square) - error) / (s + s);
    let tail = if far && z > 0.0 { tail } else { 0.0 };
    (s, I::fma64(s * z, poly::<I, _>(z, &ASIN_64), tail))
}

/// Arc sine.
#[inline(always)]
pub fn asin<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let (s, rest) = asin_parts::<I>(a);
    let (y, error) = fast_two_sum(FRAC_PI_2, -2.0 * s);
    let far = y + (error + (FRAC_PI_2_TAIL - 2.0 * rest));
    (if a > 0.5 { far } else { s + rest }).copysign(x)
}

/// Arc cosine.
#[inline(always)]
pub fn acos<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    let (s, rest) = asin_parts::<I>(a);
    // Of 2 s from pi (x < -1/2), or of s from pi/2.
    let far = a > 0.5;
    let from = if far { PI } else { FRAC_PI_2 };
    let from_tail = if far { 2.0 * FRAC_PI_2_TAIL } else { FRAC_PI_2_TAIL };
    let (s, rest) = if far { (2.0 * s, 2.0 * rest) } else { (s, rest) };
    let sign = if x < 0.0 && !far { -1.0 } else { 1.0 };
    let (y, error) = fast_two_sum(from, -sign * s);
    let y = y + (error + (from_tail - sign * rest));
    if far && x > 0.0 { s + rest } else { y }
}

/// Angle of the point (`x`, `y`), both at least 0 and not both 0, as a sum of two.
#[inline(always)]
fn angle<I: Isa>(y: f64, x: f64) -> (f64, f64) {
    let steep = y > x;
    let (low, high) = if steep { (x, y) } else { (y, x) };
    // Above tan(pi/8), from the diagonal.
    let far = low > 0.414_213_562_373_095_03 * high;
    let t = (if far { low - high } else { low }) / (if far { low + high } else { high });
    let z = t * t;
    let rest = t * (z * poly::<I, _>(z, &ATAN_64));
    let (a, error) = fast_two_sum(FRAC_PI_4, t);
    let (a, tail) = if far { (a, error + (FRAC_PI_4_TAIL + rest)) } else { (t, rest) };
    let (b, error) = fast_two_sum(FRAC_PI_2, -a);
    if steep { (b, error + (FRAC_PI_2_TAIL - tail)) } else { (a, tail) }
}

/// Arc tangent.
#[inline(always)]
pub fn atan<I: Isa>(x: f64) -> f64 {
    // (So large a tangent has the angle of an infinite one.)
    let (a, tail) = angle::<I>(at_most(x.abs(), 1e30), 1.0);
    (a + tail).copysign(x)
}

/// Angle of the point (`x`, `y`).
#[inline(always)]
pub fn atan2<I: Isa>(y: f64, x: f64) -> f64 {
    let (ay, ax) = (y.abs(), x.abs());
    // Large ones by 2^-600, so that sums are finite, and an infinite one still outweighs the other.
    let factor = if ay > 1e300 || ax > 1e300 { f64::from_bits((1023 - 600) << 52) } else { 1.0 };
    let (ay, ax) = (at_most(ay * factor, 1e300), at_most(ax * factor, 1e300));
    // The origin counts as on the axis.
    let ax = if ay == 0.0 && ax == 0.0 { 1.0 } else { ax };
    let (a, tail) = angle::<I>(ay, ax);
    let (b, error) = fast_two_sum(PI, -a);
    let left = b + (error + (2.0 * FRAC_PI_2_TAIL - tail));
    let angle = if x.is_sign_negative() { left } else { a + tail };
    (if x.is_nan() { x } else { angle }).copysign(y)
}

/// Inverse hyperbolic sine.
#[inline(always)]
pub fn asinh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    // log1p(a + w) with w = a^2 / (1 + sqrt(1 + a^2)); beyond 2^28, log(2 a).
    let small = at_most(a, 268_435_456.0);
    let z = small * small;
    let (u, tail) = two_sum(small, z / (1.0 + (1.0 + z).sqrt()));
    let near = log1p_parts::<I>(u, tail);
    let y = if a > 268_435_456.0 { log::<I>(a) + LN_2 } else { near };
    (if a < 1e-300 { a } else { y }).copysign(x)
}

/// Inverse hyperbolic cosine.
#[inline(always)]
pub fn acosh<I: Isa>(x: f64) -> f64 {
    let t = at_most(x, 268_435_456.0) - 1.0;
    let (u, tail) = two_sum(t, (t * (t + 2.0)).sqrt());
    let near = log1p_parts::<I>(u, tail);
    let y = if x > 268_435_456.0 { log::<I>(x) + LN_2 } else { near };
    if x < 1.0 { f64::NAN } else { y }
}

/// Inverse hyperbolic tangent.
#[inline(always)]
pub fn atanh<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    // log1p(2 a / (1 - a)) / 2, the quotient with its error.
    let (d, d_tail) = fast_two_sum(1.0, -a);
    let q = 2.0 * a / d;
    let (p, p_tail) = two_prod::<I>(q, d);
    let tail = (((2.0 * a - p) - p_tail) - q * d_tail) / d;
    let y = 0.5 * log1p_parts::<I>(q, tail);
    let end = if a == 1.0 { f64::INFINITY } else { f64::NAN };
    let y = if a < 1.0 { y } else { end };
    (if a < 1e-290 { a } else { y }).copysign(x)
}
