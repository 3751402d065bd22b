//! The error function in double precision.

use super::double::two_prod;
use super::exponential::{exp_parts, scale};
use super::{at_most, poly};
use crate::isa::Isa;

/// erf(x) / x - 1 in z = x^2, relative to erf(x) / x, on |x| <= 1: error 2^-56.9 (`fit.py ERF_64`).
const ERF_64: [f64; 12] = [
    0.128_379_167_095_512_56,
    -0.376_126_389_031_835_2,
    0.112_837_916_709_441_85,
    -0.026_866_170_643_111_465,
    0.005_223_977_606_118_472,
    -0.000_854_832_592_931_444_6,
    0.000_120_552_935_768_998_5,
    -1.492_471_230_200_295_2e-05,
    1.644_713_157_127_439_2e-06,
    -1.620_631_375_897_119_2e-07,
    1.371_098_040_196_768_2e-08,
    -7.779_468_499_292_498e-10,
];

/// (1 + 2 x) e^(x^2) erfc(x) in t = (x - 3) / (x + 3), x from 0.45 to 28: error 2^-57.1 (`fit.py ERFC_64`).
const ERFC_64: [f64; 22] = [
    1.253_008_058_269_729_6,
    -0.135_621_106_124_581_34,
    -0.047_562_294_353_448_69,
    0.129_645_158_702_782_8,
    -0.119_273_663_415_447_33,
    0.068_308_027_343_125_73,
    -0.023_770_514_914_936_126,
    0.002_529_391_831_072_187_4,
    0.001_888_690_307_033_407,
    -0.000_779_832_416_699_565_3,
    -0.000_105_159_362_678_372_59,
    0.000_125_100_184_567_475_48,
    4.947_165_104_474_318e-06,
    -2.010_353_660_920_561e-05,
    -7.235_148_409_145_809e-07,
    3.478_957_324_913_159_4e-06,
    3.389_321_328_653_98e-07,
    -6.250_640_064_096_045e-07,
    -1.162_703_763_884_683_4e-07,
    1.070_504_490_189_214_6e-07,
    2.080_399_529_310_963_7e-08,
    -1.346_887_651_255_583_7e-08,
];

/// `erf(x)` for `|x|` up to 1.
#[inline(always)]
fn erf_near<I: Isa>(x: f64) -> f64 {
    I::fma64(x, poly::<I, _>(x * x, &ERF_64), x)
}

/// `erfc(a)` for `a` from 0.45 to 28.
#[inline(always)]
fn erfc_far<I: Isa>(a: f64) -> f64 {
    // P(t) e^(-a^2) / (1 + 2 a); P changes by less than a tenth, so that t's error hardly matters.
    let (square, tail) = two_prod::<I>(a, a);
    let p = poly::<I, _>((a - 3.0) / (a + 3.0), &ERFC_64);
    let (t, w) = exp_parts::<I>(-square, -tail);
    // The quotient of p (1 + w) and 1 + 2 a, and what its operands and itself rounded off.
    let n = I::fma64(p, w, p);
    let n_tail = I::fma64(p, w, p - n);
    let d = 1.0 + 2.0 * a;
    let d_tail = 1.0 - (d - 2.0 * a);
    let inverse = 1.0 / d;
    let q = n * inverse;
    let (product, product_tail) = two_prod::<I>(q, d);
    let rest = ((n - product) - product_tail) + (n_tail - q * d_tail);
    scale(I::fma64(rest, inverse, q), t)
}

/// Error function.
#[inline(always)]
pub fn erf<I: Isa>(x: f64) -> f64 {
    let a = x.abs();
    // From 5.93 on it rounds to 1.
    let far = 1.0 - erfc_far::<I>(at_most(a, 6.0));
    (if a < 1.0 { erf_near::<I>(a) } else { far }).copysign(x)
}

/// `1 - erf(x)`.
#[inline(always)]
pub fn erfc<I: Isa>(x: f64) -> f64 {
    let a = at_most(x.abs(), 28.0);
    let far = erfc_far::<I>(a);
    let far = if x < 0.0 { 2.0 - far } else { far };
    if a < 0.5 { 1.0 - erf_near::<I>(x) } else { far }
}
