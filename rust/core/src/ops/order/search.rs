//! Searching in sorted rows, and counting.

use super::at;
use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::promote::{default_dtype, promote};
use crate::shape::show;
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;
use wengert_kernels::order::{Search, search};

/// What `searchsorted` and `bucketize` share: the values' places in rows that are sorted.
fn find(
    sorted: &Tensor,
    values: &Tensor,
    sorter: Option<&Tensor>,
    right: bool,
    narrow: bool,
) -> Result<Outputs> {
    let dtype = promote(sorted.dtype(), values.dtype());
    if dtype == DType::Bool {
        bail!(NotImplemented, "\"searchsorted_out_cpu\" not implemented for 'Bool'");
    }
    let rows = sorted.detach().to(dtype)?.contiguous()?;
    let values = values.detach().to(dtype)?.contiguous()?;
    let sorter = sorter.map(Tensor::contiguous).transpose()?;
    let out = Tensor::empty(values.shape(), DType::I64)?;
    let n = rows.shape().last().copied().unwrap_or(1);
    let per_row = if rows.ndim() <= 1 { values.numel() } else { last(&values) };
    let s = Search {
        sorted: rows.ptr()?,
        n,
        sorter: sorter.as_ref().map(Tensor::ptr).transpose()?.map(|p| p.cast_const().cast()),
        values: values.ptr()?,
        per_row,
        right,
        out: out.ptr()?.cast(),
    };
    // SAFETY: row-major tensors of one dtype; callers have checked the shapes and the sorter.
    unsafe { search(dtype, &s, values.numel()) };
    Ok(smallvec![if narrow { out.to(DType::I32)? } else { out }])
}

/// A Python number as a tensor, of the dtype it has by itself.
fn of_number(n: Scalar) -> Result<Tensor> {
    let dtype = match n {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => DType::I64,
        Scalar::Float(_) => default_dtype(),
    };
    Tensor::full(&[], n, dtype)
}

fn last(t: &Tensor) -> usize {
    t.shape().last().copied().unwrap_or(1)
}

fn check_search(sorted: &Tensor, values: &Tensor, sorter: Option<&Tensor>) -> Result<()> {
    let (b, v) = (sorted.shape(), values.shape());
    if b.is_empty() {
        bail!(
            Runtime,
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        );
    }
    if v.is_empty() && b.len() != 1 {
        bail!(
            Runtime,
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim({}) and input value's dim(0) numel(1)",
            b.len()
        );
    }
    if b.len() != 1 && (b.len() != v.len() || b[..b.len() - 1] != v[..v.len() - 1]) {
        bail!(
            Runtime,
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {} and input value tensor {}",
            show(b),
            show(v)
        );
    }
    let Some(s) = sorter else { return Ok(()) };
    if s.shape() != b {
        bail!(
            Runtime,
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {} and got sorter tensor {}",
            show(b),
            show(s.shape())
        );
    }
    if s.dtype() != DType::I64 {
        bail!(
            Runtime,
            "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {}",
            s.dtype().scalar_name()
        );
    }
    let n = last(sorted) as i64;
    if s.detach().contiguous()?.to_vec::<i64>()?.iter().any(|i| !(0..n).contains(i)) {
        bail!(Runtime, "torch.searchsorted(): sorter index out of range");
    }
    Ok(())
}

fn searchsorted(a: &Args) -> Result<Outputs> {
    let sorted = a.tensor(0)?;
    let number = match a.get(1) {
        Value::Tensor(_) => None,
        _ => Some(of_number(a.number(1)?)?),
    };
    let values = match &number {
        Some(t) => t,
        None => a.tensor(1)?,
    };
    let (narrow, mut right, sorter) = (a.bool(2)?, a.bool(3)?, a.opt_tensor(5)?);
    match a.opt_str(4)? {
        None => (),
        Some("left") if right => bail!(
            Runtime,
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        ),
        Some("left") => (),
        Some("right") => right = true,
        Some(other) => {
            bail!(
                Runtime,
                "torch.searchsorted(): side can only be 'left' or 'right' but got {other}"
            )
        }
    }
    check_search(sorted, values, sorter)?;
    find(sorted, values, sorter, right, narrow)
}

