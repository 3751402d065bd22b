use super::*;
use crate::dtype::{Bool, DType};
use crate::isa::{Level, level};

const ADD: Kernels = kernel!(
    float |a, b| a + b;
    int |a, b| a.wrapping_add(b);
    bool |a, b| a | b
);
const HALF_TANH: Kernels = kernel!(float | x | T::lit(0.5) * x.tanh());
const FMA: Kernels = kernel!(float | a, b, c | a.fma(b, c));
const LT: Kernels = kernel!(compare | a, b | a < b);
const EQ: Kernels = kernel!(equate | a, b | a == b);
const IS_NAN: Kernels = kernel!(test | x | x.is_nan());

/// Every level this machine has.
fn levels() -> impl Iterator<Item = Level> {
    [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= level())
}

/// Runs `k` over slices.
fn apply<A: Copy, B: Copy, Y: Copy + Default>(k: Kernel, a: &[A], b: &[B], c: &[B]) -> Vec<Y> {
    let n = a.len();
    let mut y = vec![Y::default(); n];
    assert!((b.is_empty() || b.len() == n) && (c.is_empty() || c.len() == n));
    let src = [a.as_ptr().cast(), b.as_ptr().cast(), c.as_ptr().cast()];
    // SAFETY: all slices hold `n` elements, or are not read.
    unsafe { k(y.as_mut_ptr().cast(), &src, n) };
    y
}

#[test]
fn clauses_fill_their_dtypes() {
    for d in DType::ALL {
        let int = d.is_int() && !matches!(d, DType::U16 | DType::U32 | DType::U64);
        let float = matches!(d, DType::F32 | DType::F64);
        assert_eq!(ADD.get(d).is_some(), int || float || d == DType::Bool, "{d:?}");
        assert_eq!(HALF_TANH.get(d).is_some(), float);
        assert_eq!(LT.get(d).is_some(), !d.is_complex());
        assert_eq!(IS_NAN.get(d).is_some(), float);
        assert!(EQ.get(d).is_some() && SELECT.get(d).is_some());
    }
    assert_eq!([HALF_TANH.arity(), ADD.arity(), FMA.arity(), SELECT.arity()], [1, 2, 3, 3]);
}

#[test]
fn small_blocks() {
    for l in levels() {
        let k = |ks: Kernels, d| ks.get_at(l, d).unwrap();
        let a = [1.0f32, -2.0, f32::NAN, 4.0, 5.0];
        let b = [3.0f32; 5];
        let lt: Vec<Bool> = apply(k(LT, DType::F32), &a, &b, &[]);
        assert!(lt == [true, true, false, false, false].map(Bool::from));
        let nan: Vec<Bool> = apply(k(IS_NAN, DType::F32), &a, &[0f32; 0], &[]);
        assert!(nan == [false, false, true, false, false].map(Bool::from));
        let y: Vec<f32> = apply(k(FMA, DType::F32), &b, &b, &b);
        assert_eq!(y, [12.0; 5]);
        let picked: Vec<f32> = apply(k(SELECT, DType::F32), &lt, &b, &[9.0; 5]);
        assert_eq!(picked, [3.0, 3.0, 9.0, 9.0, 9.0]);
        let y: Vec<Bool> = apply(k(ADD, DType::Bool), &[Bool(2), Bool(0)], &[Bool(0); 2], &[]);
        assert_eq!(y.iter().map(|b| b.0).collect::<Vec<_>>(), [1, 0]);
    }
}
