//! Softmax and its logarithm over one dimension, and the gradients of both.
//!
//! Memory is row-major `[outer, n, inner]`; the middle is normalised. Each result depends on its own
//! row alone, summed in a fixed order, so neither threads nor the instruction set change it further
//! than `exp` does.
//!
//! ```text
//! forward:    m = max x;  s = sum exp(x - m);  y = exp(x - m) / s,  or  y = x - m - log s
//! backward:   s = sum g y;  out = (g - s) y,   or   s = sum g;  out = g - s exp(y)
//! ```

use crate::DType;
use crate::isa::Isa;
use crate::lane::Real;
use crate::threads;

/// Which of the two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Softmax,
    LogSoftmax,
}

/// Sizes of row-major memory; `n` is the normalised dimension.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

/// Elements of a row treated at once: two vectors of f32 with AVX-512, so that latencies overlap.
const LANES: usize = 32;
/// Columns treated together where the normalised dimension is not the last: a few cache lines.
const STRIP: usize = 64;
/// Elements worth another thread: `exp` of so many takes some 10 us.
const PARALLEL_MIN: usize = 32_768;

/// Normalises `src` into `dst`, float32 or float64. A row with a NaN, with +inf, or of -inf alone
/// becomes NaN.
///
/// # Panics
/// For any other dtype.
///
/// # Safety
/// Both hold `outer * n * inner` elements, aligned, and do not overlap.
pub unsafe fn forward(kind: Kind, dtype: DType, dims: Dims, src: *const u8, dst: *mut u8) {
    // SAFETY: handed on; the second source is not read.
    unsafe { run(Job { kind, backward: false, dims, x: src, y: src, out: dst }, dtype) }
}

/// The gradient of the input, from that of the result and the result itself.
///
/// # Panics
/// For a dtype other than float32 and float64.
///
/// # Safety
/// As [`forward`], for all three.
pub unsafe fn backward(
    kind: Kind,
    dtype: DType,
    dims: Dims,
    grad: *const u8,
    result: *const u8,
    dst: *mut u8,
) {
    // SAFETY: handed on.
    unsafe { run(Job { kind, backward: true, dims, x: grad, y: result, out: dst }, dtype) }
}

/// What is to be done. Backward, `x` is the gradient and `y` the result.
#[derive(Clone, Copy)]
struct Job {
    kind: Kind,
    backward: bool,
    dims: Dims,
    x: *const u8,
    y: *const u8,
    out: *mut u8,
}

// SAFETY: threads read the sources and write disjoint rows.
unsafe impl Sync for Job {}

unsafe fn run(job: Job, dtype: DType) {
    let Dims { outer, n, inner } = job.dims;
    let units = outer * inner.div_ceil(if inner == 1 { 1 } else { STRIP });
    let total = outer * n * inner;
    if total == 0 {
        return;
    }
    let parts = if total < PARALLEL_MIN { 1 } else { units.min(4 * threads::num_threads()) };
    threads::parallel_for(parts, &|i| {
        let (job, from, to) = (&job, i * units / parts, (i + 1) * units / parts);
        match dtype {
            DType::F32 => crate::dispatch!(I, (job: &Job, from: usize, to: usize) => {
                // SAFETY: the caller's promise; T is the type of the dtype.
                unsafe { job.units::<I, f32>(from, to) }
            }),
            DType::F64 => crate::dispatch!(I, (job: &Job, from: usize, to: usize) => {
                // SAFETY: as above.
                unsafe { job.units::<I, f64>(from, to) }
            }),
            _ => panic!("no softmax of {}", dtype.name()),
        }
    });
}

impl Job {
    /// Treats the rows, or strips of columns, `from..to`.
    #[inline(always)]
    unsafe fn units<I: Isa, T: Real<I>>(&self, from: usize, to: usize) {
        let Dims { n, inner, .. } = self.dims;
        let strips = inner.div_ceil(STRIP);
        for u in from..to {
            let column = if inner == 1 { 0 } else { u % strips * STRIP };
            let at = if inner == 1 { u * n } else { u / strips * n * inner + column };
            let width = STRIP.min(inner - column);
            // SAFETY: unit u lies inside the memory.
            unsafe {
                let (x, y) = (self.x.cast::<T>().add(at), self.y.cast::<T>().add(at));
                let out = self.out.cast::<T>().add(at);
                let row = |p| std::slice::from_raw_parts(p, n);
                let out_row = |p| std::slice::from_raw_parts_mut(p, n);
                match (inner, self.backward) {
                    (1, false) => row_forward::<I, T>(self.kind, row(x), out_row(out)),
                    (1, true) => row_backward::<I, T>(self.kind, row(x), row(y), out_row(out)),
                    (_, false) => columns_forward::<I, T>(self.kind, n, inner, width, x, out),
                    (_, true) => columns_backward::<I, T>(self.kind, n, inner, width, x, y, out),
                }
            }
        }
    }
}

