//! Running sums, products and extrema along a dimension; and orders reversed.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::{Id, index, join, reduce};
use crate::pointwise::{self, binary};
use crate::promote::default_dtype;
use crate::shape::wrap_dim;
use crate::value::Args;
use crate::{DType, Element, Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};
use wengert_kernels::reduce::{Scan, scan};

/// Runs the kernel over `t` in the dtype asked for: int64 for integers and bool if none is.
fn running(op: Scan, a: &Args) -> Result<Outputs> {
    let (t, dim) = (a.tensor(0)?, a.int(1)?);
    let natural = if t.dtype().is_differentiable() { t.dtype() } else { DType::I64 };
    let dtype = a.opt_dtype(2)?.unwrap_or(natural);
    let d = wrap_dim(dim, t.ndim())?;
    if dtype == DType::Bool && t.ndim() > 0 && t.numel() > 0 {
        let name = if op == Scan::Sum { "cumsum" } else { "cumprod" };
        bail!(NotImplemented, "\"{name}_out_cpu\" not implemented for 'Bool'");
    }
    let x = t.to(dtype)?.to(reduce::wide(dtype))?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    if x.ndim() == 0 {
        pointwise::copy(&x, &out)?;
    } else {
        let shape: SmallVec<[(usize, isize); 4]> =
            x.shape().iter().copied().zip(x.strides().iter().copied()).collect();
        // SAFETY: the layout of a live tensor, and a fresh row-major result of its shape.
        unsafe { scan(op, x.dtype(), x.ptr()?, &shape, d, out.ptr()?) };
    }
    Ok(smallvec![out.to(dtype)?])
}

/// A view that walks a dimension backwards.
fn reversed(t: &Tensor, dim: i64) -> Result<Tensor> {
    if t.ndim() == 0 { Ok(t.clone()) } else { t.slice(dim, None, None, -1) }
}

fn cumsum(t: &Tensor, dim: i64) -> Result<Tensor> {
    call1(Id::CUMSUM, &[t.into(), dim.into(), Value::None])
}

fn cumprod(t: &Tensor, dim: i64) -> Result<Tensor> {
    call1(Id::CUMPROD, &[t.into(), dim.into(), Value::None])
}

/// Sums from each element to the end.
fn tail_sums(t: &Tensor, dim: i64) -> Result<Tensor> {
    if t.numel() <= 1 {
        return Ok(t.clone());
    }
    reversed(&cumsum(&reversed(t, dim)?, dim)?, dim)
}

/// `t` moved one place along a dimension (not 0-d); `first` comes in at the start.
fn shifted(t: &Tensor, dim: i64, first: f64) -> Result<Tensor> {
    let head = t.slice(dim, Some(0), Some(1), 1)?;
    let start = Tensor::full(head.shape(), first.into(), t.dtype())?;
    join::cat(&[start, t.slice(dim, None, Some(-1), 1)?], dim)
}

/// For each element the product of the others along a dimension (not 0-d), zeros or not.
pub(crate) fn others(x: &Tensor, dim: i64) -> Result<Tensor> {
    if x.numel() == 0 {
        return Ok(x.clone());
    }
    let before = shifted(&cumprod(x, dim)?, dim, 1.0)?;
    let back = reversed(x, dim)?;
    let after = reversed(&shifted(&cumprod(&back, dim)?, dim, 1.0)?, dim)?;
    before.mul(&after)
}

pub(crate) const CUMSUM: Structured = Structured {
    schema: "cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Running sum along a dimension.\n\n>>> torch.cumsum(torch.tensor([1., 2., 3.]), 0)\ntensor([1., 3., 6.])",
    forms: Forms::ALL,
    forward: |a| running(Scan::Sum, &a),
    vjp: Vjp::Many(|| {
        let back =
            |cx: &Cx, g: &[&Tensor]| tail_sums(&g[0].to(cx.input(0).dtype)?, cx.args.int(1)?);
        vec![X::verb("cumsum_backward", back, &[X::Grad(0)])]
    }),
    node: "CumsumBackward0(dim)",
};

/// The gradient of element k is the sum over j >= k of `g[j] * y[j] / x[k]`. Where an element is
/// zero it is `y[k - 1] * s[k]` with `s[k] = g[k] + x[k + 1] * s[k + 1]`, a recurrence run from
/// the end.
fn cumprod_back(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    let (dim, g) = (cx.args.int(1)?, &g.to(x.dtype())?);
    if x.numel() <= 1 {
        return Ok(g.clone());
    }
    let y = &y.to(x.dtype())?;
    if reduce::all_true(x)? {
        return tail_sums(&g.mul(y)?, dim)?.div(x);
    }
    let factors = shifted(&reversed(x, dim)?, dim, 0.0)?;
    let sums = reversed(&recurrence(&factors, &reversed(g, dim)?, dim)?, dim)?;
    shifted(y, dim, 1.0)?.mul(&sums)
}

