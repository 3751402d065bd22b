//! Rows put in order: sorting and what is picked by rank.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call, call1};
use crate::ops::reduce::extremum::{SHARE_ALL, to_source};
use crate::ops::{Id, index};
use crate::shape::{Shape, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Tensor, bail, pointwise};
use smallvec::smallvec;
use wengert_kernels::order::{Pick, order};

pub(crate) mod search;
pub(crate) mod unique;

/// Picks along a dimension: values and their places, row-major.
fn picked(t: &Tensor, dim: i64, what: Pick, descending: bool) -> Result<(Tensor, Tensor)> {
    let t = t.detach();
    let t = if t.ndim() == 0 { t.reshape(&[1])? } else { t };
    let rows = t.transpose(dim, -1)?.contiguous()?;
    let last = rows.ndim() - 1;
    let n = rows.shape()[last];
    let mut shape = Shape::from_slice(rows.shape());
    shape[last] = if n == 0 { 0 } else { what.count(n) };
    let (values, places) = (Tensor::empty(&shape, t.dtype())?, Tensor::empty(&shape, DType::I64)?);
    let size = (rows.numel() / n.max(1), n);
    let (from, to, at) = (rows.ptr()?, values.ptr()?, places.ptr()?.cast());
    // SAFETY: row-major tensors; the results have as many elements as are picked of each row.
    unsafe { order(t.dtype(), what, descending, from, size, to, at) };
    Ok((values.transpose(dim, -1)?, places.transpose(dim, -1)?))
}

fn check_real(name: &str, t: &Tensor) -> Result<()> {
    if t.dtype().is_complex() {
        bail!(Runtime, "{name}: does not support complex input");
    }
    Ok(())
}

/// Copies of results, in the memory order of `t` where it has their shape and is dense.
fn like(t: &Tensor, all: [Tensor; 2]) -> Result<Outputs> {
    let one = |r: Tensor| {
        let r = if t.ndim() == 0 { r.reshape(&[])? } else { r };
        let dense = t.layout().dense() && t.shape() == r.shape();
        if !dense || t.is_contiguous() {
            return r.detach().contiguous();
        }
        let strides = crate::shape::Strides::from_slice(t.strides());
        let out = Tensor::empty_strided(Shape::from_slice(t.shape()), strides, r.dtype())?;
        pointwise::copy(&r, &out)?;
        Ok(out)
    };
    all.into_iter().map(one).collect()
}

/// The gradient goes where each value came from, along the dimension in argument `at`.
fn to_places(cx: &Cx, v: &[&Tensor], at: usize) -> Result<Tensor> {
    index::spread(v[0], &v[1].detach(), cx.args.int(at)?, &cx.input(0).shape)
}

fn sorted(t: &Tensor, dim: i64, descending: bool) -> Result<Outputs> {
    check_real("sort()", t)?;
    let d = wrap_dim(dim, t.ndim())? as i64;
    let (values, places) = picked(t, d, Pick::Sorted, descending)?;
    like(t, [values, places])
}

pub(crate) const SORT: Structured = Structured {
    schema: "sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The elements along a dimension in order, and where they were. Stable; NaN counts as largest.\n\n>>> torch.sort(torch.tensor([3., 1., 2.])).indices\ntensor([1, 2, 0])",
    forms: Forms::BOTH,
    forward: |a| sorted(a.tensor(0)?, a.int(1)?, a.bool(2)?),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| to_places(cx, v, 1);
        vec![X::verb("to_places", back, &[X::Grad(0), X::Out(1)])]
    }),
    node: "SortBackward0(dim, self_sym_sizes)",
};

pub(crate) const SORT_STABLE: Structured = Structured {
    schema: "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "As `sort`, which is always stable.",
    forms: Forms::BOTH,
    forward: |a| sorted(a.tensor(0)?, a.int(2)?, a.bool(3)?),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| to_places(cx, v, 2);
        vec![X::verb("to_places", back, &[X::Grad(0), X::Out(1)])]
    }),
    node: "SortBackward1(dim, self_sym_sizes)",
};