/// Calls `f` with the elements in blocks of `LANES`, the last one filled up with `fill`.
#[inline(always)]
fn blocks<T: Copy>(x: &[T], fill: T, mut f: impl FnMut(&[T; LANES])) {
    let (blocks, rest) = x.as_chunks();
    blocks.iter().for_each(&mut f);
    if !rest.is_empty() {
        let mut last = [fill; LANES];
        last[..rest.len()].copy_from_slice(rest);
        f(&last);
    }
}

/// As [`blocks`], for two rows of one length.
#[inline(always)]
fn pairs<T: Copy>(x: &[T], y: &[T], fill: T, mut f: impl FnMut(&[T; LANES], &[T; LANES])) {
    let ((a, x_rest), (b, y_rest)) = (x.as_chunks(), y.as_chunks());
    a.iter().zip(b).for_each(|(a, b)| f(a, b));
    if !x_rest.is_empty() {
        let (mut a, mut b) = ([fill; LANES], [fill; LANES]);
        a[..x_rest.len()].copy_from_slice(x_rest);
        b[..y_rest.len()].copy_from_slice(y_rest);
        f(&a, &b);
    }
}

/// Writes `f` of each block, as [`blocks`] cuts `x`, to `out`.
#[inline(always)]
fn map<T: Copy>(x: &[T], fill: T, out: &mut [T], mut f: impl FnMut(&[T; LANES], &mut [T; LANES])) {
    let ((a, x_rest), (b, out_rest)) = (x.as_chunks(), out.as_chunks_mut());
    a.iter().zip(b).for_each(|(a, b)| f(a, b));
    if !x_rest.is_empty() {
        let (mut a, mut b) = ([fill; LANES], [fill; LANES]);
        a[..x_rest.len()].copy_from_slice(x_rest);
        f(&a, &mut b);
        out_rest.copy_from_slice(&b[..x_rest.len()]);
    }
}

/// Joins the lanes pairwise.
#[inline(always)]
fn fold<T: Copy>(lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let a: [T; 16] = std::array::from_fn(|j| join(lanes[j], lanes[j + 16]));
    let a: [T; 8] = std::array::from_fn(|j| join(a[j], a[j + 8]));
    let b: [T; 4] = std::array::from_fn(|j| join(a[j], a[j + 4]));
    join(join(b[0], b[2]), join(b[1], b[3]))
}

/// The larger; a NaN is passed over here and comes back through `exp`.
#[inline(always)]
fn larger<T: PartialOrd>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// `exp(x)` for x up to 0. Where it vanishes it is not computed: numbers too small to be normal take
/// most machines a hundred times as long, and masked elements (-inf) are common.
#[inline(always)]
fn weight<I: Isa, T: Real<I>>(x: T) -> T {
    let vanishes = x < T::lit(if size_of::<T>() == 4 { -104.0 } else { -746.0 });
    let e = T::select(vanishes, T::lit(0.0), x).exp();
    T::select(vanishes, T::lit(0.0), e)
}

#[inline(always)]
fn row_forward<I: Isa, T: Real<I>>(kind: Kind, x: &[T], out: &mut [T]) {
    let lowest = T::lit(f64::NEG_INFINITY);
    let mut max = [lowest; LANES];
    blocks(x, lowest, |x| {
        for j in 0..LANES {
            max[j] = larger(max[j], x[j]);
        }
    });
    let max = fold(max, larger);
    // What fills up has the weight 0; where max is infinite the sum is NaN anyway.
    let mut sum = [T::lit(0.0); LANES];
    if kind == Kind::Softmax {
        map(x, lowest, out, |x, out| {
            for j in 0..LANES {
                out[j] = weight(x[j] - max);
                sum[j] = sum[j] + out[j];
            }
        });
        // One division: the sum is at least 1, so its inverse loses no more than a rounding.
        let scale = T::lit(1.0) / fold(sum, |a, b| a + b);
        out.iter_mut().for_each(|y| *y = *y * scale);
    } else {
        blocks(x, lowest, |x| {
            for j in 0..LANES {
                sum[j] = sum[j] + weight(x[j] - max);
            }
        });
        let log = fold(sum, |a, b| a + b).log();
        out.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - max) - log);
    }
}