pub(crate) const SEARCHSORTED: Structured = Structured {
    schema: "searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    aliases: &[],
    doc: "Where values could be inserted in a sorted row so that it stays sorted: before equals, or after with `right`.\n\n>>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))\ntensor([1, 3])",
    forms: Forms::FUNCTION,
    forward: |a| searchsorted(&a),
    vjp: Vjp::None,
    node: "",
};

pub(crate) const SEARCHSORTED_NUMBER: Structured = Structured {
    schema: "searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor",
    aliases: &[],
    doc: "As `searchsorted`, for one number.",
    forms: Forms::FUNCTION,
    forward: |a| searchsorted(&a),
    vjp: Vjp::None,
    node: "",
};

fn bucketize(a: &Args) -> Result<Outputs> {
    let bounds = a.tensor(1)?;
    if bounds.ndim() != 1 {
        bail!(Runtime, "boundaries tensor must be 1 dimension, but got dim({})", bounds.ndim());
    }
    let values = match a.get(0) {
        Value::Tensor(t) => t.clone(),
        _ => of_number(a.number(0)?)?,
    };
    find(bounds, &values, None, a.bool(3)?, a.bool(2)?)
}

pub(crate) const BUCKETIZE: Structured = Structured {
    schema: "bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    aliases: &[],
    doc: "Which of the intervals between sorted boundaries each element lies in.\n\n>>> torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([1., 2.]))\ntensor([0, 2])",
    forms: Forms::FUNCTION,
    forward: |a| bucketize(&a),
    vjp: Vjp::None,
    node: "",
};

pub(crate) const BUCKETIZE_NUMBER: Structured = Structured {
    schema: "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    aliases: &[],
    doc: "As `bucketize`, for one number.",
    forms: Forms::FUNCTION,
    forward: |a| bucketize(&a),
    vjp: Vjp::None,
    node: "",
};

pub(crate) const BINCOUNT: Structured = Structured {
    schema: "bincount(Tensor self, Tensor? weights=None, int minlength=0) -> Tensor",
    aliases: &[],
    doc: "How often each number from 0 on occurs; with `weights`, their sums.\n\n>>> torch.bincount(torch.tensor([0, 2, 2]))\ntensor([1, 0, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, weights, least) = (a.tensor(0)?, a.opt_tensor(1)?, a.int(2)?);
        if t.dtype().is_differentiable() || t.dtype() == DType::Bool {
            let name = t.dtype().scalar_name();
            bail!(NotImplemented, "\"bincount_cpu\" not implemented for '{name}'");
        }
        if least < 0 {
            bail!(Runtime, "minlength should be >= 0");
        }
        let index = t.detach().to(DType::I64)?;
        let most = match t.numel() {
            0 => -1,
            _ => call1(Id::MAX, &[(&index).into()])?.item()?.to_i64(),
        };
        let negative = t.numel() > 0 && call1(Id::MIN, &[(&index).into()])?.item()?.to_i64() < 0;
        if (t.ndim() != 1 && t.numel() > 0) || negative {
            bail!(Runtime, "bincount only supports 1-d non-negative integral inputs.");
        }
        if weights.is_some_and(|w| w.shape() != t.shape()) {
            bail!(Runtime, "weights should be 1-d and have the same length as input");
        }
        let dtype = match weights.map(Tensor::dtype) {
            None => DType::I64,
            Some(DType::F32) => DType::F32,
            Some(_) => DType::F64,
        };
        let n = (most + 1).max(least) as usize;
        if t.numel() == 0 {
            return Ok(smallvec![Tensor::zeros(&[n], DType::I64)?]);
        }
        let parts = match weights {
            Some(w) => w.detach().to(dtype)?,
            None => Tensor::full(&[], Scalar::Int(1), dtype)?.expand(t.shape())?,
        };
        Ok(smallvec![crate::ops::index::spread(&parts, &index, 0, &[n])?])
    },
    vjp: Vjp::None,
    node: "",
};