pub(crate) const CUMPROD: Structured = Structured {
    schema: "cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "Running product along a dimension.\n\n>>> torch.cumprod(torch.tensor([1., 2., 3.]), 0)\ntensor([1., 2., 6.])",
    forms: Forms::ALL,
    forward: |a| running(Scan::Prod, &a),
    vjp: Vjp::Many(|| {
        vec![X::verb("cumprod_backward", cumprod_back, &[X::Grad(0), X::In(0), X::Out(0)])]
    }),
    node: "CumprodBackward0(dim)",
};

/// Rows of `t` along a dimension, one after the other, and a way back from rows to tensors.
struct Rows {
    /// The tensor with the dimension last, row-major.
    last: Tensor,
    dim: i64,
}

impl Rows {
    fn of(t: &Tensor, dim: i64) -> Result<Rows> {
        let t = if t.ndim() == 0 { t.reshape(&[1])? } else { t.clone() };
        Ok(Rows { last: t.transpose(dim, -1)?.contiguous()?, dim })
    }

    fn len(&self) -> usize {
        self.last.shape()[self.last.ndim() - 1].max(1)
    }

    fn back<T: Element>(&self, values: &[T], shape: &[usize]) -> Result<Tensor> {
        let t = Tensor::from_slice(values).reshape(self.last.shape())?;
        t.transpose(self.dim, -1)?.contiguous()?.reshape(shape)
    }
}

/// `y[k] = b[k] + a[k] * y[k - 1]` along a dimension, from `y[-1] = 0`; computed in float64.
fn recurrence(a: &Tensor, b: &Tensor, dim: i64) -> Result<Tensor> {
    call1(Id::RECURRENCE, &[a.into(), b.into(), dim.into()])
}

pub(crate) const RECURRENCE: Structured = Structured {
    schema: "_recurrence(Tensor a, Tensor b, int dim) -> Tensor",
    aliases: &[],
    doc: "`y[k] = b[k] + a[k] * y[k - 1]` along a dimension.",
    forms: Forms::HIDDEN,
    forward: |args| {
        let (a, b, dim) = (args.tensor(0)?, args.tensor(1)?, args.int(2)?);
        let rows = Rows::of(&a.to(DType::F64)?, dim)?;
        let factors = rows.last.to_vec::<f64>()?;
        let mut out = Rows::of(&b.to(DType::F64)?, dim)?.last.to_vec::<f64>()?;
        for (y, a) in out.chunks_mut(rows.len()).zip(factors.chunks(rows.len())) {
            for k in 1..y.len() {
                y[k] += a[k] * y[k - 1];
            }
        }
        Ok(smallvec![rows.back(&out, b.shape())?.to(b.dtype())?])
    },
    vjp: Vjp::Many(|| {
        // The adjoint runs from the end: h[k] = g[k] + a[k + 1] * h[k + 1].
        let adjoint = |cx: &Cx, v: &[&Tensor]| {
            let dim = cx.args.int(2)?;
            let factors = shifted(&reversed(v[1], dim)?, dim, 0.0)?;
            reversed(&recurrence(&factors, &reversed(v[0], dim)?, dim)?, dim)
        };
        let before = |cx: &Cx, v: &[&Tensor]| shifted(v[0], cx.args.int(2)?, 0.0);
        let h = X::verb("adjoint", adjoint, &[X::Grad(0), X::In(0)]);
        vec![h * X::verb("shifted", before, &[X::Out(0)]), h]
    }),
    node: "RecurrenceBackward0",
};

/// Running extremum of each row: value and place, the last of equals; NaN stays.
fn running_extremum<T: Element + PartialOrd>(
    t: &Tensor,
    dim: i64,
    better: fn(&T, &T) -> bool,
) -> Result<Outputs> {
    let rows = Rows::of(t, dim)?;
    let mut values = rows.last.to_vec::<T>()?;
    let mut places = vec![0i64; values.len()];
    for (v, p) in values.chunks_mut(rows.len()).zip(places.chunks_mut(rows.len())) {
        for k in 1..v.len() {
            let (old, new) = (v[k - 1], v[k]);
            // A NaN differs from itself, and beats all but another NaN.
            #[allow(clippy::eq_op)]
            let takes = better(&new, &old) || new != new;
            #[allow(clippy::eq_op)]
            let stuck = old != old && new == new;
            (v[k], p[k]) = if takes && !stuck { (new, k as i64) } else { (old, p[k - 1]) };
        }
    }
    Ok(smallvec![rows.back(&values, t.shape())?, rows.back(&places, t.shape())?])
}