#[inline(always)]
fn row_backward<I: Isa, T: Real<I>>(kind: Kind, g: &[T], y: &[T], out: &mut [T]) {
    let zero = T::lit(0.0);
    let mut sum = [zero; LANES];
    if kind == Kind::Softmax {
        pairs(g, y, zero, |g, y| {
            for j in 0..LANES {
                sum[j] = sum[j] + g[j] * y[j];
            }
        });
        let sum = fold(sum, |a, b| a + b);
        for ((out, &g), &y) in out.iter_mut().zip(g).zip(y) {
            *out = grad::<I, T>(kind, g, y, sum);
        }
    } else {
        blocks(g, zero, |g| {
            for j in 0..LANES {
                sum[j] = sum[j] + g[j];
            }
        });
        let sum = fold(sum, |a, b| a + b);
        // `exp` of the last few elements is as fast as that of a block.
        map(y, zero, out, |y, out| {
            for j in 0..LANES {
                out[j] = y[j].exp() * sum;
            }
        });
        out.iter_mut().zip(g).for_each(|(out, &g)| *out = g - *out);
    }
}

/// One element of the gradient.
#[inline(always)]
fn grad<I: Isa, T: Real<I>>(kind: Kind, g: T, y: T, sum: T) -> T {
    if kind == Kind::Softmax { (g - sum) * y } else { g - y.exp() * sum }
}

/// As [`row_forward`], for `width` neighbouring columns of rows `step` apart.
#[inline(always)]
unsafe fn columns_forward<I: Isa, T: Real<I>>(
    kind: Kind,
    n: usize,
    step: usize,
    width: usize,
    x: *const T,
    out: *mut T,
) {
    let mut max = [T::lit(f64::NEG_INFINITY); STRIP];
    let mut sum = [T::lit(0.0); STRIP];
    // SAFETY: x and out have n rows, `step` apart, of `width` elements or more.
    unsafe {
        for i in 0..n {
            let x = x.add(i * step);
            for j in 0..width {
                max[j] = larger(max[j], *x.add(j));
            }
        }
        for i in 0..n {
            let (x, out) = (x.add(i * step), out.add(i * step));
            for j in 0..width {
                let e = weight(*x.add(j) - max[j]);
                sum[j] = sum[j] + e;
                *out.add(j) = e;
            }
        }
        if kind == Kind::LogSoftmax {
            sum[..width].iter_mut().for_each(|s| *s = s.log());
        }
        for i in 0..n {
            let (x, out) = (x.add(i * step), out.add(i * step));
            for j in 0..width {
                *out.add(j) = match kind {
                    Kind::Softmax => *out.add(j) / sum[j],
                    Kind::LogSoftmax => (*x.add(j) - max[j]) - sum[j],
                };
            }
        }
    }
}

