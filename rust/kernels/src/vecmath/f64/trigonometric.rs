//! Sine, cosine and tangent in double precision.

use super::double::{fast_two_sum, two_prod, two_sum};
use super::poly;
use crate::isa::Isa;
use crate::vecmath::{has_fma, reduce};
use std::f64::consts::FRAC_2_PI;

/// (sin(r) / r - 1) / z, z = r^2, relative to sin(r), on |r| <= pi/4: error 2^-57.9 (`fit.py SIN_64`).
const SIN_64: [f64; 6] = [
    -0.166_666_666_666_666_3,
    0.008_333_333_333_322_063,
    -0.000_198_412_698_295_426_04,
    2.755_731_360_452_663e-06,
    -2.505_074_503_799_401_5e-08,
    1.589_606_752_694_500_2e-10,
];

/// (cos(r) - 1 + z/2) / z^2, z = r^2, on |r| <= pi/4: error 2^-64.0 (`fit.py COS_64`).
const COS_64: [f64; 6] = [
    0.041_666_666_666_666_595,
    -0.001_388_888_888_887_297_5,
    2.480_158_728_880_005e-05,
    -2.755_731_416_398_281e-07,
    2.087_569_870_936_545_6e-09,
    -1.135_842_355_945_008_3e-11,
];

/// Largest magnitude for which the `_quick` functions hold their bound; the others are right for
/// all.
pub const TRIG_QUICK: f64 = 1_000_000.0;

/// Adding this rounds to an integer, which then stands at the mantissa's end.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

/// pi/2 in parts of 53 bits, and in parts of 33 bits whose products with integers are exact.
const HALF_PI: [f64; 3] =
    [1.570_796_326_794_896_6, 6.123_233_995_736_766e-17, -1.497_384_904_859_169_8e-33];
const HALF_PI_33: [f64; 4] = [
    1.570_796_326_734_125_6,
    6.077_100_506_303_966e-11,
    2.022_266_248_711_166_5e-21,
    8.478_427_660_348_229e-32,
];

/// `x - k pi/2` as a sum of two, for integers `k` up to 2^20.
#[inline(always)]
fn minus_half_pi<I: Isa>(x: f64, k: f64) -> (f64, f64) {
    if has_fma::<I>() {
        let a = I::fma64(k, -HALF_PI[0], x);
        let (p, p_tail) = two_prod::<I>(k, HALF_PI[1]);
        let (r, tail) = two_sum(a, -p);
        return fast_two_sum(r, I::fma64(k, -HALF_PI[2], tail - p_tail));
    }
    let a = x - k * HALF_PI_33[0];
    let (b, error_b) = two_sum(a, -k * HALF_PI_33[1]);
    let (c, error_c) = two_sum(b, -k * HALF_PI_33[2]);
    fast_two_sum(c, error_c + (error_b - k * HALF_PI_33[3]))
}

/// Sine and cosine of `r + tail`, `|r|` up to pi/4.
#[inline(always)]
pub(in crate::vecmath) fn sin_cos_near_0<I: Isa>(r: f64, tail: f64) -> (f64, f64) {
    let z = r * r;
    let half = 0.5 * z;
    let sin = r + I::fma64(r * z, poly::<I, _>(z, &SIN_64), tail * (1.0 - half));
    let (c, error) = fast_two_sum(1.0, -half);
    let cos = c + I::fma64(z * z, poly::<I, _>(z, &COS_64), error - r * tail);
    (sin, cos)
}

/// `sin(x + shift pi/2)`, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
fn sin_shifted<I: Isa>(x: f64, shift: u64) -> f64 {
    let t = I::fma64(x, FRAC_2_PI, TO_INTEGER);
    let (r, tail) = minus_half_pi::<I>(x, t - TO_INTEGER);
    let quadrant = t.to_bits().wrapping_add(shift);
    let (sin, cos) = sin_cos_near_0::<I>(r, tail);
    // The reduction makes +0 of -0.
    let sin = if x == 0.0 { x } else { sin };
    let y = if quadrant & 1 == 0 { sin } else { cos };
    f64::from_bits(y.to_bits() ^ (quadrant & 2) << 62)
}

/// Sine, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn sin_quick<I: Isa>(x: f64) -> f64 {
    sin_shifted::<I>(x, 0)
}

/// Cosine, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn cos_quick<I: Isa>(x: f64) -> f64 {
    sin_shifted::<I>(x, 1)
}

/// Tangent, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn tan_quick<I: Isa>(x: f64) -> f64 {
    let t = I::fma64(x, FRAC_2_PI, TO_INTEGER);
    let (r, tail) = minus_half_pi::<I>(x, t - TO_INTEGER);
    let (sin, cos) = sin_cos_near_0::<I>(r, tail);
    let odd = t.to_bits() & 1 != 0;
    let y = (if odd { -cos } else { sin }) / (if odd { sin } else { cos });
    if x == 0.0 { x } else { y }
}

/// Sine.
#[inline(always)]
pub fn sin<I: Isa>(x: f64) -> f64 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { sin_quick::<I>(x) } else { f64::NAN };
    }
    if x.abs() <= TRIG_QUICK { sin_quick::<I>(x) } else { reduce::sin_cos(x).0 }
}

/// Cosine.
#[inline(always)]
pub fn cos<I: Isa>(x: f64) -> f64 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { cos_quick::<I>(x) } else { f64::NAN };
    }
    if x.abs() <= TRIG_QUICK { cos_quick::<I>(x) } else { reduce::sin_cos(x).1 }
}

/// Tangent.
#[inline(always)]
pub fn tan<I: Isa>(x: f64) -> f64 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { tan_quick::<I>(x) } else { f64::NAN };
    }
    if x.abs() <= TRIG_QUICK {
        return tan_quick::<I>(x);
    }
    let (sin, cos) = reduce::sin_cos(x);
    sin / cos
}