pub(crate) const HISTC: Structured = Structured {
    schema: "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
    aliases: &[],
    doc: "How many elements lie in each of `bins` equal intervals between `min` and `max` (of the elements themselves if both are 0).\n\n>>> torch.histc(torch.tensor([1., 2., 1.]), bins=4, min=0, max=3)\ntensor([0., 2., 1., 0.])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, bins) = (a.tensor(0)?, a.int(1)?);
        if !t.dtype().is_float() {
            let name = t.dtype().scalar_name();
            bail!(NotImplemented, "\"histogram_cpu\" not implemented for '{name}'");
        }
        if bins <= 0 {
            bail!(Runtime, "torch.histogram(): bins must be > 0, but got {bins} for dimension 0");
        }
        let values = t.detach().to(DType::F64)?.contiguous()?.to_vec::<f64>()?;
        let (mut low, mut high) = (a.number(2)?.to_f64(), a.number(3)?.to_f64());
        if low == high && !values.is_empty() {
            // A NaN has to be seen, which `f64::min` would pass over.
            let order =
                |x: f64, y: f64, less: bool| if x.is_nan() || (x < y) == less { x } else { y };
            low = values.iter().fold(f64::INFINITY, |m, &x| order(x, m, true));
            high = values.iter().fold(f64::NEG_INFINITY, |m, &x| order(x, m, false));
        }
        if low == high {
            (low, high) = (low - 1.0, high + 1.0);
        }
        if !(low.is_finite() && high.is_finite()) {
            bail!(Runtime, "torch.histc: range of [{low}, {high}] is not finite");
        }
        if low > high {
            bail!(Runtime, "torch.histc: max must be larger than min");
        }
        let mut counts = vec![0f64; bins as usize];
        for x in values.into_iter().filter(|x| (low..=high).contains(x)) {
            let at = ((x - low) / (high - low) * bins as f64) as usize;
            counts[at.min(bins as usize - 1)] += 1.0;
        }
        Ok(smallvec![Tensor::from_slice(&counts).to(t.dtype())?])
    },
    vjp: Vjp::None,
    node: "HistcBackward0",
};

/// For the groups of equals in a sorted row: where each begins, and the number of each element's.
pub(super) fn groups(sorted: &Tensor, same: impl Fn(usize) -> bool) -> (Vec<i64>, Vec<i64>) {
    let (mut starts, mut numbers) = (Vec::new(), Vec::with_capacity(sorted.numel()));
    for k in 0..sorted.shape().first().copied().unwrap_or(0) {
        if k == 0 || !same(k) {
            starts.push(k as i64);
        }
        numbers.push(starts.len() as i64 - 1);
    }
    (starts, numbers)
}

/// Values, numbers and counts of groups, for elements that were at `order` before sorting.
pub(super) fn grouped(
    sorted: &Tensor,
    order: Option<&Tensor>,
    starts: &[i64],
    numbers: &[i64],
) -> Result<[Tensor; 3]> {
    let values = at(sorted, &Tensor::from_slice(starts))?;
    let numbers = Tensor::from_slice(numbers);
    let inverse = match order {
        Some(order) => crate::ops::index::spread(&numbers, order, 0, numbers.shape())?,
        None => numbers.clone(),
    };
    let ends = starts.iter().skip(1).copied().chain([numbers.numel() as i64]);
    let counts: Vec<i64> = starts.iter().zip(ends).map(|(s, e)| e - s).collect();
    Ok([values, inverse, Tensor::from_slice(&counts)])
}
