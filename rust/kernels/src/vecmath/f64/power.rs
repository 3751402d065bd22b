//! Powers in double precision.

use super::double::{fast_two_sum, two_prod, two_sum};
use super::exponential::{exp_clamp, exp_parts, scale};
use super::logarithm::{LN2_HI, LN2_LO, split};
use super::{at_least, at_most, floor, poly};
use crate::isa::Isa;

/// ((log((1 + s) / (1 - s)) - 2 s) / s^3 - 2/3) / z, z = s^2, relative to 2 / z^2, for sqrt(1/2) .. sqrt(2): error 2^-73.4 (`fit.py POW_LOG_64`).
const POW_LOG_64: [f64; 8] = [
    0.399_999_999_999_999_86,
    0.285_714_285_714_419_65,
    0.222_222_222_181_677_03,
    0.181_818_188_044_132_33,
    0.153_845_607_841_108_76,
    0.133_361_841_080_509_27,
    0.116_772_474_918_032_7,
    0.119_706_562_927_714_48,
];

/// `log(x)` as a sum of two, to about 2^-65; for finite positive `x`.
#[inline(always)]
fn log_in_two<I: Isa>(x: f64) -> (f64, f64) {
    /// What 2/3 as a double lacks.
    const TWO_THIRDS_TAIL: f64 = 3.700_743_415_417_188e-17;
    let (e, f) = split(x);
    // s = f / (2 + f)
    let (d, d_tail) = fast_two_sum(2.0, f);
    let inverse = 1.0 / d;
    let s = f * inverse;
    let (p, p_tail) = two_prod::<I>(s, d);
    let s_tail = (((f - p) - p_tail) - s * d_tail) * inverse;
    // z = s^2
    let (z, z_tail) = two_prod::<I>(s, s);
    let z_tail = z_tail + 2.0 * s * s_tail;
    // c = 2/3 + z Q(z)
    let (c, c_tail) = fast_two_sum(2.0 / 3.0, z * poly::<I, _>(z, &POW_LOG_64));
    let c_tail = c_tail + TWO_THIRDS_TAIL;
    // s^3 c
    let (cube, cube_tail) = two_prod::<I>(s, z);
    let cube_tail = cube_tail + (s * z_tail + s_tail * z);
    let (rest, rest_tail) = two_prod::<I>(cube, c);
    let rest_tail = rest_tail + (cube * c_tail + cube_tail * c);
    // e ln 2 + 2 s + s^3 c
    let (a, a_tail) = two_sum(e * LN2_HI, 2.0 * s);
    let (b, b_tail) = two_sum(a, rest);
    let tail = (a_tail + b_tail) + (rest_tail + I::fma64(2.0, s_tail, e * LN2_LO));
    fast_two_sum(b, tail)
}

/// `x` to the power `y`.
#[inline(always)]
pub fn pow<I: Isa>(x: f64, y: f64) -> f64 {
    let a = x.abs();
    let (log, tail) = log_in_two::<I>(a);
    // Beyond 2^70 only a logarithm of 0 keeps the power from overflow; products stay finite.
    let z = at_least(at_most(y, 1.2e21), -1.2e21);
    let (p, p_tail) = two_prod::<I>(z, log);
    let clamped = exp_clamp(p);
    let p_tail = if clamped == p { p_tail + z * tail } else { 0.0 };
    let (t, w) = exp_parts::<I>(clamped, p_tail);
    let value = scale(1.0 + w, t);
    // At the ends of the range the logarithm is none.
    let end = if (a == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY };
    let value = if a == 0.0 || a == f64::INFINITY { end } else { value };
    pow_special::<I>(x, y, value)
}

/// `|x|^y` with the sign and the exceptions of `x^y`.
#[inline(always)]
pub(in crate::vecmath) fn pow_special<I: Isa>(x: f64, y: f64, value: f64) -> f64 {
    let half = 0.5 * y;
    let whole = floor::<I>(y) == y;
    let odd = whole && floor::<I>(half) != half;
    let value = if x.is_sign_negative() && odd { -value } else { value };
    // A negative base (not -0, not -inf) takes whole exponents only; infinite ones are whole.
    let value = if x < 0.0 && x > f64::NEG_INFINITY && !whole { f64::NAN } else { value };
    let value = if x.is_nan() || y.is_nan() { f64::NAN } else { value };
    let unit = x == 1.0 || y == 0.0 || (x == -1.0 && y.abs() == f64::INFINITY);
    if unit { 1.0 } else { value }
}
