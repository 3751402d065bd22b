//! The places of the elements that are not zero.

use super::spot::places_of;
use crate::formula::Vjp;
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::Layout;
use crate::{DType, Result, Tensor, Value, pointwise};
use smallvec::smallvec;

/// A bool tensor: true where `t` is not zero.
fn truth(t: &Tensor) -> Result<Tensor> {
    let t = t.detach();
    if t.dtype() == DType::Bool {
        return Ok(t);
    }
    pointwise::call(Id::NE, &[(&t).into(), 0i64.into()])
}

pub(crate) const NONZERO: Structured = Structured {
    schema: "nonzero(Tensor self) -> Tensor",
    aliases: &["argwhere"],
    doc: "The places of the elements that are not zero, one row of indices each.\n\n>>> torch.nonzero(torch.tensor([0., 2., 3.]))\ntensor([[1],\n        [2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = truth(a.tensor(0)?)?;
        if t.ndim() == 0 {
            let found = t.item()?.is_true() as usize;
            return Ok(smallvec![Tensor::empty_strided(
                smallvec![found, 0],
                smallvec![1, found as isize],
                DType::I64
            )?]);
        }
        let places = places_of(&t)?;
        let (k, n) = (places.shape()[0], places.shape()[1]);
        let layout = Layout::new(smallvec![n, k], smallvec![1, n as isize], 0);
        Ok(smallvec![places.alias(layout)])
    },
    vjp: Vjp::None,
    node: "NonzeroBackward0",
};

pub(crate) const NONZERO_TUPLE: Structured = Structured {
    schema: "nonzero.tuple(Tensor self, *, bool as_tuple) -> Tensor[]",
    aliases: &[],
    doc: "The places of the elements that are not zero, a tensor of indices for each dimension.",
    forms: Forms::BOTH,
    forward: |a| {
        if !a.bool(1)? {
            return call1(Id::NONZERO, &[a.tensor(0)?.into()]).map(|t| smallvec![t]);
        }
        let t = truth(a.tensor(0)?)?;
        let t = if t.ndim() == 0 { t.reshape(&[1])? } else { t };
        let places = places_of(&t)?;
        (0..t.ndim()).map(|d| Ok(places.select(0, d as i64)?.detach())).collect()
    },
    vjp: Vjp::None,
    node: "NonzeroBackward0",
};

pub(crate) const WHERE_ONE: Structured = Structured {
    schema: "where.condition(Tensor condition) -> Tensor[]",
    aliases: &[],
    doc: "The places of the elements that are not zero, a tensor of indices for each dimension.\n\n>>> torch.where(torch.tensor([0., 2., 3.]))\n(tensor([1, 2]),)",
    forms: Forms::FUNCTION,
    forward: |a| crate::op::call(Id::NONZERO_TUPLE, &[a.tensor(0)?.into(), Value::Bool(true)]),
    vjp: Vjp::None,
    node: "NonzeroBackward0",
};
