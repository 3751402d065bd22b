//! Whole numbers and permutations.

use super::Generator;
use super::generator::{BUFFER, join};
use super::sample::{FloatSample, IntSample, Sample, Wide};

/// From this range on PyTorch draws 64 bits, so that the remainder is off by 2⁻³⁶ at most, not 6 %.
const WIDE_RANGE: u64 = 1 << 28;

/// From this length on `randperm` draws 64 bits for each element.
const WIDE_PERMUTATION: usize = (u32::MAX / 20) as usize;

impl Generator {
    /// Whole numbers from `base` to `base + range - 1` (`random_(from, to)`, `randint`).
    ///
    /// For a floating `T` PyTorch first narrows the bounds: see [`closest_from`], [`closest_to`].
    ///
    /// # Panics
    /// If `range` is 0.
    pub fn fill_range<T: Sample>(&mut self, out: &mut [T], base: i64, range: u64) {
        assert!(range > 0, "an empty range");
        let number = |remainder: u64| T::from_i64((remainder as i64).wrapping_add(base));
        if range >= WIDE_RANGE {
            return self.fill_from_words(out, |piece, words| {
                for (y, &[high, low]) in piece.iter_mut().zip(words) {
                    *y = number(join(high, low) % range);
                }
            });
        }
        let modulus = Modulus::new(range as u32);
        self.fill_from_words(out, |piece, words| {
            for (y, &[word]) in piece.iter_mut().zip(words) {
                *y = number(modulus.remainder(word).into());
            }
        });
    }

    /// Whole numbers from 0 to the largest of an integer type, or to 2^digits of a floating one
    /// (`random_()`).
    pub fn fill_integers<T: IntSample>(&mut self, out: &mut [T]) {
        let number = |remainder: u64| T::from_i64(remainder as i64);
        if T::WIDE {
            self.fill_from_words(out, |piece, words| {
                for (y, &[high, low]) in piece.iter_mut().zip(words) {
                    *y = number(join(high, low) % T::COUNT);
                }
            });
        } else {
            self.fill_from_words(out, |piece, words| {
                for (y, &[word]) in piece.iter_mut().zip(words) {
                    *y = number(u64::from(word) % T::COUNT);
                }
            });
        }
    }

    /// Any of the 2⁶⁴ numbers of an `i64` (`random_(-2**63, None)`; PyTorch allows it for `i64`,
    /// `f64`, `f32` and `bf16`).
    pub fn fill_all_i64<T: Sample>(&mut self, out: &mut [T]) {
        self.fill_from_words(out, |piece, words| {
            for (y, &[high, low]) in piece.iter_mut().zip(words) {
                *y = T::from_i64(join(high, low) as i64);
            }
        });
    }

    /// The numbers 0 to n - 1 in random order (`randperm`), `n` being the length.
    pub fn fill_permutation<T: Sample>(&mut self, out: &mut [T]) {
        if out.len() < WIDE_PERMUTATION {
            self.shuffle(out);
        } else {
            self.insert_at_random(out);
        }
    }

    /// Fisher-Yates: swaps each place with one at or after it.
    fn shuffle<T: Sample>(&mut self, out: &mut [T]) {
        for (i, y) in out.iter_mut().enumerate() {
            *y = T::from_i64(i as i64);
        }
        let mut words = [0; BUFFER];
        let mut first = 0;
        while first + 1 < out.len() {
            let words = &mut words[..(out.len() - 1 - first).min(BUFFER)];
            self.fill_words(words);
            for (i, &word) in (first..).zip(words.iter()) {
                out.swap(i, i + (word % (out.len() - i) as u32) as usize);
            }
            first += words.len();
        }
    }

    /// Fisher-Yates from the inside out, for lengths that 32 bits are too few for.
    pub(super) fn insert_at_random<T: Sample>(&mut self, out: &mut [T]) {
        for i in 0..out.len() {
            let place = (self.random64() % (i as u64 + 1)) as usize;
            out[i] = out[place];
            out[place] = T::from_i64(i as i64);
        }
    }
}

/// The lower bound that `random_(from, to)` uses for a floating `T`: `from` itself, or where
/// rounding could take a number below it, the next element above.
pub fn closest_from<T: FloatSample>(from: i64) -> i64 {
    let above = round::<T>(from.wrapping_add(1));
    if above < from { above.wrapping_add(spacing::<T>(from.wrapping_add(1))) } else { from }
}

/// The upper bound that `random_(from, to)` uses for a floating `T`: `to` itself, or where
/// rounding could take `to - 1` up to it, the element below.
pub fn closest_to<T: FloatSample>(to: i64) -> i64 {
    let below = round::<T>(to.wrapping_sub(1));
    if below >= to { below.wrapping_sub(spacing::<T>(to.wrapping_sub(1))) } else { to }
}

fn round<T: FloatSample>(x: i64) -> i64 {
    T::from_i64(x).widen().to_f64() as i64
}

/// The distance of the elements of `T` near `x`, at least 1.
fn spacing<T: FloatSample>(x: i64) -> i64 {
    1 << (64 - x.unsigned_abs().leading_zeros()).saturating_sub(T::DIGITS)
}

/// A divisor prepared for the remainders of 32-bit numbers: two multiplications in place of a
/// division (Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019).
#[derive(Clone, Copy)]
pub(super) struct Modulus {
    divisor: u32,
    /// 2⁶⁴ / `divisor`, rounded up (for a divisor of 1 it wraps to 0, which gives remainder 0).
    inverse: u64,
}

impl Modulus {
    pub(super) fn new(divisor: u32) -> Modulus {
        Modulus { divisor, inverse: (u64::MAX / u64::from(divisor)).wrapping_add(1) }
    }

    #[inline(always)]
    pub(super) fn remainder(self, x: u32) -> u32 {
        let fraction = self.inverse.wrapping_mul(x.into());
        ((u128::from(fraction) * u128::from(self.divisor)) >> 64) as u32
    }
}
