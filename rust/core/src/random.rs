//! Random tensors: PyTorch's CPU generator, so the same seed gives the same numbers.

use crate::ops::Id;
use crate::pointwise::Operand;
use crate::shape::Layout;
use crate::sync::guarded;
use crate::{DType, Result, Tensor, bail, lazy, mode, pointwise, record};
use half::{bf16, f16};
use wengert_kernels::dtype::Bool;
use wengert_kernels::random::{Generator, closest_from, closest_to};

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

/// Calls `f` with another generator in the place of the default one.
pub fn with_other<R>(generator: &mut Generator, f: impl FnOnce() -> R) -> R {
    with_generator(|g| std::mem::swap(g, generator));
    let r = f();
    with_generator(|g| std::mem::swap(g, generator));
    r
}

/// Fills `t` in the order of its memory, as PyTorch's iterator walks it. `f` is given row-major
/// memory, and whether that is the tensor's own.
fn fill(t: &Tensor, f: impl FnOnce(&Tensor, bool) -> Result<()>) -> Result<()> {
    record::check_in_place(crate::ops::Id::COPY, t, std::iter::once(t))?;
    if t.requires_grad() && mode::grad_enabled() {
        let fresh = Tensor::empty_like(t, t.dtype())?;
        fill(&fresh, f)?;
        return pointwise::assign(t, (&fresh).into()).map(drop);
    }
    lazy::before_write(t.storage())?;
    if t.is_contiguous() {
        f(t, true)?;
    } else {
        let mut dims: Vec<usize> = (0..t.ndim()).collect();
        dims.sort_by_key(|&d| std::cmp::Reverse(t.strides()[d].abs()));
        let layout = Layout::new(
            dims.iter().map(|&d| t.shape()[d]).collect(),
            dims.iter().map(|&d| t.strides()[d]).collect(),
            t.layout().offset,
        );
        let rows = Tensor::empty(&layout.shape, t.dtype())?;
        f(&rows, false)?;
        pointwise::copy(&rows, &t.alias(layout))?;
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
            DType::F32 => {
                let $out = slice!($t, f32);
                $body
            }
            DType::F64 => {
                let $out = slice!($t, f64);
                $body
            }
            DType::F16 => {
                let $out = slice!($t, f16);
                $body
            }
            DType::BF16 => {
                let $out = slice!($t, bf16);
                $body
            }
            d => bail!(
                NotImplemented,
                concat!("\"", $what, "\" not implemented for '{}'"),
                d.scalar_name()
            ),
        }
    };
}

macro_rules! for_numbers {
    ($t:expr, $what:literal, |$out:ident| $body:expr) => {
        for_numbers!(@ $t, $what, $out, $body; I64 i64, I32 i32, I16 i16, I8 i8, U8 u8, Bool Bool)
    };
    // The wide unsigned types too.
    (wide $t:expr, $what:literal, |$out:ident| $body:expr) => {
        for_numbers!(@ $t, $what, $out, $body; I64 i64, I32 i32, I16 i16, I8 i8, U8 u8, Bool Bool,
            U16 u16, U32 u32, U64 u64)
    };
    (@ $t:expr, $what:literal, $out:ident, $body:expr; $($d:ident $ty:ty),*) => {
        match $t.dtype() {
            $(DType::$d => {
                let $out = slice!($t, $ty);
                $body
            })*
            _ => for_floats!($t, $what, |$out| $body),
        }
    };
}

