//! Sums and products with their rounding errors.

use super::has_fma;
use crate::isa::Isa;

/// `a + b` and its error, for `|a| >= |b|` or `a == 0`.
#[inline(always)]
pub fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

/// `a + b` and its error.
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a * b` and its error; below 2^970 where the level has no FMA.
#[inline(always)]
pub fn two_prod<I: Isa>(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    (p, if has_fma::<I>() { I::fma64(a, b, -p) } else { product_error(a, b, p) })
}

/// `a * b - p` for `p` the rounded product, by Dekker's splitting.
#[inline(always)]
pub fn product_error(a: f64, b: f64, p: f64) -> f64 {
    let (ah, al) = halves(a);
    let (bh, bl) = halves(b);
    ((ah * bh - p) + ah * bl + al * bh) + al * bl
}

/// `x` as a sum of two numbers of 26 bits.
#[inline(always)]
fn halves(x: f64) -> (f64, f64) {
    let t = 134_217_729.0 * x;
    let high = t - (t - x);
    (high, x - high)
}
