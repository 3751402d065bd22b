//! Uniform real numbers.

use super::Generator;
use super::generator::{join, unit_f32, unit_f64};
use super::sample::{FloatSample, Sample, Wide};
use crate::dispatch;

/// Numbers made at a time before they are rounded to the element type. As `BUFFER`, it weighs
/// short fills (the buffer is cleared first) against long ones: 128 costs 20 % at a million
/// elements, 512 costs 15 ns at one.
pub(super) const PIECE: usize = 256;

impl Generator {
    /// Uniform numbers in [`from`, `to`), each from 24 random bits (`f64`: 53).
    ///
    /// A number that rounding takes up to `to` becomes `from`, as in PyTorch.
    pub fn fill_uniform<T: FloatSample>(&mut self, out: &mut [T], from: f64, to: f64) {
        let wide = |x| T::Wide::from_f64(x);
        let (low, high) = (T::from_f64(from), T::from_f64(to));
        let mut buffer = [T::Wide::default(); PIECE];
        for piece in out.chunks_mut(PIECE) {
            let values = &mut buffer[..piece.len()];
            T::Wide::uniform(self, values, wide(from), wide(to));
            T::narrow(piece, values);
            for y in piece {
                *y = if *y == high { low } else { *y };
            }
        }
    }

    /// Uniform numbers in [0, 1).
    pub(super) fn fill_units<T: Wide>(&mut self, out: &mut [T]) {
        T::uniform(self, out, T::from_i64(0), T::from_i64(1));
    }
}

pub(super) fn convert_f32(out: &mut [f32], words: &[[u32; 1]], from: f32, to: f32) {
    dispatch!(_I, (out: &mut [f32], words: &[[u32; 1]], from: f32, to: f32) => {
        for (y, &[word]) in out.iter_mut().zip(words) {
            *y = unit_f32(word).mul_add(to - from, from);
        }
    })
}

pub(super) fn convert_f64(out: &mut [f64], words: &[[u32; 2]], from: f64, to: f64) {
    dispatch!(_I, (out: &mut [f64], words: &[[u32; 2]], from: f64, to: f64) => {
        for (y, &[high, low]) in out.iter_mut().zip(words) {
            *y = unit_f64(join(high, low)).mul_add(to - from, from);
        }
    })
}
