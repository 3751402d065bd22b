//! Evenly spaced numbers: `arange`, `linspace`, `logspace`, with PyTorch's rounding.

use crate::promote::default_dtype;
use crate::{DType, Result, Scalar, Tensor, bail};
use half::{bf16, f16};

/// The closest number of a floating dtype.
fn round(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(x as f32),
        DType::F16 => f16::from_f32(x as f32).to_f64(),
        DType::BF16 => bf16::from_f32(x as f32).to_f64(),
        _ => x,
    }
}

fn supported(dtype: DType, kernel: &str) -> Result<()> {
    use DType::*;
    if matches!(dtype, U8 | I8 | I16 | I32 | I64 | F16 | BF16 | F32 | F64) {
        return Ok(());
    }
    bail!(NotImplemented, "\"{kernel}\" not implemented for '{}'", dtype.scalar_name())
}

/// Whole numbers as C++ prints them, and its `nan`.
fn shown(x: f64) -> String {
    if x.is_nan() { "nan".into() } else { x.to_string() }
}

/// How many numbers `arange` makes.
fn count(start: Scalar, end: Scalar, step: Scalar, dtype: DType) -> Result<usize> {
    let (s, e, d) = (start.to_f64(), end.to_f64(), step.to_f64());
    if d == 0.0 || d.is_nan() {
        bail!(Runtime, "step must be nonzero");
    }
    if !(s.is_finite() && e.is_finite()) {
        bail!(Runtime, "unsupported range: {} -> {}", shown(s), shown(e));
    }
    if (d > 0.0 && s > e) || (d < 0.0 && s < e) {
        bail!(Runtime, "upper bound and lower bound inconsistent with step sign");
    }
    let n = if dtype == DType::I64 {
        let (s, e, d) = (start.to_i64(), end.to_i64(), step.to_i64());
        if d == 0 {
            bail!(Value, "step must be nonzero");
        }
        e.wrapping_sub(s).wrapping_add(d - d.signum()).wrapping_div(d) as f64
    } else {
        ((e - s) / d).ceil()
    };
    if !(0.0..=i64::MAX as f64).contains(&n) {
        bail!(Runtime, "invalid size, possible overflow?");
    }
    Ok(n as usize)
}

impl Tensor {
    /// The numbers from `start` up to `end`, `end` itself excluded, `step` apart.
    ///
    /// # Errors
    /// RuntimeError for a step of 0 or bounds that contradict it.
    pub fn arange(
        start: Scalar,
        end: Scalar,
        step: Scalar,
        dtype: Option<DType>,
    ) -> Result<Tensor> {
        let ints = [start, end, step].iter().all(|s| !matches!(s, Scalar::Float(_)));
        let dtype = dtype.unwrap_or(if ints { DType::I64 } else { default_dtype() });
        supported(dtype, "arange_cpu")?;
        let n = count(start, end, step, dtype)?;
        if dtype.is_int() {
            let (start, step) = (start.to_i64(), step.to_i64());
            let at = |i: usize| start.wrapping_add(step.wrapping_mul(i as i64));
            return Tensor::build(n, dtype, |i| Scalar::Int(at(i)));
        }
        let (start, step) = (start.to_f64(), step.to_f64());
        // 16-bit numbers are computed in float32, the others in float64.
        let (single, double) = (dtype.size() == 2, f64::mul_add);
        let fma = |i: usize, base: f64| match single {
            true => f64::from((i as f32).mul_add(step as f32, base as f32)),
            false => double(i as f64, step, base),
        };
        // PyTorch works in pairs of vectors of 32 bytes: the first number of each is rounded, the
        // others are counted from it. What does not fill a pair is counted from the start.
        let lanes = 32 / dtype.size();
        let vectors = n - n % (2 * lanes);
        Tensor::build(n, dtype, |i| {
            let lane = if i < vectors { i % lanes } else { 0 };
            let first = fma(i - lane, start);
            Scalar::Float(if lane == 0 { first } else { fma(lane, round(first, dtype)) })
        })
    }

