//! Random tensors: PyTorch's CPU generator, so the same seed gives the same numbers.

use crate::sync::guarded;
use crate::{DType, Result, Tensor, bail, lazy, pointwise};
use half::{bf16, f16};
use wengert_kernels::random::Generator;

guarded!(cell: Option<Box<Generator>> = None);

/// The seed of a generator that nobody has seeded (PyTorch's).
const DEFAULT_SEED: u64 = 67280421310721;

/// Calls `f` with the default generator.
pub fn with_generator<R>(f: impl FnOnce(&mut Generator) -> R) -> R {
    cell(|g| f(g.get_or_insert_with(|| Box::new(Generator::new(DEFAULT_SEED)))))
}

/// Seeds the default generator.
pub fn manual_seed(seed: u64) {
    with_generator(|g| g.manual_seed(seed));
}

/// Fills `t` through a row-major copy if it is not row-major itself.
fn fill(t: &Tensor, f: impl FnOnce(&Tensor) -> Result<()>) -> Result<()> {
    lazy::before_write(t.storage())?;
    if t.is_contiguous() {
        f(t)?;
    } else {
        let rows = Tensor::empty(t.shape(), t.dtype())?;
        f(&rows)?;
        pointwise::copy(&rows, t)?;
    }
    t.bump_version();
    Ok(())
}

/// The elements of a row-major tensor.
macro_rules! slice {
    ($t:expr, $ty:ty) => {
        // SAFETY: row-major memory of `numel` elements of this type, written only through this.
        unsafe { std::slice::from_raw_parts_mut($t.ptr()?.cast::<$ty>(), $t.numel()) }
    };
}

macro_rules! for_floats {
    ($t:expr, $what:literal, |$out:ident| $body:expr) => {
        match $t.dtype() {
            DType::F32 => { let $out = slice!($t, f32); $body }
            DType::F64 => { let $out = slice!($t, f64); $body }
            DType::F16 => { let $out = slice!($t, f16); $body }
            DType::BF16 => { let $out = slice!($t, bf16); $body }
            d => bail!(NotImplemented, concat!("\"", $what, "\" not implemented for '{}'"), d.scalar_name()),
        }
    };
}

macro_rules! for_numbers {
    ($t:expr, $what:literal, |$out:ident| $body:expr) => {
        match $t.dtype() {
            DType::I64 => { let $out = slice!($t, i64); $body }
            DType::I32 => { let $out = slice!($t, i32); $body }
            DType::I16 => { let $out = slice!($t, i16); $body }
            DType::I8 => { let $out = slice!($t, i8); $body }
            DType::U8 => { let $out = slice!($t, u8); $body }
            _ => for_floats!($t, $what, |$out| $body),
        }
    };
}

/// Uniform numbers in `from..to`.
///
/// # Errors
/// NotImplementedError for dtypes that are not floating.
pub fn uniform(t: &Tensor, from: f64, to: f64) -> Result<()> {
    fill(t, |t| {
        for_floats!(t, "check_uniform_bounds", |out| with_generator(|g| g.fill_uniform(out, from, to)));
        Ok(())
    })
}

/// Normal numbers.
///
/// # Errors
/// NotImplementedError for dtypes that are not floating; RuntimeError for a negative `std`.
pub fn normal(t: &Tensor, mean: f64, std: f64) -> Result<()> {
    if std < 0.0 {
        bail!(Runtime, "normal expects std >= 0.0, but found std {std}");
    }
    fill(t, |t| {
        for_floats!(t, "normal_kernel_cpu", |out| with_generator(|g| g.fill_normal(out, mean, std)));
        Ok(())
    })
}

/// Whole numbers in `low..high`.
///
/// # Errors
/// RuntimeError for an empty range.
pub fn integers(t: &Tensor, low: i64, high: i64) -> Result<()> {
    if low >= high {
        bail!(
            Runtime,
            "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        );
    }
    let range = high.wrapping_sub(low) as u64;
    fill(t, |t| {
        for_numbers!(t, "random_from_to", |out| with_generator(|g| g.fill_range(out, low, range)));
        Ok(())
    })
}

/// Ones with probability `p`, zeros otherwise.
///
/// # Errors
/// RuntimeError if `p` is no probability.
pub fn bernoulli(t: &Tensor, p: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&p) {
        bail!(Runtime, "bernoulli_ expects p to be in [0, 1], but got p={p}");
    }
    fill(t, |t| {
        for_numbers!(t, "bernoulli", |out| with_generator(|g| g.fill_bernoulli(out, p)));
        Ok(())
    })
}

/// A random permutation of `0..n`.
///
/// # Errors
/// RuntimeError when the memory cannot be had.
pub fn permutation(n: usize, dtype: DType) -> Result<Tensor> {
    let t = Tensor::empty(&[n], dtype)?;
    for_numbers!(t, "randperm", |out| with_generator(|g| g.fill_permutation(out)));
    Ok(t)
}
