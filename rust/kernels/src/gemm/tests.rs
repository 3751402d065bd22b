//! Against a plain loop in double precision (integers: in wrapping 64-bit), at every level.

use super::*;
use crate::threads;
use proptest::prelude::*;

/// A matrix in a buffer with room round it, so that writes outside show.
#[derive(Clone, Debug)]
struct Buffer<T> {
    data: Vec<T>,
    origin: usize,
    strides: [isize; 3],
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    /// Gaps between elements, rows and matrices.
    Spread,
    Backward,
    /// Stride 0: one row, one column or one matrix for all.
    Broadcast([bool; 3]),
}

impl<T: GemmElement> Buffer<T> {
    fn new(sizes: [usize; 3], layout: Layout, mut value: impl FnMut() -> T) -> Self {
        let [_, rows, cols] = sizes.map(|s| s as isize);
        let mut strides = match layout {
            Layout::Columns => [rows * cols, 1, rows],
            Layout::Spread => [rows * (2 * cols + 3) + 5, 2 * cols + 3, 2],
            Layout::Rows | Layout::Backward | Layout::Broadcast(_) => [rows * cols, cols, 1],
        };
        let mut origin = 8;
        for (d, stride) in strides.iter_mut().enumerate() {
            match layout {
                Layout::Backward => {
                    origin += sizes[d].saturating_sub(1) * *stride as usize;
                    *stride = -*stride;
                }
                Layout::Broadcast(zero) if zero[d] => *stride = 0,
                _ => {}
            }
        }
        let span: isize = (0..3).map(|d| sizes[d] as isize * strides[d].abs()).sum();
        let len = span as usize + origin + 8;
        Buffer { data: (0..len).map(|_| value()).collect(), origin, strides }
    }

    fn offset(&self, index: [usize; 3]) -> usize {
        let at: isize = (0..3).map(|d| index[d] as isize * self.strides[d]).sum();
        (self.origin as isize + at) as usize
    }

    fn get(&self, e: usize, i: usize, j: usize) -> T {
        self.data[self.offset([e, i, j])]
    }
}

#[derive(Clone, Debug)]
struct Case {
    sizes: [usize; 4],
    layouts: [Layout; 3],
    alpha: i8,
    beta: i8,
    threads: usize,
    seed: u64,
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![
        4 => Just(Layout::Rows),
        4 => Just(Layout::Columns),
        1 => Just(Layout::Spread),
        1 => Just(Layout::Backward),
        2 => any::<[bool; 3]>().prop_map(Layout::Broadcast),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![1 => 0..4usize, 1 => 0..20usize, 2 => 0..70usize];
    let batch = prop_oneof![3 => Just(1usize), 1 => 0..8usize];
    let deep = prop_oneof![6 => size(), 1 => 300..700usize];
    // A written matrix has no broadcast strides.
    let written = prop_oneof![
        3 => Just(Layout::Rows),
        2 => Just(Layout::Columns),
        1 => Just(Layout::Spread),
        1 => Just(Layout::Backward),
    ];
    let scales = prop_oneof![Just(0i8), Just(1), Just(-1), Just(3)];
    (
        (batch, size(), size(), deep),
        layouts(),
        layouts(),
        written,
        scales.clone(),
        scales,
        1..4usize,
    )
        .prop_flat_map(|((e, m, n, k), a, b, c, alpha, beta, threads)| {
            any::<u64>().prop_map(move |seed| Case {
                sizes: [e, m, n, k],
                layouts: [a, b, c],
                alpha,
                beta,
                threads,
                seed,
            })
        })
}

/// A small generator of test values, so that a failing case shrinks by its shape.
fn values(seed: u64) -> impl FnMut() -> i64 {
    let mut state = seed | 1;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as i64 % 2001 - 1000
    }
}

fn levels() -> impl Iterator<Item = Level> {
    let all = [Level::Baseline, Level::Avx2, Level::Avx512];
    all.into_iter().filter(|&level| level <= isa::level())
}