/// As [`row_backward`], for columns.
#[inline(always)]
unsafe fn columns_backward<I: Isa, T: Real<I>>(
    kind: Kind,
    n: usize,
    step: usize,
    width: usize,
    g: *const T,
    y: *const T,
    out: *mut T,
) {
    let mut sum = [T::lit(0.0); STRIP];
    // SAFETY: all three have n rows, `step` apart, of `width` elements or more.
    unsafe {
        for i in 0..n {
            let (g, y) = (g.add(i * step), y.add(i * step));
            for j in 0..width {
                let term = *g.add(j);
                let term = if kind == Kind::Softmax { term * *y.add(j) } else { term };
                sum[j] = sum[j] + term;
            }
        }
        for i in 0..n {
            let (g, y, out) = (g.add(i * step), y.add(i * step), out.add(i * step));
            for j in 0..width {
                *out.add(j) = grad::<I, T>(kind, *g.add(j), *y.add(j), sum[j]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Forward by the definition.
    fn reference(kind: Kind, d: Dims, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for (o, c) in (0..d.outer).flat_map(|o| (0..d.inner).map(move |c| (o, c))) {
            let at = |i: usize| (o * d.n + i) * d.inner + c;
            let max = (0..d.n).map(|i| x[at(i)]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..d.n).map(|i| (x[at(i)] - max).exp()).sum();
            for i in 0..d.n {
                let v = x[at(i)] - max;
                out[at(i)] = match kind {
                    Kind::Softmax => v.exp() / sum,
                    Kind::LogSoftmax => v - sum.ln(),
                };
            }
        }
        out
    }

    fn apply(kind: Kind, d: Dims, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        // SAFETY: both have as many elements as the sizes say.
        unsafe { forward(kind, DType::F64, d, x.as_ptr().cast(), out.as_mut_ptr().cast()) };
        out
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-13 * b.abs().max(1.0))
    }

    proptest! {
        #[test]
        fn forward_is_its_definition(
            (outer, n, inner) in (0usize..4, 0usize..80, prop_oneof![Just(1usize), 0usize..140]),
            seed in 0.0f64..9.0,
        ) {
            let d = Dims { outer, n, inner };
            let x: Vec<f64> =
                (0..outer * n * inner).map(|i| ((i as f64 + seed) * 1.7).sin() * 30.0).collect();
            for kind in [Kind::Softmax, Kind::LogSoftmax] {
                prop_assert!(close(&apply(kind, d, &x), &reference(kind, d, &x)));
            }
        }

        #[test]
        fn backward_is_its_formula(
            (n, inner) in (1usize..80, prop_oneof![Just(1usize), 1usize..70]),
        ) {
            let d = Dims { outer: 2, n, inner };
            let g: Vec<f64> = (0..2 * n * inner).map(|i| (i as f64 * 2.3).sin()).collect();
            for kind in [Kind::Softmax, Kind::LogSoftmax] {
                let y = reference(kind, d, &g.iter().map(|v| v * 3.0).collect::<Vec<_>>());
                let mut out = vec![0.0; g.len()];
                let (gp, yp) = (g.as_ptr().cast(), y.as_ptr().cast());
                // SAFETY: all have as many elements as the sizes say.
                unsafe { backward(kind, DType::F64, d, gp, yp, out.as_mut_ptr().cast()) };
                let want: Vec<f64> = (0..g.len()).map(|at| {
                    let (o, c) = (at / (n * inner), at % inner);
                    let other = |i: usize| (o * n + i) * inner + c;
                    match kind {
                        Kind::Softmax => {
                            let s: f64 = (0..n).map(|i| g[other(i)] * y[other(i)]).sum();
                            (g[at] - s) * y[at]
                        }
                        Kind::LogSoftmax => {
                            let s: f64 = (0..n).map(|i| g[other(i)]).sum();
                            g[at] - y[at].exp() * s
                        }
                    }
                }).collect();
                prop_assert!(close(&out, &want));
            }
        }
    }

    /// Sizes around those of blocks and strips, against pages that may not be touched.
    #[cfg(unix)]
    #[test]
    fn nothing_outside_is_touched() {
        use crate::guard::Guarded;
        let sizes = [1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 129];
        let shapes = sizes.iter().flat_map(|&n| sizes.map(|inner| (n, inner)));
        for ((n, inner), dtype) in shapes.flat_map(|s| [DType::F32, DType::F64].map(|d| (s, d))) {
            let dims = Dims { outer: 2, n, inner };
            let bytes = 2 * n * inner * dtype.size();
            for kind in [Kind::Softmax, Kind::LogSoftmax] {
                let [x, y, out] = [0, 1, 2].map(|_| Guarded::new(bytes, n % 2 == 0));
                // SAFETY: all have the sizes of `dims`.
                unsafe {
                    x.ptr().write_bytes(0, bytes);
                    forward(kind, dtype, dims, x.ptr(), y.ptr());
                    backward(kind, dtype, dims, x.ptr(), y.ptr(), out.ptr());
                }
                assert!([x, y, out].iter().all(Guarded::intact), "{kind:?} {dtype:?} {dims:?}");
            }
        }
    }

    #[test]
    fn special_rows() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for inner in [1, 3] {
            for row in [[-inf, -inf], [inf, 0.0], [nan, 0.0], [0.0, nan], [inf, inf]] {
                let d = Dims { outer: 1, n: 2, inner };
                let x: Vec<f64> = row.iter().flat_map(|v| vec![*v; inner]).collect();
                for kind in [Kind::Softmax, Kind::LogSoftmax] {
                    assert!(apply(kind, d, &x).iter().all(|v| v.is_nan()), "{row:?}");
                }
            }
        }
        let d = Dims { outer: 1, n: 2, inner: 1 };
        assert_eq!(apply(Kind::Softmax, d, &[-inf, 3.0]), [0.0, 1.0]);
        assert_eq!(apply(Kind::LogSoftmax, d, &[-inf, 3.0]), [-inf, 0.0]);
        // Too small to be normal, but not to be seen; and too small for that.
        assert!(apply(Kind::Softmax, d, &[-744.0, 0.0])[0] > 0.0);
        assert_eq!(apply(Kind::Softmax, d, &[-1e300, 0.0]), [0.0, 1.0]);
    }
}