/// Uniform numbers in `from..to`.
///
/// # Errors
/// NotImplementedError for dtypes that are not floating; RuntimeError if `from` exceeds `to`.
pub fn uniform(t: &Tensor, from: f64, to: f64) -> Result<()> {
    fill(t, |t, _| {
        for_floats!(t, "check_uniform_bounds", |out| {
            if from > to {
                bail!(
                    Runtime,
                    "uniform_ expects to return a [from, to) range, but found from={from} > to={to}"
                );
            }
            with_generator(|g| g.fill_uniform(out, from, to))
        });
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
    fill(t, |t, own| {
        for_floats!(t, "normal_kernel_cpu", |out| with_generator(|g| match own {
            true => g.fill_normal(out, mean, std),
            // PyTorch makes blocks only in row-major memory.
            false => out.chunks_mut(1).for_each(|one| g.fill_normal(one, mean, std)),
        }));
        Ok(())
    })
}

/// Normal numbers whose means and deviations are a tensor's, or one number for all.
///
/// # Errors
/// As [`normal`]; RuntimeError for shapes that do not broadcast.
pub fn normal_of(mean: Operand, std: Operand) -> Result<Tensor> {
    let _quiet = mode::Guard::new(false);
    let (m, s) = (mean.tensor(), std.tensor());
    let (Some(like), zeros) = (m.or(s), [0usize; 0]) else {
        bail!(Type, "normal() needs a tensor");
    };
    let mut negative = false;
    if let Some(s) = s {
        s.for_each(|x| negative |= x.to_f64() < 0.0)?;
    }
    if negative {
        bail!(Runtime, "normal expects all elements of std >= 0.0");
    }
    let shape = crate::shape::broadcast(
        m.map_or(&zeros[..], Tensor::shape),
        s.map_or(&zeros[..], Tensor::shape),
    )?;
    let t = Tensor::empty(&shape, like.dtype())?;
    if let (Some(mean), Operand::Number(std)) = (m, std) {
        normal(&t, 0.0, std.to_f64())?;
        return t.add(mean);
    }
    normal(&t, 0.0, 1.0)?;
    let scaled = pointwise::call(Id::MUL, &[(&t).into(), std])?;
    let made = pointwise::call(Id::ADD, &[(&scaled).into(), mean])?;
    made.to(like.dtype())
}

/// Whole numbers in `low..high`.
///
/// # Errors
/// RuntimeError for an empty range, or for bounds outside the dtype.
pub fn integers(t: &Tensor, low: i64, high: i64) -> Result<()> {
    if low >= high {
        bail!(
            Runtime,
            "random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        );
    }
    check_bounds(t.dtype(), low, high)?;
    let (low, high) = match t.dtype() {
        DType::F16 => (closest_from::<f16>(low), closest_to::<f16>(high)),
        DType::BF16 => (closest_from::<bf16>(low), closest_to::<bf16>(high)),
        DType::F32 => (closest_from::<f32>(low), closest_to::<f32>(high)),
        DType::F64 => (closest_from::<f64>(low), closest_to::<f64>(high)),
        _ => (low, high),
    };
    let range = (high.wrapping_sub(low) as u64).max(1);
    fill(t, |t, _| {
        for_numbers!(wide t, "random_from_to", |out| with_generator(
            |g| g.fill_range(out, low, range)
        ));
        Ok(())
    })
}

fn check_bounds(dtype: DType, low: i64, high: i64) -> Result<()> {
    let (min, max, name) = match dtype {
        DType::Bool => (0, 1, "bool"),
        DType::U8 => (0, i64::from(u8::MAX), "unsigned char"),
        DType::I8 => (i64::from(i8::MIN), i64::from(i8::MAX), "signed char"),
        DType::I16 => (i64::from(i16::MIN), i64::from(i16::MAX), "short"),
        DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX), "int"),
        DType::U16 => (0, i64::from(u16::MAX), "unsigned short"),
        DType::U32 => (0, i64::from(u32::MAX), "unsigned int"),
        DType::U64 => (0, i64::MAX, "unsigned long"),
        _ => return Ok(()),
    };
    for (what, x) in [("from", low), ("to - 1", high - 1)] {
        if !(min..=max).contains(&x) {
            bail!(Runtime, "{what} is out of bounds for {name}");
        }
    }
    Ok(())
}

/// Whole numbers from 0 to the largest of the dtype, or up to where floats leave some out.
///
/// # Errors
/// NotImplementedError for dtypes PyTorch does not fill.
pub fn any_integers(t: &Tensor) -> Result<()> {
    fill(t, |t, _| {
        for_numbers!(t, "random_", |out| with_generator(|g| g.fill_integers(out)));
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
    fill(t, |t, _| {
        for_numbers!(
            t,
            "bernoulli_scalar_cpu_",
            |out| with_generator(|g| g.fill_bernoulli(out, p))
        );
        Ok(())
    })
}

/// Ones with the probability that stands at the same place of `p`, zeros otherwise.
///
/// # Errors
/// RuntimeError if some number is no probability.
pub fn bernoulli_of(t: &Tensor, p: &Tensor) -> Result<()> {
    if !p.dtype().is_float() {
        bail!(
            NotImplemented,
            "\"bernoulli_tensor_cpu_p_\" not implemented for '{}'",
            p.dtype().scalar_name()
        );
    }
    let p = p.detach().expand(t.shape())?;
    let p = p.fresh_copy(p.dtype())?;
    let mut fine = true;
    p.for_each(|x| fine &= (0.0..=1.0).contains(&x.to_f64()))?;
    if !fine {
        bail!(
            Runtime,
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
        );
    }
    fill(t, |t, _| {
        for_numbers!(t, "bernoulli_tensor_cpu_self_", |out| for_floats!(
            p,
            "bernoulli_tensor_cpu_p_",
            |p| with_generator(|g| g.fill_bernoulli_each(out, p))
        ));
        Ok(())
    })
}

macro_rules! continuous {
    ($(#[doc = $doc:literal] $name:ident $fill:ident $kernel:literal
        |$a:ident $(, $b:ident)?| $fits:expr, $wrong:literal;)*) => { $(
        #[doc = $doc]
        ///
        /// # Errors
        /// RuntimeError for parameters out of range.
        pub fn $name(t: &Tensor, $a: f64 $(, $b: f64)?) -> Result<()> {
            let fits = $fits;
            if !fits {
                bail!(Runtime, $wrong);
            }
            fill(t, |t, _| {
                for_floats!(t, $kernel, |out| with_generator(|g| g.$fill(out, $a $(, $b)?)));
                Ok(())
            })
        }
    )* };
}
continuous! {
    #[doc = "Exponential numbers of a rate."]
    exponential fill_exponential "exponential_" |lambda| lambda > 0.0,
        "exponential_ expects lambda > 0.0, but found lambda={lambda}";
    #[doc = "Cauchy numbers around `median`."]
    cauchy fill_cauchy "cauchy_" |median, sigma| sigma > 0.0,
        "cauchy_ expects sigma > 0.0, but found sigma={sigma}";
    #[doc = "Numbers whose logarithm is normal."]
    log_normal fill_log_normal "log_normal_cpu" |mean, std| std > 0.0,
        "log_normal_ expects std > 0.0, but found std={std}";
}

/// Numbers of trials up to the first success, of probability `p`.
///
/// # Errors
/// RuntimeError if `p` is not between 0 and 1.
pub fn geometric(t: &Tensor, p: f64) -> Result<()> {
    if !(p > 0.0 && p < 1.0) {
        bail!(Runtime, "geometric_ expects p to be in (0, 1), but got p={p}");
    }
    fill(t, |t, _| {
        for_numbers!(t, "geometric_cpu_", |out| with_generator(|g| g.fill_geometric(out, p)));
        Ok(())
    })
}

/// Poisson numbers of the rates in a tensor.
///
/// # Errors
/// RuntimeError for a negative rate, NotImplementedError for dtypes that are not floating.
pub fn poisson(rates: &Tensor) -> Result<Tensor> {
    let (rates, t) = (rates.fresh_copy(rates.dtype())?, Tensor::empty_like(rates, rates.dtype())?);
    let mut fine = true;
    rates.for_each(|x| fine &= x.to_f64() >= 0.0)?;
    if !fine {
        bail!(Runtime, "invalid Poisson rate, expected rate to be non-negative");
    }
    fill(&t, |t, _| {
        for_floats!(t, "poisson_cpu", |out| {
            let rates = slice!(rates, _);
            with_generator(|g| g.fill_poisson(out, rates))
        });
        Ok(())
    })?;
    t.reset_version();
    Ok(t)
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

/// Indices drawn in proportion to the weights of each row.
///
/// # Errors
/// RuntimeError for weights that give no distribution, and for more samples than there are.
pub fn multinomial(weights: &Tensor, samples: i64, replacement: bool) -> Result<Tensor> {
    let (n, d) = (weights.shape().last().copied().unwrap_or(0), weights.ndim());
    if !(1..=2).contains(&d) {
        bail!(Runtime, "prob_dist must be 1 or 2 dim");
    }
    if !weights.dtype().is_float() {
        let name = weights.dtype().scalar_name();
        bail!(Runtime, "multinomial only supports floating-point dtypes for input, got: {name}");
    }
    let count = match usize::try_from(samples) {
        Ok(count) if count > 0 => count,
        _ => bail!(Runtime, "cannot sample n_sample <= 0 samples"),
    };
    if !replacement && count > n {
        bail!(Runtime, "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
    }
    let mut shape = weights.shape().to_vec();
    shape[d - 1] = count;
    let (w, out) = (weights.fresh_copy(weights.dtype())?, Tensor::empty(&shape, DType::I64)?);
    let rows = if d == 2 { shape[0] } else { 1 };
    if rows > 0 {
        let indices = slice!(out, i64);
        let drawn = for_floats!(w, "multinomial", |w| with_generator(|g| {
            g.multinomial(indices, w, rows, replacement)
        }));
        if let Err(text) = drawn {
            bail!(Runtime, "{text}");
        }
    }
    Ok(out)
}
