//! Zeros and ones.

use super::Generator;
use super::generator::join;
use super::sample::{FloatSample, Sample};
use super::uniform::PIECE;

impl Generator {
    /// One with probability `p`, else zero (`bernoulli_(p)`, dropout); 53 random bits each.
    pub fn fill_bernoulli<T: Sample>(&mut self, out: &mut [T], p: f64) {
        const UNITS: u64 = 1 << f64::MANTISSA_DIGITS;
        // x / 2^53 < p is x < p * 2^53, and the latter product is exact.
        let below = (p * UNITS as f64).ceil() as u64;
        let (zero, one) = (T::from_i64(0), T::from_i64(1));
        self.fill_from_words(out, |piece, words| {
            for (y, &[high, low]) in piece.iter_mut().zip(words) {
                *y = if join(high, low) & (UNITS - 1) < below { one } else { zero };
            }
        });
    }

    /// One with the probability that stands at the same place of `p`, else zero (`bernoulli_(p)`
    /// of a tensor, `bernoulli`); 24 random bits each, or 53 where `p` is of `f64`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn fill_bernoulli_each<T: Sample, P: FloatSample>(&mut self, out: &mut [T], p: &[P]) {
        assert_eq!(out.len(), p.len(), "a probability for each element");
        let (zero, one) = (T::from_i64(0), T::from_i64(1));
        let mut buffer = [P::Wide::default(); PIECE];
        for (piece, p) in out.chunks_mut(PIECE).zip(p.chunks(PIECE)) {
            let units = &mut buffer[..piece.len()];
            self.fill_units(units);
            for ((y, &p), &unit) in piece.iter_mut().zip(p).zip(units.iter()) {
                *y = if unit < p.widen() { one } else { zero };
            }
        }
    }
}
