//! Elements combined along a dimension with what is at their index: sums, products, means, extrema.

use super::scatter::{gather, scatter_with};
use super::spot::How;
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::{Layout, Shape, Strides, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail, pointwise};
use smallvec::smallvec;
use wengert_kernels::places::Combine;

/// One call, of either operation: `index` has the shape of `src`.
struct Call<'a> {
    dim: i64,
    index: Tensor,
    src: &'a Tensor,
    how: &'a str,
    include_self: bool,
}

impl Call<'_> {
    fn combine(&self) -> Result<Combine> {
        Ok(match self.how {
            "sum" | "mean" => Combine::Add,
            "prod" => Combine::Mul,
            "amax" => Combine::Max,
            "amin" => Combine::Min,
            other => bail!(
                Runtime,
                "reduce argument must be either sum, prod, mean, amax or amin, got {other}"
            ),
        })
    }

    /// The number that changes nothing.
    fn identity(&self, dtype: DType) -> Scalar {
        let bits = 8 * dtype.size() as u32;
        let (low, high) = match dtype {
            DType::Bool => (0, 1),
            d if d.is_signed() => (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)),
            _ => (0, (u64::MAX >> (64 - bits)) as i64),
        };
        match self.how {
            "prod" => Scalar::Int(1),
            "amax" if dtype.is_float() => Scalar::Float(f64::NEG_INFINITY),
            "amin" if dtype.is_float() => Scalar::Float(f64::INFINITY),
            "amax" => Scalar::Int(low),
            "amin" => Scalar::Int(high),
            _ => Scalar::Int(0),
        }
    }

    fn forward(&self, t: &Tensor) -> Result<Outputs> {
        let combine = self.combine()?;
        let out = t.fresh_copy(t.dtype())?;
        if !self.include_self {
            let start = Tensor::full(&[], self.identity(t.dtype()), t.dtype())?;
            scatter_with(&out, self.dim, &self.index, &start, How::Put)?;
        }
        scatter_with(&out, self.dim, &self.index, self.src, How::Combine(combine))?;
        if self.how != "mean" {
            return Ok(smallvec![out]);
        }
        let counts = self.counts(&out)?;
        let divide = if t.dtype().is_float() { Id::DIV } else { Id::DIV_FLOOR_MODE };
        Ok(smallvec![pointwise::binary(divide, &out, &counts)?.to(t.dtype())?])
    }

    /// How many elements each result is the mean of; 1 for none.
    fn counts(&self, like: &Tensor) -> Result<Tensor> {
        let first = Scalar::Int(self.include_self as i64);
        let counts = Tensor::full(like.shape(), first, like.dtype())?;
        let one = Tensor::full(&[], Scalar::Int(1), like.dtype())?;
        scatter_with(&counts, self.dim, &self.index, &one, How::Combine(Combine::Add))?;
        pointwise::call(Id::CLAMP_MIN, &[(&counts).into(), 1i64.into()])
    }

    fn gather(&self, t: &Tensor) -> Result<Tensor> {
        gather(t, self.dim, &self.index)
    }

    fn add(&self, t: &Tensor, src: &Tensor) -> Result<Tensor> {
        call1(Id::SCATTER_ADD, &[t.into(), self.dim.into(), (&self.index).into(), src.into()])
    }

    /// The same product with other factors.
    fn product(&self, t: &Tensor, src: &Tensor) -> Result<Tensor> {
        call1(
            Id::SCATTER_REDUCE,
            &[
                t.into(),
                self.dim.into(),
                (&self.index).into(),
                src.into(),
                Value::Str("prod".into()),
                self.include_self.into(),
            ],
        )
    }

    fn self_back(&self, g: &Tensor, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let back = match self.how {
            "sum" => g.clone(),
            "mean" => g.div(&self.counts(g)?)?,
            "prod" => {
                let nonzero = filled(t, &is(Id::EQ, t, 0)?)?;
                g.mul(&self.product(&nonzero, self.src)?)?.div(&nonzero)?
            }
            _ => self.shares(g, t, y)?.0,
        };
        if self.include_self {
            return Ok(back);
        }
        let zero = Value::Number(Scalar::Int(0));
        call1(Id::SCATTER_VALUE, &[back.into(), self.dim.into(), (&self.index).into(), zero])
    }

    fn src_back(&self, g: &Tensor, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        match self.how {
            "sum" => self.gather(g),
            "mean" => self.gather(&g.div(&self.counts(g)?)?),
            "prod" => self.factor_back(g, t, y),
            _ => Ok(self.shares(g, t, y)?.1),
        }
    }

    /// Of factors of which one is zero, that one gets the product of the others.
    fn factor_back(&self, g: &Tensor, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let zero = is(Id::EQ, self.src, 0)?;
        let zeros = Tensor::zeros(t.shape(), t.dtype())?;
        let zeros = self.gather(&self.add(&zeros, &zero.to(t.dtype())?)?)?;
        if crate::mode::grad_enabled()
            && call1(Id::ANY, &[is(Id::GT, &zeros, 1)?.into()])?.item()?.is_true()
        {
            bail!(
                Runtime,
                "scatter_reduce(): Double backward is unsupported for src when >1 zeros in src are scattered to the same position in self"
            );
        }
        let alone = pointwise::binary(Id::LOGICAL_AND, &zero, &is(Id::EQ, &zeros, 1)?)?;
        let others = self.product(t, &filled(self.src, &alone)?)?;
        let at_zero = self.gather(&g.mul(&others)?)?;
        let elsewhere = self.gather(&g.mul(y)?)?.div(&filled(self.src, &zero)?)?;
        pointwise::call(Id::WHERE, &[(&alone).into(), (&at_zero).into(), (&elsewhere).into()])
    }

    /// The gradients of an extremum, shared evenly by all that equal it.
    fn shares(&self, g: &Tensor, t: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
        let (t, src) = (t.detach(), self.src.detach());
        let own = pointwise::binary(Id::EQ, &t, &y.detach())?.to(g.dtype())?;
        let there = self.gather(&y.detach())?;
        let from = pointwise::binary(Id::EQ, &src, &there)?.to(g.dtype())?;
        let share = g.div(&self.add(&own, &from)?)?;
        Ok((own.mul(&share)?, from.mul(&self.gather(&share)?)?))
    }
}

