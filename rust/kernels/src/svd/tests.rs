//! `U diag(S) Vᵀ` is the matrix, U and V are orthogonal, S is in order: for random matrices and
//! awkward ones.

use super::*;

/// Numbers in -1..1, the same in each run.
fn noise(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn decompose(a: &[f64], size: (usize, usize), vectors: Vectors) -> Svd {
    svd(a, 1, size, vectors).pop().unwrap().unwrap()
}

/// The largest entry of `Xᵀ X - I`, for vectors of length `n`.
fn skewness(x: &[f64], n: usize) -> f64 {
    let columns = Columns { rows: n, data: x.to_vec() };
    let count = x.len().checked_div(n).unwrap_or(0);
    let pairs = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
    let off = |(i, j)| dot(columns.col(i), columns.col(j)) - (i == j) as u8 as f64;
    pairs.map(|p| off(p).abs()).fold(0.0, f64::max)
}

fn check(a: &[f64], (m, n): (usize, usize)) {
    let (k, largest) = (m.min(n), a.iter().fold(0.0, |x: f64, y| x.max(y.abs())));
    let values = decompose(a, (m, n), Vectors::None);
    assert!(values.u.is_empty() && values.v.is_empty());
    for vectors in [Vectors::Thin, Vectors::Full] {
        let d = decompose(a, (m, n), vectors);
        assert_eq!(d.u.len(), m * vectors.count(m, k));
        assert_eq!(d.v.len(), n * vectors.count(n, k));
        assert_eq!(d.s, values.s);
        assert!(d.s.iter().all(|&s| s >= 0.0) && d.s.windows(2).all(|s| s[0] >= s[1]));
        assert!(skewness(&d.u, m) < 1e-13 && skewness(&d.v, n) < 1e-13, "{m} x {n}: {a:?}");
        for i in 0..m {
            for j in 0..n {
                let terms = (0..k).map(|l| d.u[l * m + i] * d.s[l] * d.v[l * n + j]);
                let error = (terms.sum::<f64>() - a[i * n + j]).abs();
                assert!(error <= 1e-13 * largest, "{m} x {n} at {i}, {j}: {error:e}");
            }
        }
    }
}

const SIZES: [(usize, usize); 10] =
    [(1, 1), (1, 5), (5, 1), (2, 2), (3, 7), (7, 3), (6, 6), (20, 20), (40, 9), (9, 40)];

#[test]
fn random_matrices() {
    for (seed, &(m, n)) in SIZES.iter().enumerate() {
        check(&noise(seed as u64 + 1, m * n), (m, n));
    }
}

#[test]
fn without_elements() {
    for size in [(0, 0), (0, 3), (3, 0)] {
        check(&[], size);
        let d = decompose(&[], size, Vectors::Full);
        assert_eq!(d.u, Columns::identity(size.0).data);
        assert_eq!(d.v, Columns::identity(size.1).data);
    }
}

#[test]
fn of_low_rank() {
    for &(m, n) in &SIZES {
        check(&vec![0.0; m * n], (m, n));
        check(&vec![1.0; m * n], (m, n));
        let (x, y) = (noise(3, m), noise(4, n));
        let outer: Vec<f64> = x.iter().flat_map(|x| y.iter().map(move |y| x * y)).collect();
        check(&outer, (m, n));
        let singular = decompose(&outer, (m, n), Vectors::None).s;
        assert!(singular[1..].iter().all(|&s| s <= 1e-14 * singular[0]));
    }
}

#[test]
fn of_equal_singular_values() {
    let n = 6;
    let reversed: Vec<f64> =
        (0..n * n).map(|p| if p / n + p % n == n - 1 { -3.0 } else { 0.0 }).collect();
    check(&reversed, (n, n));
    assert_eq!(decompose(&reversed, (n, n), Vectors::None).s, vec![3.0; n]);
}

#[test]
fn of_any_size_of_numbers() {
    for scale in [1e-310, 1e-200, 1e200, 1.7e307] {
        let a: Vec<f64> = noise(5, 12).iter().map(|x| x * scale).collect();
        let s = decompose(&a, (4, 3), Vectors::Thin).s;
        let plain = decompose(&noise(5, 12), (4, 3), Vectors::None).s;
        for (s, plain) in s.iter().zip(plain) {
            assert!((s / scale - plain).abs() < 1e-12, "{scale:e}: {s:e}");
        }
    }
}

/// The Hilbert matrix's smallest singular value is known to few digits only from methods that are
/// not accurate relative to each.
#[test]
fn small_singular_values() {
    let n = 5;
    let hilbert: Vec<f64> = (0..n * n).map(|p| 1.0 / (p / n + p % n + 1) as f64).collect();
    check(&hilbert, (n, n));
    let s = decompose(&hilbert, (n, n), Vectors::None).s;
    assert!((s[0] - 1.567_050_691_098_23).abs() < 1e-13);
    assert!((s[4] - 3.287_928_772_171_8e-6).abs() < 1e-15);
    // A graded diagonal keeps its digits.
    let graded = [1.0, 0.0, 0.0, 0.0, 1e-20, 0.0, 0.0, 0.0, 1e-40];
    assert_eq!(decompose(&graded, (3, 3), Vectors::None).s, [1.0, 1e-20, 1e-40]);
}

#[test]
fn not_numbers() {
    let mut a = noise(6, 6);
    a[3] = f64::INFINITY;
    assert!(decompose(&a, (2, 3), Vectors::Full).s.iter().all(|s| s.is_nan()));
    a[2] = f64::NAN;
    let both = [noise(7, 6), a].concat();
    let found = svd(&both, 2, (2, 3), Vectors::Thin);
    assert!(found[0].is_ok());
    assert_eq!(found[1].clone().err(), Some(Fault::Nan));
}

#[test]
fn many_at_once() {
    let a = noise(8, 50 * 12);
    for (i, d) in svd(&a, 50, (3, 4), Vectors::Thin).into_iter().enumerate() {
        let alone = decompose(&a[i * 12..][..12], (3, 4), Vectors::Thin);
        let d = d.unwrap();
        assert_eq!((d.u, d.s, d.v), (alone.u, alone.s, alone.v));
    }
}