/// Runs a case at every level, on elements `of` random numbers and `whole` factors; `check(got, e, i, j, before)` judges each element of C.
fn run_case<T: GemmElement>(
    case: &Case,
    of: impl Fn(i64) -> T,
    whole: impl Fn(i64) -> T,
    check: impl Fn(&Buffer<T>, &Buffer<T>, T, [usize; 3], T) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let [e, m, n, k] = case.sizes;
    let mut next = values(case.seed);
    let a = Buffer::new([e, m, k], case.layouts[0], || of(next()));
    let b = Buffer::new([e, k, n], case.layouts[1], || of(next()));
    let before = Buffer::new([e, m, n], case.layouts[2], || of(next()));
    threads::set_num_threads(case.threads);
    for level in levels() {
        let mut c = before.clone();
        // SAFETY: the buffers hold the matrices, and C has distinct elements.
        unsafe {
            let a = (a.data.as_ptr().add(a.origin), a.strides);
            let b = (b.data.as_ptr().add(b.origin), b.strides);
            let out = (c.data.as_mut_ptr().add(c.origin), c.strides);
            let (alpha, beta) = (whole(case.alpha.into()), whole(case.beta.into()));
            run(level, case.sizes, alpha, a, b, beta, out);
        }
        let mut outside = vec![true; c.data.len()];
        for (e, i, j) in (0..e * m * n).map(|x| (x / (m * n), x / n % m, x % n)) {
            outside[c.offset([e, i, j])] = false;
            check(&a, &b, c.get(e, i, j), [e, i, j], before.get(e, i, j))
                .map_err(|e| TestCaseError::fail(format!("{level:?} {i} {j}: {e}")))?;
        }
        for (x, _) in outside.iter().enumerate().filter(|(_, outside)| **outside) {
            prop_assert!(c.data[x] == before.data[x], "wrote outside C at {x}, {level:?}");
        }
    }
    Ok(())
}

/// Floats: within the bound of any order of summation of k products, each rounded.
fn float_case<T: GemmElement + Into<f64>>(
    case: &Case,
    epsilon: f64,
    of: impl Fn(i64) -> T,
    whole: impl Fn(i64) -> T,
) -> Result<(), TestCaseError> {
    let k = case.sizes[3];
    let (alpha, beta) = (f64::from(case.alpha), f64::from(case.beta));
    run_case(case, of, whole, |a, b, got, [e, i, j], before| {
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for p in 0..k {
            let product = a.get(e, i, p).into() * b.get(e, p, j).into();
            sum += product;
            magnitude += f64::abs(product);
        }
        let want = alpha * sum + beta * before.into();
        let scale = magnitude * alpha.abs() + (beta * before.into()).abs();
        let error = (got.into() - want).abs();
        let bound = (k as f64).sqrt().mul_add(2.0, 4.0) * epsilon * scale;
        prop_assert!(error <= bound, "got {} want {want}", got.into());
        Ok(())
    })
}

macro_rules! int_case {
    ($case:expr, $t:ty) => {
        run_case(
            $case,
            |x| x as $t,
            |x| x as $t,
            |a, b, got, [e, i, j], before| {
                let sum = (0..$case.sizes[3])
                    .map(|p| (a.get(e, i, p) as i64).wrapping_mul(b.get(e, p, j) as i64))
                    .fold(0, i64::wrapping_add);
                let want = ($case.alpha as $t as i64)
                    .wrapping_mul(sum)
                    .wrapping_add(($case.beta as $t as i64).wrapping_mul(before as i64));
                prop_assert_eq!(got, want as $t);
                Ok(())
            },
        )?
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn floats_agree_with_the_plain_loop(case in cases()) {
        float_case(&case, f64::from(f32::EPSILON), |x| x as f32 / 3.0, |x| x as f32)?;
        float_case(&case, f64::EPSILON, |x| x as f64 / 3.0, |x| x as f64)?;
    }

    #[test]
    fn integers_agree_with_the_plain_loop(case in cases()) {
        int_case!(&case, i32);
        int_case!(&case, i64);
        if case.seed % 3 == 0 {
            int_case!(&case, i8);
            int_case!(&case, u8);
            int_case!(&case, i16);
        }
    }
}

/// A dense f32 product of the public function.
fn product(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], beta: f32, c: &mut [f32]) {
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() >= m * n);
    let [n_, k_] = [n as isize, k as isize];
    // SAFETY: the lengths were checked.
    unsafe { gemm(m, n, k, 1.0, a.as_ptr(), k_, 1, b.as_ptr(), n_, 1, beta, c.as_mut_ptr(), n_, 1) }
}