fn is(compare: Id, t: &Tensor, n: i64) -> Result<Tensor> {
    pointwise::call(compare, &[(&t.detach()).into(), n.into()])
}

/// `t` with ones where the mask is true.
fn filled(t: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let one = Value::Number(Scalar::Int(1));
    call1(Id::MASKED_FILL, &[t.into(), mask.into(), one])
}

fn scatter_call<'a>(a: &Args<'a>, index: &Tensor, src: &'a Tensor) -> Result<Call<'a>> {
    let (dim, how, include_self) = (a.int(1)?, a.str(4)?, a.bool(5)?);
    Ok(Call { dim, index: index.clone(), src, how, include_self })
}

/// A vector of indices as large as the slices it stands for, without a copy.
fn slices_call<'a>(a: &Args<'a>, index: &Tensor, src: &'a Tensor) -> Result<Call<'a>> {
    let (dim, how, include_self) = (a.int(1)?, a.str(4)?, a.bool(5)?);
    let d = wrap_dim(dim, src.ndim())?;
    index.ptr()?;
    let mut strides = Strides::from_elem(0, src.ndim());
    if let Some(s) = strides.get_mut(d) {
        *s = index.strides().first().copied().unwrap_or(1);
    }
    let layout = Layout::new(Shape::from_slice(src.shape()), strides, index.layout().offset);
    Ok(Call { dim, index: index.alias(layout), src, how, include_self })
}

macro_rules! vjp {
    ($call:ident) => {
        Vjp::Many(|| {
            let own =
                |cx: &Cx, v: &[&Tensor]| $call(&cx.args, v[2], v[3])?.self_back(v[0], v[1], v[4]);
            let src =
                |cx: &Cx, v: &[&Tensor]| $call(&cx.args, v[2], v[3])?.src_back(v[0], v[1], v[4]);
            let from = [X::Grad(0), X::In(0), X::In(1), X::In(2), X::Out(0)];
            vec![X::verb("self", own, &from), X::None, X::verb("src", src, &from)]
        })
    };
}

pub(crate) const SCATTER_REDUCE: Structured = Structured {
    schema: "scatter_reduce(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements of `src` combined along a dimension with what is at their index: `reduce` is 'sum', 'prod', 'mean', 'amax' or 'amin'.\n\n>>> torch.ones(2).scatter_reduce(0, torch.tensor([1, 1]), torch.tensor([5., 6.]), 'amax')\ntensor([1., 6.])",
    forms: Forms::ALL,
    forward: |a| scatter_call(&a, a.tensor(2)?, a.tensor(3)?)?.forward(a.tensor(0)?),
    vjp: vjp!(scatter_call),
    node: "ScatterReduceBackward0",
};

fn check_slices(a: &Args) -> Result<()> {
    let (t, index, source) = (a.tensor(0)?, a.tensor(2)?, a.tensor(3)?);
    let d = wrap_dim(a.int(1)?, t.ndim())?;
    if !matches!(a.str(4)?, "prod" | "mean" | "amax" | "amin") {
        bail!(
            Runtime,
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {}.",
            a.str(4)?
        );
    }
    if index.ndim() > 1 {
        bail!(Index, "index_reduce(): Index is supposed to be a vector");
    }
    if t.dtype() != source.dtype() {
        bail!(Runtime, "index_reduce(): self and source must have the same scalar type");
    }
    let n = source.shape().get(d).copied().unwrap_or(1);
    if index.numel() != n {
        bail!(
            Runtime,
            "index_reduce(): Number of indices ({}) should be equal to source.size(dim): ({n}), for dim: {d}",
            index.numel()
        );
    }
    Ok(())
}

pub(crate) const INDEX_REDUCE: Structured = Structured {
    schema: "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
    aliases: &[],
    doc: "A copy with the slices of `source` combined along a dimension with those at the indices: `reduce` is 'prod', 'mean', 'amax' or 'amin'.\n\n>>> torch.ones(2).index_reduce(0, torch.tensor([1, 1]), torch.tensor([5., 6.]), 'amax')\ntensor([1., 6.])",
    forms: Forms::ALL,
    forward: |a| {
        check_slices(&a)?;
        slices_call(&a, a.tensor(2)?, a.tensor(3)?)?.forward(a.tensor(0)?)
    },
    vjp: vjp!(slices_call),
    node: "IndexReduceBackward0",
};
