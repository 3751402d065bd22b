//! Sine, cosine and tangent in single precision.

use super::poly;
use crate::isa::Isa;
use crate::vecmath::{has_fma, mid, reduce};

/// (sin(r) / r - 1) / z, z = r^2, relative to sin(r), on |r| <= 1.01 pi/4: error 2^-27.9 (`fit.py SIN_32`).
const SIN_32: [f32; 3] = [-1.666_665_4e-1, 8.332_114e-3, -1.950_877_3e-4];

/// (cos(r) - 1 + z/2) / z^2, z = r^2, on |r| <= 1.01 pi/4: error 2^-32.9 (`fit.py COS_32`).
const COS_32: [f32; 3] = [4.166_664_6e-2, -1.388_725_1e-3, 2.442_571_9e-5];

/// Largest magnitude for which the `_quick` functions hold their bound; the others are right for
/// all.
pub const TRIG_QUICK: f32 = 100_000.0;

/// Adding this rounds to an integer, which then stands at the mantissa's end.
const TO_INTEGER: f32 = 12_582_912.0;

/// `x - k pi/2` to almost full relative precision, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
fn minus_half_pi<I: Isa>(x: f32, k: f32) -> f32 {
    if has_fma::<I>() {
        // pi/2 in three parts of 24 bits.
        let r = I::fma32(k, -1.570_796_4, x);
        return I::fma32(k, 1.715_124_5e-15, I::fma32(k, 4.371_139e-8, r));
    }
    // pi/2 in parts of 30 and 53 bits: the first product is exact.
    let k = k as f64;
    ((x as f64 - k * 1.570_796_327_665_448_2) + k * 8.705_515_695_504_166e-10) as f32
}

/// `sin(x + shift pi/2)`, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
fn sin_shifted<I: Isa>(x: f32, shift: u32) -> f32 {
    let t = I::fma32(x, std::f32::consts::FRAC_2_PI, TO_INTEGER);
    let r = minus_half_pi::<I>(x, t - TO_INTEGER);
    let quadrant = t.to_bits().wrapping_add(shift);
    let z = r * r;
    let sin = I::fma32(r * z, poly::<I, _>(z, &SIN_32), r);
    // The reduction makes +0 of -0.
    let sin = if x == 0.0 { x } else { sin };
    let cos = I::fma32(z * z, poly::<I, _>(z, &COS_32), I::fma32(z, -0.5, 1.0));
    let y = if quadrant & 1 == 0 { sin } else { cos };
    f32::from_bits(y.to_bits() ^ (quadrant & 2) << 30)
}

/// Sine, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn sin_quick<I: Isa>(x: f32) -> f32 {
    sin_shifted::<I>(x, 0)
}

/// Cosine, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn cos_quick<I: Isa>(x: f32) -> f32 {
    sin_shifted::<I>(x, 1)
}

/// Tangent, for `|x|` up to [`TRIG_QUICK`].
#[inline(always)]
pub fn tan_quick<I: Isa>(x: f32) -> f32 {
    mid::tan::<I>(x as f64) as f32
}

/// Sine.
#[inline(always)]
pub fn sin<I: Isa>(x: f32) -> f32 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { sin_quick::<I>(x) } else { f32::NAN };
    }
    if x.abs() <= TRIG_QUICK { sin_quick::<I>(x) } else { reduce::sin_cos(x as f64).0 as f32 }
}

/// Cosine.
#[inline(always)]
pub fn cos<I: Isa>(x: f32) -> f32 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { cos_quick::<I>(x) } else { f32::NAN };
    }
    if x.abs() <= TRIG_QUICK { cos_quick::<I>(x) } else { reduce::sin_cos(x as f64).1 as f32 }
}

/// Tangent.
#[inline(always)]
pub fn tan<I: Isa>(x: f32) -> f32 {
    if I::QUICK {
        return if x.abs() <= TRIG_QUICK { tan_quick::<I>(x) } else { f32::NAN };
    }
    if x.abs() <= TRIG_QUICK {
        return tan_quick::<I>(x);
    }
    let (sin, cos) = reduce::sin_cos(x as f64);
    (sin / cos) as f32
}
