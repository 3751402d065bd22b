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

/// (x + 3) e^(x^2) erfc(x) in t = (x - 3) / (x + 3), x from 0.45 to 28: error 2^-59.1 (`fit.py ERFC_64`).
const ERFC_64: [f64; 22] = [
    1.074_006_907_088_339_8,
    -0.883_394_453_169_883_6,
    0.590_228_357_104_102_3,
    -0.310_467_261_900_565_45,
    0.119_527_761_287_267_28,
    -0.026_827_234_624_547_662,
    -0.001_212_416_626_662_426_6,
    0.003_034_062_002_127_898,
    -0.000_548_309_698_683_530_2,
    -0.000_276_777_851_365_010_85,
    0.000_107_561_540_762_439_85,
    3.039_816_211_686_543_6e-05,
    -1.747_084_266_643_51e-05,
    -4.749_077_089_044_986e-06,
    2.766_323_554_460_379_5e-06,
    9.981_076_887_406_043e-07,
    -4.100_123_195_907_162e-07,
    -2.314_742_079_058_439e-07,
    4.887_755_856_642_211e-08,
    4.761_197_577_028_227e-08,
    -3.268_568_329_083_959e-09,
    -6.015_481_356_911_289e-09,
];

/// `erf(x)` for `|x|` up to 1.
#[inline(always)]
fn erf_near<I: Isa>(x: f64) -> f64 {
    I::fma64(x, poly::<I, _>(x * x, &ERF_64), x)
}

/// `erfc(a)` for `a` from 0.45 to 28.
#[inline(always)]
fn erfc_far<I: Isa>(a: f64) -> f64 {
    // P(t) e^(-a^2) / (a + 3); the roundings of a^2 and a + 3 are made good in P.
    let s = a + 3.0;
    let s_tail = a - (s - 3.0);
    let v = 1.0 / s;
    let (square, square_tail) = two_prod::<I>(a, a);
    let p = poly::<I, _>((a - 3.0) * v, &ERFC_64);
    let (t, w) = exp_parts::<I>(-square, 0.0);
    let p = p - p * I::fma64(s_tail, v, square_tail);
    scale(I::fma64(p, w, p) * v, t)
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