pub(crate) const MSORT: Structured = Structured {
    schema: "msort(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The elements in order along the first dimension.\n\n>>> torch.msort(torch.tensor([3, 1, 2]))\ntensor([1, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| {
        let mut out = call(Id::SORT, &[a.get(0).clone(), 0.into(), false.into()])?;
        out.truncate(1);
        Ok(out)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const ARGSORT: Structured = Structured {
    schema: "argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor",
    aliases: &[],
    doc: "The indices that put the elements along a dimension in order.\n\n>>> torch.argsort(torch.tensor([3., 1., 2.]))\ntensor([1, 2, 0])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![sorted(a.tensor(0)?, a.int(1)?, a.bool(2)?)?.remove(1)]),
    vjp: Vjp::None,
    node: "",
};

pub(crate) const ARGSORT_STABLE: Structured = Structured {
    schema: "argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
    aliases: &[],
    doc: "As `argsort`, which is always stable.",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![sorted(a.tensor(0)?, a.int(2)?, a.bool(3)?)?.remove(1)]),
    vjp: Vjp::None,
    node: "",
};

pub(crate) const TOPK: Structured = Structured {
    schema: "topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The `k` largest (or smallest) elements along a dimension, in order, and where they were.\n\n>>> torch.topk(torch.tensor([3., 1., 2.]), 2).indices\ntensor([0, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, k) = (a.tensor(0)?, a.int(1)?);
        let d = wrap_dim(a.int(2)?, t.ndim())?;
        if k < 0 || k as usize > t.shape().get(d).copied().unwrap_or(1) {
            bail!(Runtime, "selected index k out of range");
        }
        if t.dtype() == DType::Bool {
            bail!(Runtime, "topk does not support bool dtypes on CPU");
        }
        check_real("topk()", t)?;
        let (values, places) = picked(t, d as i64, Pick::First(k as usize), a.bool(3)?)?;
        [values, places]
            .into_iter()
            .map(|r| if t.ndim() == 0 && k == 1 { r.reshape(&[]) } else { r.detach().contiguous() })
            .collect()
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| to_places(cx, v, 2);
        vec![X::verb("to_places", back, &[X::Grad(0), X::Out(1)])]
    }),
    node: "TopkBackward0(dim, self_sym_sizes)",
};

/// One of each row: dimension and `keepdim` are arguments `at` and `at + 1`.
fn single(name: &str, a: &Args, at: usize, what: Pick) -> Result<Outputs> {
    let t = a.tensor(0)?;
    check_real(name, t)?;
    let d = wrap_dim(a.int(at)?, t.ndim())?;
    let n = t.shape().get(d).copied().unwrap_or(1);
    if n == 0 {
        bail!(Index, "{name}: Expected reduction dim {d} to have non-zero size.");
    }
    let (values, places) = picked(t, d as i64, what, false)?;
    let one = |r: Tensor| {
        let mut shape = Shape::from_slice(t.shape());
        if !a.bool(at + 1)? && t.ndim() > 0 {
            shape.remove(d);
        } else if t.ndim() > 0 {
            shape[d] = 1;
        }
        r.detach().contiguous()?.reshape(&shape)
    };
    Ok(smallvec![one(values)?, one(places)?])
}

fn refuse_bool(name: &str, t: &Tensor) -> Result<()> {
    if t.dtype() == DType::Bool {
        bail!(NotImplemented, "\"{name}\" not implemented for 'Bool'");
    }
    Ok(())
}

pub(crate) const KTHVALUE: Structured = Structured {
    schema: "kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The k-th smallest elements along a dimension, and where they are.\n\n>>> torch.kthvalue(torch.tensor([3., 1., 2.]), 2).values\ntensor(2.)",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, k) = (a.tensor(0)?, a.int(1)?);
        let d = wrap_dim(a.int(2)?, t.ndim())?;
        let n = t.shape().get(d).copied().unwrap_or(1);
        if n > 0 && (k < 1 || k as usize > n) {
            bail!(Runtime, "kthvalue(): selected number k out of range for dimension {d}");
        }
        refuse_bool("kthvalue_cpu", t)?;
        single("kthvalue()", &a, 2, Pick::Nth((k.max(1) - 1) as usize))
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let (keep, shape) = (cx.args.bool(3)?, &cx.input(0).shape);
            if keep || shape.is_empty() {
                return to_places(cx, v, 2);
            }
            let d = wrap_dim(cx.args.int(2)?, shape.len())? as i64;
            index::spread(&v[0].unsqueeze(d)?, &v[1].detach().unsqueeze(d)?, d, shape)
        };
        vec![X::verb("to_place", back, &[X::Grad(0), X::Out(1)])]
    }),
    node: "KthvalueBackward0(dim, keepdim, self_sym_sizes)",
};

