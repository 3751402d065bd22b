//! Elementary functions on f64.

use crate::isa::Isa;
type T = std::primitive::f64;

macro_rules! std1 { ($($name:ident $std:ident),*) => { $(#[inline(always)] pub fn $name<I: Isa>(x: T) -> T { x.$std() })* } }
std1!(abs abs, sqrt sqrt, floor floor, ceil ceil, trunc trunc, round_even round_ties_even, exp exp, exp2 exp2, expm1 exp_m1, log ln, log2 log2, log10 log10, log1p ln_1p,
 sin sin, cos cos, tan tan, asin asin, acos acos, atan atan, sinh sinh, cosh cosh, tanh tanh, asinh asinh, acosh acosh, atanh atanh);
#[inline(always)]
pub fn rsqrt<I: Isa>(x: T) -> T {
    1.0 / x.sqrt()
}
#[inline(always)]
pub fn copysign<I: Isa>(x: T, s: T) -> T {
    x.copysign(s)
}
#[inline(always)]
pub fn fma<I: Isa>(x: T, b: T, c: T) -> T {
    I::fma64(x, b, c)
}
#[inline(always)]
pub fn sign<I: Isa>(x: T) -> T {
    ((x > 0.0) as i32 - (x < 0.0) as i32) as T
}
#[inline(always)]
pub fn max_nan<I: Isa>(a: T, b: T) -> T {
    if a > b || a != a { a } else { b }
}
#[inline(always)]
pub fn min_nan<I: Isa>(a: T, b: T) -> T {
    if a < b || a != a { a } else { b }
}
#[inline(always)]
pub fn fmax<I: Isa>(a: T, b: T) -> T {
    if a > b || b != b { a } else { b }
}
#[inline(always)]
pub fn fmin<I: Isa>(a: T, b: T) -> T {
    if a < b || b != b { a } else { b }
}
#[inline(always)]
pub fn rem_trunc<I: Isa>(a: T, b: T) -> T {
    a % b
}
#[inline(always)]
pub fn rem_floor<I: Isa>(a: T, b: T) -> T {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}
#[inline(always)]
pub fn div_floor<I: Isa>(a: T, b: T) -> T {
    let m = a % b;
    let d = (a - m) / b;
    let d = if m != 0.0 && (b < 0.0) != (m < 0.0) { d - 1.0 } else { d };
    let f = d.floor();
    let f = if d - f > 0.5 { f + 1.0 } else { f };
    let f = if d != 0.0 { f } else { (0.0 as T).copysign(a / b) };
    if b == 0.0 { a / b } else { f }
}
#[inline(always)]
pub fn next_after<I: Isa>(a: T, b: T) -> T {
    if a != a || b != b {
        a + b
    } else if a == b {
        b
    } else if a < b {
        a.next_up()
    } else {
        a.next_down()
    }
}
#[inline(always)]
pub fn atan2<I: Isa>(y: T, x: T) -> T {
    y.atan2(x)
}
#[inline(always)]
pub fn pow<I: Isa>(x: T, y: T) -> T {
    x.powf(y)
}
#[inline(always)]
pub fn sigmoid<I: Isa>(x: T) -> T {
    1.0 / (1.0 + (-x).exp())
}
unsafe extern "C" {
    #[link_name = "erf"]
    fn c_erf(x: f64) -> f64;
    #[link_name = "erfc"]
    fn c_erfc(x: f64) -> f64;
}
#[inline(always)]
pub fn erf<I: Isa>(x: T) -> T {
    unsafe { c_erf(x) }
}
#[inline(always)]
pub fn erfc<I: Isa>(x: T) -> T {
    unsafe { c_erfc(x) }
}