#[test]
fn beta_zero_does_not_read_c() {
    for (m, n, k) in [(1, 1, 3), (5, 1, 9), (1, 70, 9), (50, 50, 20), (200, 200, 400), (3, 3, 0)] {
        let mut c = vec![f32::NAN; m * n];
        product(m, n, k, &vec![1.0; m * k], &vec![2.0; k * n], 0.0, &mut c);
        assert!(c.iter().all(|&x| x == 2.0 * k as f32), "{m} {n} {k}");
    }
}

#[test]
fn nan_and_infinity_pass_through() {
    let (m, n, k) = (20, 70, 33);
    let mut a = vec![1.0; m * k];
    a[3 * k + 7] = f32::NAN;
    a[5 * k + 9] = f32::INFINITY;
    let mut c = vec![0.0; m * n];
    product(m, n, k, &a, &vec![1.0; k * n], 0.0, &mut c);
    assert!(c[3 * n..4 * n].iter().all(|x| x.is_nan()));
    assert!(c[5 * n..6 * n].iter().all(|&x| x == f32::INFINITY));
    assert!(c[6 * n..].iter().all(|&x| x == k as f32));
}

#[test]
fn results_do_not_depend_on_threads() {
    let mut next = values(7);
    let sizes = [(300, 290, 410), (64, 1000, 50), (1000, 9, 500), (1, 5000, 300), (5000, 1, 300)];
    for (m, n, k) in sizes {
        let a: Vec<f32> = (0..m * k).map(|_| next() as f32).collect();
        let b: Vec<f32> = (0..k * n).map(|_| next() as f32).collect();
        let results = [1, 2, 3, 8].map(|threads| {
            threads::set_num_threads(threads);
            let mut c = vec![0.0; m * n];
            product(m, n, k, &a, &b, 0.0, &mut c);
            c
        });
        assert!(results.iter().all(|c| *c == results[0]), "{m} {n} {k}");
    }
}

#[test]
fn dot_products() {
    for n in [0, 1, 7, 64, 1000, 200_001] {
        for (sa, sb) in [(1, 1), (2, 1), (0, 1), (-1, 3)] {
            let mut next = values(n as u64);
            let mut buffer = |s: isize| -> (Vec<f64>, usize) {
                let len = n * s.unsigned_abs() + 1;
                let values = (0..len).map(|_| next() as f64).collect();
                (values, if s < 0 { len - 1 } else { 0 })
            };
            let ((a, a0), (b, b0)) = (buffer(sa), buffer(sb));
            let at =
                |v: &[f64], o: usize, i: usize, s: isize| v[(o as isize + i as isize * s) as usize];
            // Integers below 2^53: exact in any order.
            let want: f64 = (0..n).map(|i| at(&a, a0, i, sa) * at(&b, b0, i, sb)).sum();
            // SAFETY: the vectors lie inside the buffers.
            let got = unsafe { dot(n, a.as_ptr().add(a0), sa, b.as_ptr().add(b0), sb) };
            assert_eq!(got, want, "{n} {sa} {sb}");
            let want = want as i64;
            let [ai, bi] = [&a, &b].map(|v| v.iter().map(|&x| x as i64).collect::<Vec<_>>());
            // SAFETY: as above.
            let got = unsafe { dot(n, ai.as_ptr().add(a0), sa, bi.as_ptr().add(b0), sb) };
            assert_eq!(got, want, "{n} {sa} {sb}");
        }
    }
}
