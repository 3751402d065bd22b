//! Singular values and vectors of a matrix: `A = U diag(S) Vᵀ`.
//!
//! One-sided Jacobi rotations (Golub & Van Loan, Matrix Computations, 4th edition, 8.6.3) of the
//! triangle that a QR factorisation with column pivoting leaves (5.4.2), which makes them converge
//! in few sweeps and small singular values accurate (Drmač & Veselić, SIAM J. Matrix Anal. 29,
//! 2008):
//!
//! ```text
//! A P = Q R               Householder reflections; A has at least as many rows as columns
//! Rᵀ J = W                rotations J until the columns of W are orthogonal
//! W = Y diag(S)           S: the norms of the columns
//! A = (Q J) diag(S) (P Y)ᵀ
//! ```

use crate::{dispatch, threads};
use std::sync::OnceLock;

/// Most rounds over all pairs of columns; five to ten are usual.
const MAX_SWEEPS: usize = 60;

/// Columns whose square is less, in a matrix of largest entry 1, count as zero: squares of smaller
/// ones lose digits to underflow.
const TINY: f64 = 1e-280;

/// Which singular vectors are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vectors {
    None,
    /// As many as there are singular values.
    Thin,
    /// A whole basis on both sides.
    Full,
}

impl Vectors {
    /// How many are wanted of a basis of `n` vectors, if there are `k` singular values.
    pub fn count(self, n: usize, k: usize) -> usize {
        match self {
            Vectors::None => 0,
            Vectors::Thin => k,
            Vectors::Full => n,
        }
    }
}

/// Why a matrix has no decomposition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Nan,
    NoConvergence,
}

/// The decomposition of a matrix; vectors lie one after the other.
#[derive(Clone, Debug, Default)]
pub struct Svd {
    pub u: Vec<f64>,
    /// The singular values, the largest first.
    pub s: Vec<f64>,
    pub v: Vec<f64>,
}

/// The decompositions of `count` matrices of `m` rows and `n` columns, row-major.
///
/// # Panics
/// If `a` is shorter than that.
pub fn svd(
    a: &[f64],
    count: usize,
    size: (usize, usize),
    vectors: Vectors,
) -> Vec<Result<Svd, Fault>> {
    let step = size.0 * size.1;
    let out: Vec<OnceLock<Result<Svd, Fault>>> = (0..count).map(|_| OnceLock::new()).collect();
    threads::parallel_for(count, &|i| {
        let _ = out[i].set(one(&a[i * step..(i + 1) * step], size, vectors));
    });
    out.into_iter().map(|r| r.into_inner().unwrap_or(Err(Fault::NoConvergence))).collect()
}

/// The decomposition of one matrix; NaN for one with infinities.
fn one(a: &[f64], (m, n): (usize, usize), vectors: Vectors) -> Result<Svd, Fault> {
    let k = m.min(n);
    let largest = a.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    if a.iter().any(|x| x.is_nan()) {
        return Err(Fault::Nan);
    }
    if largest.is_infinite() {
        let nan = |len: usize| vec![f64::NAN; len];
        let [u, v] = [m, n].map(|size| nan(size * vectors.count(size, k)));
        return Ok(Svd { u, s: nan(k), v });
    }
    // Squares of what lies in -1..=1 do not overflow. A power of two changes no digit.
    let (up, down) = scales(largest);
    let wide = m < n;
    let at = |i: usize, j: usize| if wide { a[j * n + i] } else { a[i * n + j] };
    let columns = Columns::from_fn(m.max(n), k, |i, j| at(i, j) * up.0 * up.1);
    let mut out = tall(columns, vectors)?;
    out.s.iter_mut().for_each(|s| *s = *s * down.0 * down.1);
    if wide {
        std::mem::swap(&mut out.u, &mut out.v);
    }
    Ok(out)
}

/// Powers of two that bring `largest` near 1 and back, in two factors as one may overflow.
fn scales(largest: f64) -> ((f64, f64), (f64, f64)) {
    let e = if largest == 0.0 { 0 } else { largest.log2().floor() as i32 };
    let halves = |e: i32| (2f64.powi(e / 2), 2f64.powi(e - e / 2));
    (halves(-e), halves(e))
}

/// A matrix whose columns lie one after the other.
struct Columns {
    rows: usize,
    data: Vec<f64>,
}

impl Columns {
    fn from_fn(rows: usize, columns: usize, f: impl Fn(usize, usize) -> f64) -> Columns {
        let data = (0..columns).flat_map(|j| (0..rows).map(move |i| (i, j)));
        Columns { rows, data: data.map(|(i, j)| f(i, j)).collect() }
    }

