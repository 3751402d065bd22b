use super::f32 as v32;
use crate::isa::{Baseline, Isa};

unsafe extern "C" {
    safe fn erf(x: f64) -> f64;
    safe fn erfc(x: f64) -> f64;
    safe fn asinh(x: f64) -> f64;
    safe fn acosh(x: f64) -> f64;
    safe fn atanh(x: f64) -> f64;
}

/// Distance of `got` from the exact `want`, in units of f32's last place at `want`.
fn ulps32(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let rounded = want as f32;
    if got == rounded {
        let signs = got != 0.0 || got.is_sign_negative() == want.is_sign_negative();
        return if signs && got.is_infinite() {
            0.0
        } else if !signs {
            f64::INFINITY
        } else {
            (got as f64 - want).abs() / unit32(want)
        };
    }
    let got = if got.is_infinite() { 2f64.powi(128).copysign(got as f64) } else { got as f64 };
    (got - want).abs() / unit32(want)
}

fn unit32(x: f64) -> f64 {
    let e = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    2f64.powi(e.clamp(-126, 127) - 23)
}

type Case32 = (&'static str, fn(f32) -> f32, fn(f64) -> f64);

macro_rules! cases {
    ($v:ident, $i:ty, $($name:ident $reference:expr),* $(,)?) => {
        [$((stringify!($name), $v::$name::<$i> as fn(_) -> _, $reference as fn(f64) -> f64)),*]
    };
}

macro_rules! all_cases {
    ($v:ident, $i:ty) => {
        cases!($v, $i,
            exp f64::exp, exp2 f64::exp2, expm1 f64::exp_m1, log f64::ln, log2 f64::log2,
            log10 f64::log10, log1p f64::ln_1p, sin f64::sin, cos f64::cos, tan f64::tan,
            asin f64::asin, acos f64::acos, atan f64::atan, sinh f64::sinh, cosh f64::cosh,
            tanh f64::tanh, asinh |x| asinh(x), acosh |x| acosh(x), atanh |x| atanh(x),
                erf |x| erf(x),
            erfc |x| erfc(x), sigmoid |x| 1.0 / (1.0 + (-x).exp()), rsqrt |x| 1.0 / x.sqrt(),
            floor f64::floor, ceil f64::ceil, trunc f64::trunc,
            round_even f64::round_ties_even)
    };
}

fn check32<I: Isa>(step: usize) {
    let cases: [Case32; 27] = all_cases!(v32, I);
    let mut bad = String::new();
    for (name, f, reference) in cases {
        let (mut worst, mut at) = (0.0, 0f32);
        for bits in (0..=u32::MAX).step_by(step) {
            let x = f32::from_bits(bits);
            let e = ulps32(f(x), reference(x as f64));
            if e.is_nan() || e > worst {
                (worst, at) = (e, x);
            }
        }
        println!("{name:10} {worst:.3} at {at:e} ({:#x}) got {:e}", at.to_bits(), f(at));
        if worst.is_nan() || worst > v32::MAX_ULP {
            bad += name;
            bad += " ";
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

#[test]
fn f32_baseline() {
    check32::<Baseline>(9973);
}

#[test]
fn f32_fused() {
    check32::<crate::isa::Avx2>(9973);
}