fn cumulative(a: &Args, max: bool) -> Result<Outputs> {
    let (t, dim) = (a.tensor(0)?, a.int(1)?);
    wrap_dim(dim, t.ndim())?;
    let mut out = match t.dtype() {
        d if d.is_complex() => bail!(NotImplemented, "cummax for {}", d.name()),
        d if d.is_float() => running_extremum::<f64>(
            &t.to(DType::F64)?,
            dim,
            if max { |a, b| a >= b } else { |a, b| a <= b },
        )?,
        _ => running_extremum::<i64>(
            &t.to(DType::I64)?,
            dim,
            if max { |a, b| a >= b } else { |a, b| a <= b },
        )?,
    };
    out[0] = out[0].to(t.dtype())?;
    Ok(out)
}

const TO_SOURCES: Vjp = Vjp::Many(|| {
    let back = |cx: &Cx, v: &[&Tensor]| {
        index::spread(v[0], &v[1].detach(), cx.args.int(1)?, &cx.input(0).shape)
    };
    vec![X::verb("to_sources", back, &[X::Grad(0), X::Out(1)]).saving(X::In(0))]
});

pub(crate) const CUMMAX: Structured = Structured {
    schema: "cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "Running maximum along a dimension, and where it came from.\n\n>>> torch.cummax(torch.tensor([1., 3., 2.]), 0).values\ntensor([1., 3., 3.])",
    forms: Forms::BOTH,
    forward: |a| cumulative(&a, true),
    vjp: TO_SOURCES,
    node: "CummaxBackward0",
};

pub(crate) const CUMMIN: Structured = Structured {
    schema: "cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "Running minimum along a dimension, and where it came from.\n\n>>> torch.cummin(torch.tensor([3., 1., 2.]), 0).values\ntensor([3., 1., 1.])",
    forms: Forms::BOTH,
    forward: |a| cumulative(&a, false),
    vjp: TO_SOURCES,
    node: "CumminBackward0",
};

fn lowest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => -65504.0,
        DType::F64 => f64::MIN,
        _ => f32::MIN.into(),
    }
}

pub(crate) const LOGCUMSUMEXP: Structured = Structured {
    schema: "logcumsumexp(Tensor self, int dim) -> Tensor",
    aliases: &[],
    doc: "`log(cumsum(exp(x)))` along a dimension, without overflow.\n\n>>> torch.logcumsumexp(torch.tensor([1000., 1000.]), 0)\ntensor([1000.0000, 1000.6932])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, dim) = (a.tensor(0)?, a.int(1)?);
        wrap_dim(dim, t.ndim())?;
        let dtype = if t.dtype().is_float() { t.dtype() } else { default_dtype() };
        let rows = Rows::of(&t.to(DType::F64)?, dim)?;
        let mut values = rows.last.to_vec::<f64>()?;
        for row in values.chunks_mut(rows.len()) {
            for k in 1..row.len() {
                let (low, high) = (row[k].min(row[k - 1]), row[k].max(row[k - 1]));
                let known = !(row[k].is_nan() || row[k - 1].is_nan());
                row[k] = match known {
                    true if low == high && low.is_infinite() => low,
                    true => high + (low - high).exp().ln_1p(),
                    false => f64::NAN,
                };
            }
        }
        Ok(smallvec![rows.back(&values, t.shape())?.to(dtype)?])
    },
    vjp: Vjp::Many(|| {
        // sum over j >= k of g[j] * exp(x[k] - y[j]), with positive and negative parts of g kept
        // apart as logarithms, as PyTorch does, so that nothing overflows.
        let back = |cx: &Cx, v: &[&Tensor]| {
            let (dim, [g, x, y]) = (cx.args.int(1)?, [v[0], v[1], v[2]]);
            let part = |positive: bool| {
                let sided =
                    if positive { g.clone() } else { pointwise::call(Id::NEG, &[g.into()])? };
                let none = pointwise::call(Id::LE, &[(&sided).into(), 0.0.into()])?;
                // Not -inf, whose difference from itself would be NaN in a second gradient.
                let minus = lowest(g.dtype()).into();
                let log = pointwise::call(Id::LOG, &[(&sided).into()])?;
                let log = pointwise::call(Id::WHERE, &[(&none).into(), minus, (&log).into()])?;
                let terms = reversed(&log.sub(y)?, dim)?;
                let sums = call1(Id::LOGCUMSUMEXP, &[terms.into(), dim.into()])?;
                pointwise::call(Id::EXP, &[(&reversed(&sums, dim)?.add(x)?).into()])
            };
            binary(Id::SUB, &part(true)?, &part(false)?)
        };
        vec![X::verb("logcumsumexp_backward", back, &[X::Grad(0), X::In(0), X::Out(0)])]
    }),
    node: "LogcumsumexpBackward0",
};