    fn identity(n: usize) -> Columns {
        Columns::from_fn(n, n, |i, j| (i == j) as u8 as f64)
    }

    fn col(&self, j: usize) -> &[f64] {
        &self.data[j * self.rows..][..self.rows]
    }

    fn col_mut(&mut self, j: usize) -> &mut [f64] {
        &mut self.data[j * self.rows..][..self.rows]
    }

    /// Columns `i` and `j > i`.
    fn pair(&mut self, i: usize, j: usize) -> (&mut [f64], &mut [f64]) {
        let (head, tail) = self.data.split_at_mut(j * self.rows);
        (&mut head[i * self.rows..][..self.rows], &mut tail[..self.rows])
    }

    fn swap(&mut self, i: usize, j: usize) {
        if i != j {
            let (x, y) = self.pair(i.min(j), i.max(j));
            x.swap_with_slice(y);
        }
    }
}

/// Numbers a loop adds up side by side.
const LANES: usize = 8;

/// `x·x`, `y·y` and `x·y`.
fn products(x: &[f64], y: &[f64]) -> [f64; 3] {
    dispatch!(I, (x: &[f64], y: &[f64]) -> [f64; 3] => {
        use crate::isa::Isa;
        let mut sums = [[0.0; LANES]; 3];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for l in 0..LANES {
                sums[0][l] = I::fma64(x[l], x[l], sums[0][l]);
                sums[1][l] = I::fma64(y[l], y[l], sums[1][l]);
                sums[2][l] = I::fma64(x[l], y[l], sums[2][l]);
            }
        }
        let mut out = sums.map(|s| s.iter().sum::<f64>());
        for (&x, &y) in x_rest.iter().zip(y_rest) {
            out = [I::fma64(x, x, out[0]), I::fma64(y, y, out[1]), I::fma64(x, y, out[2])];
        }
        out
    })
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    dispatch!(I, (x: &[f64], y: &[f64]) -> f64 => {
        use crate::isa::Isa;
        let mut sums = [0.0; LANES];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for l in 0..LANES {
                sums[l] = I::fma64(x[l], y[l], sums[l]);
            }
        }
        let rest = x_rest.iter().zip(y_rest);
        rest.fold(sums.iter().sum(), |sum, (&x, &y)| I::fma64(x, y, sum))
    })
}

/// `y += factor * x`.
fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    dispatch!(I, (y: &mut [f64], factor: f64, x: &[f64]) => {
        use crate::isa::Isa;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = I::fma64(factor, x, *y));
    })
}

/// `(x, y)` turned: `(c x - s y, s x + c y)`.
fn rotate((x, y): (&mut [f64], &mut [f64]), c: f64, s: f64) {
    dispatch!(I, (x: &mut [f64], y: &mut [f64], c: f64, s: f64) => {
        use crate::isa::Isa;
        for (x, y) in x.iter_mut().zip(y) {
            (*x, *y) = (I::fma64(c, *x, -(s * *y)), I::fma64(s, *x, c * *y));
        }
    })
}

/// `A P = Q R`, with the reflections `I - h hᵀ` whose product is Q below the triangle's diagonal.
struct Qr {
    /// Column k: above place k the triangle's column, from there on the vector h of reflection k.
    packed: Columns,
    diagonal: Vec<f64>,
    /// Column k of `A P` is this one of A.
    order: Vec<usize>,
}

impl Qr {
    fn of(mut a: Columns, n: usize) -> Qr {
        let mut order: Vec<usize> = (0..n).collect();
        let mut diagonal = vec![0.0; n];
        for k in 0..n {
            let rest = |j: usize| dot(&a.col(j)[k..], &a.col(j)[k..]);
            // The first of the longest.
            let longest = (k..n).map(|j| (j, rest(j))).reduce(|x, y| if y.1 > x.1 { y } else { x });
            let (pivot, _) = longest.unwrap_or((k, 0.0));
            a.swap(k, pivot);
            order.swap(k, pivot);
            diagonal[k] = reflection(&mut a.col_mut(k)[k..]);
            for j in k + 1..n {
                let (h, x) = a.pair(k, j);
                reflect(&h[k..], &mut x[k..]);
            }
        }
        Qr { packed: a, diagonal, order }
    }

    /// The transpose of R.
    fn transposed(&self) -> Columns {
        let n = self.diagonal.len();
        Columns::from_fn(n, n, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => self.diagonal[i],
            std::cmp::Ordering::Greater => self.packed.col(i)[j],
        })
    }

    /// `x` becomes `Q x`.
    fn apply(&self, x: &mut [f64]) {
        for k in (0..self.diagonal.len()).rev() {
            reflect(&self.packed.col(k)[k..], &mut x[k..]);
        }
    }
}