    /// `steps` numbers from `start` to `end`, both included, evenly spaced.
    ///
    /// # Errors
    /// RuntimeError for a negative number of steps.
    pub fn linspace(start: Scalar, end: Scalar, steps: i64, dtype: DType) -> Result<Tensor> {
        spaced(start, end, steps, dtype, "linspace_cpu", |x| x)
    }

    /// `base` to the powers that `linspace` gives.
    ///
    /// # Errors
    /// RuntimeError for a negative number of steps.
    pub fn logspace(
        start: Scalar,
        end: Scalar,
        steps: i64,
        base: f64,
        dtype: DType,
    ) -> Result<Tensor> {
        if dtype.is_int() {
            // Powers of integers are computed in float32.
            let single = |x: f64| f64::from((base as f32).powf(x as f32));
            return spaced(start, end, steps, dtype, "logspace_cpu", single);
        }
        spaced(start, end, steps, dtype, "logspace_cpu", |x| base.powf(x))
    }

    /// Row and column of each element of a matrix's lower triangle (with `diagonal`, see `tril`),
    /// or of its upper one.
    ///
    /// # Errors
    /// RuntimeError for negative sizes.
    pub fn triangle(
        lower: bool,
        rows: i64,
        columns: i64,
        diagonal: i64,
        dtype: DType,
    ) -> Result<Tensor> {
        if rows < 0 || columns < 0 {
            let (name, n) = if rows < 0 { ("row", rows) } else { ("col", columns) };
            bail!(Runtime, "{name} must be non-negative, got{n}");
        }
        if !matches!(dtype, DType::I64 | DType::I32) {
            let name = if lower { "tril_indices" } else { "triu_indices" };
            bail!(NotImplemented, "\"{name}\" not implemented for '{}'", dtype.scalar_name());
        }
        let mut places = Vec::new();
        for i in 0..rows {
            let edge = i.saturating_add(diagonal);
            let range = match lower {
                true => 0..edge.saturating_add(1).min(columns),
                false => edge.max(0)..columns,
            };
            places.extend(range.map(|j| (i, j)));
        }
        let n = places.len();
        let flat = Tensor::build(2 * n, dtype, |k| {
            Scalar::Int(if k < n { places[k].0 } else { places[k - n].1 })
        })?;
        Ok(flat.alias(crate::shape::Layout::contiguous(&[2, n])))
    }
}

/// `f` of numbers that are counted from both ends, each half from its own.
fn spaced(
    start: Scalar,
    end: Scalar,
    steps: i64,
    dtype: DType,
    kernel: &str,
    f: impl Fn(f64) -> f64,
) -> Result<Tensor> {
    let Ok(n) = usize::try_from(steps) else {
        bail!(Runtime, "number of steps must be non-negative");
    };
    if n > 1 {
        supported(dtype, kernel)?;
    }
    let (start, end) = (start.fitted(dtype)?.to_f64(), end.fitted(dtype)?.to_f64());
    if n <= 1 {
        return Tensor::full(&[n], Scalar::Float(f(start)), dtype);
    }
    // Integers are counted in float64, floats in their own precision.
    let (start, end) = (round(start, dtype), round(end, dtype));
    let step = round(round(end - start, dtype) / (n - 1) as f64, dtype);
    let at = |i: usize, step: f64, from: f64| match dtype {
        DType::F32 => f64::from((i as f32).mul_add(step as f32, from as f32)),
        DType::F16 | DType::BF16 => {
            round(round(round(i as f64, dtype) * step, dtype) + from, dtype)
        }
        _ => (i as f64).mul_add(step, from),
    };
    Tensor::build(n, dtype, |i| {
        let x = if i < n / 2 { at(i, step, start) } else { at(n - 1 - i, -step, end) };
        Scalar::Float(f(x))
    })
}
