//! Normal numbers by the Box-Muller transform.

use std::f64::consts::TAU;

use super::Generator;
use super::sample::{FloatSample, Sample, Wide};
use super::uniform::PIECE;
use crate::dispatch;

/// PyTorch transforms 8 pairs at a time: 8 radii from the first half, 8 angles from the second.
const BLOCK: usize = 16;

impl Generator {
    /// Normal numbers of the given mean and standard deviation.
    ///
    /// Fewer than 16 are made one by one, in double precision, and the second of a pair is kept for
    /// the next call. From 16 on they are made in blocks of 16, `f16` and `bf16` in `f32`; where
    /// the length is no multiple of 16, the last 16 come from a block of their own.
    pub fn fill_normal<T: FloatSample>(&mut self, out: &mut [T], mean: f64, std: f64) {
        if out.len() < BLOCK {
            for y in out {
                *y = T::from_f64(self.normal(mean, std));
            }
            return;
        }
        let tail = out.len() % BLOCK;
        let (whole, last) = (out.len() - tail, out.len() - BLOCK);
        self.fill_normal_blocks(&mut out[..whole], mean, std);
        if tail != 0 {
            if T::DIGITS == T::Wide::DIGITS {
                // PyTorch draws a unit for every element, in place, before it transforms.
                self.fill_units(&mut [T::Wide::default(); BLOCK][..tail]);
            }
            self.fill_normal_blocks(&mut out[last..], mean, std);
        }
    }

    fn fill_normal_blocks<T: FloatSample>(&mut self, out: &mut [T], mean: f64, std: f64) {
        let mut buffer = [T::Wide::default(); PIECE];
        for piece in out.chunks_mut(PIECE) {
            let values = &mut buffer[..piece.len()];
            self.fill_units(values);
            T::Wide::box_muller(values, T::Wide::from_f64(mean), T::Wide::from_f64(std));
            T::narrow(piece, values);
        }
    }

    /// The next normal number of the scalar path.
    pub(super) fn normal(&mut self, mean: f64, std: f64) -> f64 {
        let unit = self.next_normal.take().unwrap_or_else(|| {
            let (angle, u) = (TAU * self.unit_f64(), self.unit_f64());
            let radius = (-2.0 * (-u).ln_1p()).sqrt();
            self.next_normal = Some(radius * angle.sin());
            radius * angle.cos()
        });
        unit.mul_add(std, mean)
    }
}

pub(super) fn box_muller_f32(units: &mut [f32], mean: f32, std: f32) {
    dispatch!(_I, (units: &mut [f32], mean: f32, std: f32) => {
        for block in units.as_chunks_mut::<BLOCK>().0 {
            let (radii, angles) = block.split_at_mut(BLOCK / 2);
            for (a, b) in radii.iter_mut().zip(angles) {
                let radius = (-2.0 * ln(1.0 - *a)).sqrt();
                let (sin, cos) = sin_cos(TAU as f32 * *b);
                *a = (radius * cos).mul_add(std, mean);
                *b = (radius * sin).mul_add(std, mean);
            }
        }
    })
}

pub(super) fn box_muller_f64(units: &mut [f64], mean: f64, std: f64) {
    for block in units.as_chunks_mut::<BLOCK>().0 {
        let (radii, angles) = block.split_at_mut(BLOCK / 2);
        for (a, b) in radii.iter_mut().zip(angles) {
            let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
            let (sin, cos) = (TAU * *b).sin_cos();
            *a = (radius * cos).mul_add(std, mean);
            *b = (radius * sin).mul_add(std, mean);
        }
    }
}

// The two functions below are not the most accurate ones we have: they repeat, rounding by
// rounding, what PyTorch's compiled kernel does. Coefficients and order are those of the Cephes
// library (Moshier; single precision `logf`, `sinf`, `cosf`); a `mul_add` stands where GCC fuses a
// product that is only added. Compared at 200 million numbers: every bit equal, at every level.

/// Natural logarithm of a positive, normal number.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "digits as published")]
fn ln(x: f32) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 126;
    let m = f32::from_bits(bits & !EXPONENT | 0.5f32.to_bits());
    // Into [sqrt(1/2), sqrt(2)), less one.
    let small = m < std::f32::consts::FRAC_1_SQRT_2;
    let e = exponent as f32 - if small { 1.0 } else { 0.0 };
    let x = m - 1.0 + if small { m } else { 0.0 };
    let x2 = x * x;
    let mut p = 7.0376836292e-2f32;
    for c in [
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ] {
        p = p.mul_add(x, c);
    }
    // ln 2 in two parts, the larger with few bits.
    let low = (p * x).mul_add(x2, e * -2.12194440e-4);
    let low = x2.mul_add(-0.5, low);
    e.mul_add(0.693359375, x + low)
}

/// Sine and cosine of a number in [0, 8].
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "digits as published")]
fn sin_cos(x: f32) -> (f32, f32) {
    // The octant, rounded up to even: x is then within pi/4 of octant * pi/4.
    // Added to 2^23 it stands in the low bits: `as i32` would clamp, and cost 15 % of the whole.
    const INTEGERS: f32 = (1 << 23) as f32;
    let octant = (x * std::f32::consts::FRAC_2_PI * 2.0).floor() + INTEGERS;
    let octant = ((octant.to_bits() as i32 & 15) + 1) & !1;
    let y = octant as f32;
    // pi/4 in three parts, the first two exact when multiplied.
    let x = y.mul_add(-0.78515625, x);
    let x = y.mul_add(-2.4187564849853515625e-4, x);
    let x = y.mul_add(-3.77489497744594108e-8, x);
    let x2 = x * x;
    let cos = 2.443315711809948e-5f32.mul_add(x2, -1.388731625493765e-3);
    let cos = cos.mul_add(x2, 4.166664568298827e-2);
    let cos = (cos * x2).mul_add(x2, x2 * -0.5) + 1.0;
    let sin = (-1.9515295891e-4f32).mul_add(x2, 8.3321608736e-3);
    let sin = sin.mul_add(x2, -1.6666654611e-1);
    let sin = (sin * x2).mul_add(x, x);
    let (s, c) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
    let flip = |v: f32, sign: i32| f32::from_bits(v.to_bits() ^ (sign as u32 & 4) << 29);
    (flip(s, octant), flip(c, octant + 2))
}