/// Makes of `x` the vector h whose reflection leaves only a first element, which it returns.
fn reflection(x: &mut [f64]) -> f64 {
    let square = dot(x, x);
    if square < TINY {
        x.fill(0.0);
        return 0.0;
    }
    let norm = square.sqrt();
    // Away from the first element: nothing cancels.
    let kept = if x[0] > 0.0 { -norm } else { norm };
    x[0] -= kept;
    let scale = std::f64::consts::SQRT_2 / dot(x, x).sqrt();
    x.iter_mut().for_each(|x| *x *= scale);
    kept
}

fn reflect(h: &[f64], x: &mut [f64]) {
    let along = dot(h, x);
    add_scaled(x, -along, h);
}

/// Turns pairs of the `n` columns of `w` until all are orthogonal; `turns` takes part.
fn orthogonalize(w: &mut Columns, n: usize, mut turns: Option<&mut Columns>) -> Result<(), Fault> {
    let tolerance = f64::EPSILON * (4.0 + (n as f64).sqrt());
    for _ in 0..MAX_SWEEPS {
        let mut done = true;
        for i in 0..n {
            for j in i + 1..n {
                let (x, y) = w.pair(i, j);
                let [xx, yy, xy] = products(x, y);
                if xx.min(yy) < TINY || xy.abs() <= tolerance * xx.sqrt() * yy.sqrt() {
                    continue;
                }
                // The smaller angle that makes them orthogonal.
                let cot = (yy - xx) / (2.0 * xy);
                let tan = cot.signum() / (cot.abs() + cot.hypot(1.0));
                let cos = 1.0 / tan.hypot(1.0);
                rotate((x, y), cos, cos * tan);
                if let Some(t) = &mut turns {
                    rotate(t.pair(i, j), cos, cos * tan);
                }
                done = false;
            }
        }
        if done {
            return Ok(());
        }
    }
    Err(Fault::NoConvergence)
}

/// The decomposition of a matrix with at least as many rows as columns.
fn tall(a: Columns, vectors: Vectors) -> Result<Svd, Fault> {
    let (m, n) = (a.rows, a.data.len().checked_div(a.rows).unwrap_or(0));
    let qr = Qr::of(a, n);
    let mut w = qr.transposed();
    let mut turns = (vectors != Vectors::None).then(|| Columns::identity(n));
    orthogonalize(&mut w, n, turns.as_mut())?;
    let square = |j: usize| Some(dot(w.col(j), w.col(j))).filter(|&xx| xx >= TINY);
    let norms: Vec<f64> = (0..n).map(|j| square(j).unwrap_or(0.0).sqrt()).collect();
    let mut rank: Vec<usize> = (0..n).collect();
    rank.sort_by(|&i, &j| norms[j].total_cmp(&norms[i]));
    let s: Vec<f64> = rank.iter().map(|&j| norms[j]).collect();
    let Some(turns) = turns else { return Ok(Svd { s, ..Svd::default() }) };

    let mut u = Columns::from_fn(m, vectors.count(m, n), |i, j| match rank.get(j) {
        Some(&from) if i < n => turns.col(from)[i],
        _ => (i == j) as u8 as f64,
    });
    (0..vectors.count(m, n)).for_each(|j| qr.apply(u.col_mut(j)));

    let mut y =
        Columns::from_fn(n, n, |i, j| if s[j] > 0.0 { w.col(rank[j])[i] / s[j] } else { 0.0 });
    complete(&mut y, s.partition_point(|&s| s > 0.0));
    let mut v = Columns::from_fn(n, n, |_, _| 0.0);
    for j in 0..n {
        for (i, &to) in qr.order.iter().enumerate() {
            v.col_mut(j)[to] = y.col(j)[i];
        }
    }
    Ok(Svd { u: u.data, s, v: v.data })
}

/// Makes the columns of a square matrix from number `known` on complete an orthonormal basis.
fn complete(y: &mut Columns, known: usize) {
    let n = y.rows;
    let mut unit = 0;
    for j in known..n {
        // What the columns so far leave of the unit vectors has squares that add up to n - j, so
        // one of them is long enough. One that is not never will be.
        while unit < n {
            let mut x = vec![0.0; n];
            x[unit] = 1.0;
            unit += 1;
            // Twice, as the first time leaves errors of rounding where little is left.
            for i in (0..j).chain(0..j) {
                let along = dot(y.col(i), &x);
                add_scaled(&mut x, -along, y.col(i));
            }
            let square = dot(&x, &x);
            if square * 2.0 * n as f64 > 1.0 {
                let scale = 1.0 / square.sqrt();
                y.col_mut(j).iter_mut().zip(&x).for_each(|(y, x)| *y = x * scale);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