const TO_SOURCE: Vjp =
    Vjp::Many(|| vec![X::verb("to_source", to_source, &[X::Grad(0), X::Out(1)])]);

/// The median of all elements; NaN or the smallest integer of none.
fn median(t: &Tensor, skip_nan: bool) -> Result<Outputs> {
    refuse_bool("median_cpu", t)?;
    check_real("median()", t)?;
    if t.numel() == 0 {
        let none =
            if t.dtype().is_float() { f64::NAN.into() } else { crate::Scalar::Int(i64::MIN) };
        return Ok(smallvec![Tensor::full(&[], none, t.dtype())?]);
    }
    let flat = t.detach().reshape(&[t.numel()])?;
    let (values, _) = picked(&flat, 0, Pick::Median { skip_nan }, false)?;
    Ok(smallvec![values.reshape(&[])?.detach()])
}

pub(crate) const MEDIAN: Structured = Structured {
    schema: "median(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The median of all elements, the lower one of two; NaN if there is one. Ties share the gradient.\n\n>>> torch.median(torch.tensor([3., 1., 2.]))\ntensor(2.)",
    forms: Forms::BOTH,
    forward: |a| median(a.tensor(0)?, false),
    vjp: SHARE_ALL,
    node: "MedianBackward0",
};

pub(crate) const MEDIAN_DIM: Structured = Structured {
    schema: "median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The medians along a dimension, and where they are.\n\n>>> torch.median(torch.tensor([[3., 1., 2.]]), 1).values\ntensor([2.])",
    forms: Forms::BOTH,
    forward: |a| {
        refuse_bool("median_out", a.tensor(0)?)?;
        single("median()", &a, 1, Pick::Median { skip_nan: false })
    },
    vjp: TO_SOURCE,
    node: "MedianBackward1(dim, keepdim, self_sym_sizes)",
};

pub(crate) const NANMEDIAN: Structured = Structured {
    schema: "nanmedian(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The median of all elements that are not NaN.\n\n>>> torch.nanmedian(torch.tensor([3., torch.nan, 2.]))\ntensor(2.)",
    forms: Forms::BOTH,
    forward: |a| median(a.tensor(0)?, true),
    vjp: SHARE_ALL,
    node: "NanmedianBackward0",
};

pub(crate) const NANMEDIAN_DIM: Structured = Structured {
    schema: "nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The medians along a dimension of what is not NaN, and where they are.\n\n>>> torch.nanmedian(torch.tensor([[3., torch.nan, 2.]]), 1).values\ntensor([2.])",
    forms: Forms::BOTH,
    forward: |a| {
        refuse_bool("median_out", a.tensor(0)?)?;
        single("nanmedian()", &a, 1, Pick::Median { skip_nan: true })
    },
    vjp: TO_SOURCE,
    node: "NanmedianBackward1(dim, keepdim, self_sym_sizes)",
};

pub(crate) const MODE: Structured = Structured {
    schema: "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    aliases: &[],
    doc: "The most frequent elements along a dimension, the smallest of several, and where they last occur.\n\n>>> torch.mode(torch.tensor([3., 1., 3.])).values\ntensor(3.)",
    forms: Forms::BOTH,
    forward: |a| single("mode()", &a, 1, Pick::Mode),
    vjp: TO_SOURCE,
    node: "ModeBackward0(dim, keepdim, self_sym_sizes)",
};

/// All elements in order, as a vector, and where they were.
pub(crate) fn flat_order(t: &Tensor) -> Result<(Tensor, Tensor)> {
    check_real("unique()", t)?;
    picked(&t.detach().reshape(&[t.numel()])?, 0, Pick::Sorted, false)
}

/// The elements of a vector at the given places.
fn at(t: &Tensor, places: &Tensor) -> Result<Tensor> {
    call1(Id::INDEX_SELECT, &[t.into(), 0.into(), places.into()])
}
