//! The element types that random numbers are written as.

use std::ops::Div;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::{Generator, normal, uniform};
use crate::dtype::{Bool, Element};

/// A real element type, with the conversions that C++ and PyTorch apply to a drawn number.
pub trait Sample: Element {
    /// The closest element (for the 16-bit types by way of `f32`); for integers the low bits.
    fn from_i64(x: i64) -> Self;
    /// The closest element (for the 16-bit types by way of `f32`); for integers the low bits of
    /// the truncated number.
    fn from_f64(x: f64) -> Self;
}

/// A type that `random_()` without bounds can fill: those of PyTorch 2.13, so not `u16` to `u64`.
pub trait IntSample: Sample {
    /// How many different numbers: from 0 to the largest integer, or for floats to 2^digits.
    const COUNT: u64;
    /// Whether 64 bits are drawn for each, not 32.
    const WIDE: bool = false;
}

/// A floating-point element type.
pub trait FloatSample: Sample + PartialEq {
    /// Bits of the significand, the hidden one included.
    const DIGITS: u32;
    /// The type PyTorch computes in: `f64` for `f64`, else `f32`.
    type Wide: Wide;
    fn widen(self) -> Self::Wide;
    /// Rounds `from` into `out`, of the same length.
    fn narrow(out: &mut [Self], from: &[Self::Wide]);
}

/// `f32` or `f64`: what differs between them when fills are computed.
pub trait Wide: FloatSample<Wide = Self> + PartialOrd + Div<Output = Self> {
    /// Uniform in [`from`, `to`): a unit times `to - from`, plus `from`.
    fn uniform(generator: &mut Generator, out: &mut [Self], from: Self, to: Self);
    /// Turns every 16 uniform units into 16 normal numbers; the length is a multiple of 16.
    fn box_muller(units: &mut [Self], mean: Self, std: Self);
    /// Replaces the elements by their running sums, rounded one by one, divided by the last sum.
    /// Returns that sum.
    fn accumulate(values: &mut [Self]) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! integers {
    ($($t:ty),*) => { $(impl Sample for $t {
        #[inline(always)]
        fn from_i64(x: i64) -> $t { x as $t }
        #[inline(always)]
        fn from_f64(x: f64) -> $t { x as i64 as $t }
    })* };
}
integers!(u8, i8, i16, i32, i64, u16, u32, u64);

impl Sample for Bool {
    #[inline(always)]
    fn from_i64(x: i64) -> Bool {
        Bool::from(x != 0)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Bool {
        Bool::from(x != 0.0)
    }
}

macro_rules! halves {
    ($($t:ty, $digits:literal),*) => { $(
        impl Sample for $t {
            #[inline(always)]
            fn from_i64(x: i64) -> $t { <$t>::from_f32(x as f32) }
            #[inline(always)]
            fn from_f64(x: f64) -> $t { <$t>::from_f32(x as f32) }
        }
        impl FloatSample for $t {
            const DIGITS: u32 = $digits;
            type Wide = f32;
            #[inline(always)]
            fn widen(self) -> f32 { self.to_f32() }
            fn narrow(out: &mut [$t], from: &[f32]) { out.convert_from_f32_slice(from) }
        }
    )* };
}
halves!(f16, 11, bf16, 8);

macro_rules! wides {
    ($($t:ident, $uniform:path, $box_muller:path);*) => { $(
        impl Sample for $t {
            #[inline(always)]
            fn from_i64(x: i64) -> $t { x as $t }
            #[inline(always)]
            fn from_f64(x: f64) -> $t { x as $t }
        }
        impl FloatSample for $t {
            const DIGITS: u32 = $t::MANTISSA_DIGITS;
            type Wide = $t;
            #[inline(always)]
            fn widen(self) -> $t { self }
            fn narrow(out: &mut [$t], from: &[$t]) { out.copy_from_slice(from) }
        }
        impl Wide for $t {
            fn uniform(generator: &mut Generator, out: &mut [$t], from: $t, to: $t) {
                generator.fill_from_words(out, |piece, words| $uniform(piece, words, from, to))
            }
            fn box_muller(units: &mut [$t], mean: $t, std: $t) { $box_muller(units, mean, std) }
            fn accumulate(values: &mut [$t]) -> $t {
                let mut sum = 0.0;
                for x in values.iter_mut() { sum += *x; *x = sum; }
                for x in values.iter_mut() { *x /= sum; }
                sum
            }
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
        }
    )* };
}
wides! {
    f32, uniform::convert_f32, normal::box_muller_f32;
    f64, uniform::convert_f64, normal::box_muller_f64
}

macro_rules! int_samples {
    ($($t:ty, $count:expr, $wide:expr;)*) => { $(impl IntSample for $t {
        const COUNT: u64 = $count;
        const WIDE: bool = $wide;
    })* };
}
int_samples! {
    Bool, 2, false;
    u8, 1 << 8, false;
    i8, 1 << 7, false;
    i16, 1 << 15, false;
    i32, 1 << 31, false;
    i64, 1 << 63, true;
    f16, (1 << 11) + 1, false;
    bf16, (1 << 8) + 1, false;
    f32, (1 << 24) + 1, false;
    f64, (1 << 53) + 1, true;
}
