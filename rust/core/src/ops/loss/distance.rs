//! Losses of distances and angles between vectors.

use super::{Reduction, one, size, with, zero_unless};
use crate::formula::Vjp;
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::pointwise::{self, binary};
use crate::promote::promote;
use crate::shape::{broadcast, show};
use crate::value::Args;
use crate::{Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;

/// The Euclidean or other norm along a dimension, as the operation `id`.
fn norm(id: Id, t: &Tensor, p: Scalar, dim: i64, keepdim: bool) -> Result<Tensor> {
    let dims = Value::from(&[dim][..]);
    call1(id, &[t.into(), dims, keepdim.into(), p.into(), Value::None])
}

pub(crate) const COSINE_SIMILARITY: Structured = Structured {
    schema: "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-8) -> Tensor",
    aliases: &[],
    doc: "The cosine of the angle between vectors, whose norms count as `eps` at least.\n\n>>> torch.cosine_similarity(torch.tensor([[1., 0.]]), torch.tensor([[1., 1.]]))\ntensor([0.7071])",
    forms: Forms::FUNCTION.and(Forms::NN),
    forward: |a| {
        let (x, y, dim) = (a.tensor(0)?, a.tensor(1)?, a.int(2)?);
        let d = promote(x.dtype(), y.dtype());
        if !d.is_float() {
            bail!(
                Runtime,
                "expected common dtype to be floating point, yet common dtype is {}",
                d.scalar_name()
            );
        }
        let shape = broadcast(x.shape(), y.shape())?;
        let unit = |t: &Tensor| {
            let t = t.to(d)?.expand(&shape)?;
            let length =
                call1(Id::CLONE, &[norm(Id::VECTOR_NORM, &t, Scalar::Int(2), dim, true)?.into()])?;
            {
                // The limit has no part in the derivative.
                let _off = crate::mode::Guard::new(false);
                pointwise::in_place(Id::CLAMP_LOW, &[(&length).into(), a.number(3)?.into()])?;
            }
            t.div(&length)
        };
        Ok(smallvec![unit(x)?.mul(&unit(y)?)?.sum(&[dim], false)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The norm of `x - y + eps` along the last dimension.
fn distance(x: &Tensor, y: &Tensor, p: Scalar, eps: Scalar, keepdim: bool) -> Result<Tensor> {
    norm(
        Id::NORM_DIM,
        &with(Id::ADD_NUMBER, &x.sub(y)?, eps)?,
        p,
        x.ndim().max(y.ndim()) as i64 - 1,
        keepdim,
    )
}

pub(crate) const PAIRWISE_DISTANCE: Structured = Structured {
    schema: "pairwise_distance(Tensor x1, Tensor x2, float p=2, float eps=1e-06, bool keepdim=False) -> Tensor",
    aliases: &[],
    doc: "The norm of order `p` of `x1 - x2 + eps` along the last dimension.\n\n>>> torch.pairwise_distance(torch.tensor([[3., 0.]]), torch.tensor([[0., 4.]]))\ntensor([5.])",
    forms: Forms::FUNCTION.and(Forms::NN),
    forward: |a| {
        let (p, eps) = (a.number(2)?, a.number(3)?);
        Ok(smallvec![distance(a.tensor(0)?, a.tensor(1)?, p, eps, a.bool(4)?)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// `n - t`, as a difference of tensors.
fn less(n: Scalar, t: &Tensor) -> Result<Tensor> {
    pointwise::call(Id::SUB, &[n.into(), t.into()])
}

/// `max(t, 0)`
fn positive(t: &Tensor) -> Result<Tensor> {
    with(Id::CLAMP_MIN, t, Scalar::Int(0))
}

pub(crate) const MARGIN_RANKING_LOSS: Structured = Structured {
    schema: "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`max(0, margin - y * (x1 - x2))`: what lacks for `x1` to exceed `x2` (where `y` is 1; the other way round where it is -1) by the margin.\n\n>>> torch.nn.functional.margin_ranking_loss(torch.tensor([1.]), torch.tensor([3.]), torch.tensor([1.]))\ntensor(2.)",
    forms: Forms::NN,
    forward: |a| {
        let [x, y, target] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
        let how = Reduction::of(&a, 4, 5)?;
        if x.ndim() != y.ndim() || x.ndim() != target.ndim() {
            bail!(
                Runtime,
                "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {}, input2: {}, target: {} ",
                size(x),
                size(y),
                size(target)
            );
        }
        let gain = one(Id::NEG, target)?.mul(&x.sub(y)?)?;
        how.outputs(positive(&with(Id::ADD_NUMBER, &gain, a.number(3)?)?)?)
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HINGE_EMBEDDING_LOSS: Structured = Structured {
    schema: "hinge_embedding_loss(Tensor input, Tensor target, float margin=1.0, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`x` for the label 1, `max(0, margin - x)` for -1.\n\n>>> torch.nn.functional.hinge_embedding_loss(torch.tensor([3., 0.5]), torch.tensor([1., -1.]))\ntensor(1.7500)",
    forms: Forms::NN,
    forward: |a| {
        let (x, label, how) = (a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 3, 4)?);
        let lacking = positive(&less(a.number(2)?, x)?)?;
        let kept = zero_unless(&with(Id::NE, label, Scalar::Int(1))?, &lacking)?;
        how.outputs(kept.add(&zero_unless(&with(Id::NE, label, Scalar::Int(-1))?, x)?)?)
    },
    vjp: Vjp::Composed,
    node: "",
};

/// PyTorch's refusals of operands of `cosine_embedding_loss`.
fn check_embedding(x: &Tensor, y: &Tensor, label: &Tensor) -> Result<()> {
    let n = label.ndim();
    if n > 1 {
        bail!(Runtime, "0D or 1D target tensor expected, multi-target not supported");
    }
    if x.ndim() != n + 1 || y.ndim() != n + 1 {
        bail!(
            Runtime,
            "{n}D target tensor expects {}D input tensors, but found inputs with sizes {} and {}.",
            n + 1,
            show(x.shape()),
            show(y.shape())
        );
    }
    Ok(())
}

pub(crate) const COSINE_EMBEDDING_LOSS: Structured = Structured {
    schema: "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "`1 - cos(x1, x2)` for the label 1, `max(0, cos(x1, x2) - margin)` for -1.\n\n>>> torch.nn.functional.cosine_embedding_loss(torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]]), torch.tensor([1.]))\ntensor(1.)",
    forms: Forms::NN,
    forward: |a| {
        let [x, y, label] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
        let how = Reduction::of(&a, 4, 5)?;
        check_embedding(x, y, label)?;
        let product = |p: &Tensor, q: &Tensor| p.mul(q)?.sum(&[label.ndim() as i64], false);
        let square = |t: &Tensor| with(Id::ADD_NUMBER, &product(t, t)?, 1e-12);
        let cosine = product(x, y)?.div(&one(Id::SQRT, &square(x)?.mul(&square(y)?)?)?)?;
        let apart = positive(&with(Id::SUB_NUMBER, &cosine, a.number(3)?)?)?;
        let near = less(Scalar::Int(1), &cosine)?;
        let near = zero_unless(&with(Id::EQ, label, Scalar::Int(1))?, &near)?;
        how.outputs(near.add(&zero_unless(&with(Id::EQ, label, Scalar::Int(-1))?, &apart)?)?)
    },
    vjp: Vjp::Composed,
    node: "",
};

fn check_triplet(a: &Args) -> Result<()> {
    let margin = a.number(3)?;
    if margin.to_f64() <= 0.0 {
        let margin = match margin {
            Scalar::Float(v) => format!("{v:?}"),
            v => v.to_i64().to_string(),
        };
        bail!(Value, "margin must be greater than 0, got {margin}");
    }
    let [x, y, z] = [a.tensor(0)?.ndim(), a.tensor(1)?.ndim(), a.tensor(2)?.ndim()];
    if x != y || x != z {
        bail!(
            Runtime,
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {x}D, positive {y}D, and negative {z}D inputs"
        );
    }
    Ok(())
}

pub(crate) const TRIPLET_MARGIN_LOSS: Structured = Structured {
    schema: "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, Scalar margin=1.0, float p=2, float eps=1e-6, bool swap=False, bool? size_average=None, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "What lacks for the anchor to be nearer to the positive than to the negative by the margin; `swap` takes the positive for the anchor where that is harder (Balntas et al., 2016).\n\n>>> torch.nn.functional.triplet_margin_loss(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1))\ntensor(1.)",
    forms: Forms::NN,
    forward: |a| {
        let how = Reduction::of(&a, 7, 8)?;
        check_triplet(&a)?;
        let [anchor, positive_, negative] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
        let (p, eps) = (a.number(4)?, a.number(5)?);
        let near = distance(anchor, positive_, p, eps, false)?;
        let mut far = distance(anchor, negative, p, eps, false)?;
        if a.bool(6)? {
            far = binary(Id::MINIMUM, &far, &distance(positive_, negative, p, eps, false)?)?;
        }
        let lacking = with(Id::ADD_NUMBER, &near, a.number(3)?)?.sub(&far)?;
        how.outputs(positive(&lacking)?)
    },
    vjp: Vjp::Composed,
    node: "",
};
