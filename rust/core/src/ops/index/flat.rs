//! Elements counted in row-major order: `take`, `put`, and those that a mask chooses.

use super::spot::{How, Spot, check_apart, out_of_bounds};
use super::{sizes, written};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::{Id, join};
use crate::shape::{broadcast, expandable, show};
use crate::value::Args;
use crate::{DType, Error, Result, Tensor, Value, bail, err};
use smallvec::smallvec;
use wengert_kernels::places::{Combine, Outside};

fn outside(bad: Outside, n: usize) -> Error {
    let i = bad.value;
    err!(Index, "out of range: tried to access index {i} on a tensor of {n} elements.")
}

fn take(t: &Tensor, index: &Tensor) -> Result<Tensor> {
    call1(Id::TAKE, &[t.into(), index.into()])
}

/// What a single index list points at.
fn one(index: Tensor) -> Value {
    Value::Indices(vec![Some(index)])
}

pub(crate) const TAKE: Structured = Structured {
    schema: "take(Tensor self, Tensor index) -> Tensor",
    aliases: &[],
    doc: "The elements at the given places, counted in order through all dimensions.\n\n>>> torch.take(torch.tensor([[5, 6], [7, 8]]), torch.tensor([0, 3]))\ntensor([5, 8])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, index) = (a.tensor(0)?, a.tensor(1)?);
        if index.dtype() != DType::I64 {
            let name = index.dtype().scalar_name();
            bail!(Runtime, "take(): Expected a long tensor for index, but got {name}");
        }
        if t.numel() == 0 && index.numel() != 0 {
            bail!(Index, "take(): tried to take from an empty tensor");
        }
        Ok(smallvec![Spot::counted(t, index, &outside)?.read_rows(t, &outside)?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let shape = &cx.input(0).shape;
            let flat = sizes(&[shape.iter().product()]);
            call1(Id::INDEX_SPREAD, &[v[0].into(), one(v[1].clone()), flat])?.reshape(shape)
        };
        vec![X::verb("take_backward", back, &[X::Grad(0), X::In(1)]).saving(X::In(0))]
    }),
    node: "TakeBackward0",
};

pub(crate) fn put(x: &Tensor, a: &Args) -> Result<()> {
    let (index, source, accumulate) = (a.tensor(1)?, a.tensor(2)?, a.bool(3)?);
    if index.dtype() != DType::I64 {
        let name = index.dtype().scalar_name();
        bail!(Runtime, "put_(): Expected a long tensor for index, but got {name}");
    }
    if x.dtype() != source.dtype() {
        bail!(
            Runtime,
            "put_(): self and source expected to have the same dtype, but got self.dtype = {} and source.dtype = {}",
            x.dtype().scalar_name(),
            source.dtype().scalar_name()
        );
    }
    if source.numel() != index.numel() {
        bail!(
            Index,
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = {}, index.numel() = {}",
            source.numel(),
            index.numel()
        );
    }
    if x.numel() == 0 && index.numel() != 0 {
        bail!(Index, "put_(): Tried to put elements into an empty tensor");
    }
    check_apart(x, source)?;
    let source = source.detach().reshape(index.shape())?;
    let how = if accumulate { How::Combine(Combine::Add) } else { How::Put };
    Spot::counted(x, index, &outside)?.write(x, &source, how, &outside)
}

pub(crate) const PUT: Structured = Structured {
    schema: "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements at the given places, counted in order through all dimensions, replaced or added to.\n\n>>> torch.put(torch.zeros(2, 2), torch.tensor([0, 3]), torch.tensor([1., 2.]))\ntensor([[1., 0.],\n        [0., 2.]])",
    forms: Forms::ALL,
    forward: |a| written(&a, put),
    vjp: Vjp::Many(|| {
        let rest = |cx: &Cx, v: &[&Tensor]| {
            if cx.args.bool(3)? {
                return Ok(v[0].clone());
            }
            let zeros = Tensor::zeros(v[1].shape(), v[0].dtype())?;
            call1(Id::PUT, &[v[0].into(), v[1].into(), zeros.into(), false.into()])
        };
        let source = |cx: &Cx, v: &[&Tensor]| take(v[0], v[1])?.reshape(&cx.input(2).shape);
        let from = [X::Grad(0), X::In(1)];
        let source = X::verb("take", source, &from).saving(X::In(2));
        vec![X::verb("rest", rest, &from), X::None, source]
    }),
    node: "PutBackward0",
};

pub(crate) const MASKED_SELECT: Structured = Structured {
    schema: "masked_select(Tensor self, Tensor mask) -> Tensor",
    aliases: &[],
    doc: "The elements where the mask is true, in order.\n\n>>> x = torch.tensor([1., -2., 3.])\n>>> torch.masked_select(x, x > 0)\ntensor([1., 3.])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, mask) = (a.tensor(0)?.detach(), a.tensor(1)?);
        if mask.dtype() != DType::Bool {
            bail!(Runtime, "masked_select: expected BoolTensor for mask");
        }
        let mut shape = broadcast(mask.shape(), t.shape())?;
        if shape.is_empty() {
            shape.push(1);
        }
        let (t, mask) = (t.expand(&shape)?, mask.detach().expand(&shape)?);
        Ok(smallvec![Spot::new(&t, &[Some(mask)])?.read_rows(&t, &out_of_bounds)?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, v: &[&Tensor]| {
            let mut shape = broadcast(&cx.input(0).shape, v[1].shape())?;
            if shape.is_empty() {
                shape.push(1);
            }
            let mask = one(v[1].detach().expand(&shape)?);
            call1(Id::INDEX_SPREAD, &[v[0].into(), mask, sizes(&shape)])
        };
        let from = [X::Grad(0), X::In(1)];
        vec![X::verb("masked_select_backward", back, &from).saving(X::In(0))]
    }),
    node: "MaskedSelectBackward0",
};

pub(crate) fn masked_put(x: &Tensor, a: &Args) -> Result<()> {
    let (mask, source) = (a.tensor(1)?, a.tensor(2)?);
    if mask.dtype() != DType::Bool {
        bail!(
            Runtime,
            "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
            mask.dtype().scalar_name()
        );
    }
    if x.dtype() != source.dtype() {
        bail!(
            Runtime,
            "masked_scatter: expected self and source to have same dtypes but got{} and {}",
            x.dtype().scalar_name(),
            source.dtype().scalar_name()
        );
    }
    if !expandable(mask.shape(), x.shape()) && mask.ndim() > x.ndim() {
        bail!(
            Runtime,
            "expand(CPUBoolType{{{}}}, size={}): the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({})",
            show(mask.shape()),
            show(x.shape()),
            x.ndim(),
            mask.ndim()
        );
    }
    let x = super::at_least_1d(x)?;
    let mask = mask.detach().expand(x.shape())?;
    let spot = Spot::new(&x, &[Some(mask)])?;
    let count = spot.shape()[0];
    if count > source.numel() {
        bail!(Runtime, "Number of elements of source < number of ones in mask");
    }
    let rows = source.detach().reshape(&[source.numel()])?;
    spot.write(&x, &rows.slice(0, Some(0), Some(count as i64), 1)?, How::Put, &out_of_bounds)
}

pub(crate) const MASKED_SCATTER: Structured = Structured {
    schema: "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor",
    aliases: &[],
    doc: "A copy with the elements where the mask is true replaced by those of `source`, in order.\n\n>>> torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.tensor([1., 2.]))\ntensor([1., 0., 2.])",
    forms: Forms::ALL,
    forward: |a| {
        let (t, mask) = (a.tensor(0)?, a.tensor(1)?);
        let shape = broadcast(t.shape(), mask.shape())?;
        let copy = t.detach().expand(&shape)?.fresh_copy(t.dtype())?;
        masked_put(&copy, &a)?;
        Ok(smallvec![copy])
    },
    vjp: Vjp::Many(|| {
        let rest = |_: &Cx, v: &[&Tensor]| {
            let zero = Value::Number(crate::Scalar::Int(0));
            call1(Id::MASKED_FILL, &[v[0].into(), v[1].into(), zero])
        };
        let source = |cx: &Cx, v: &[&Tensor]| {
            let shape = &cx.input(2).shape;
            let used = call1(Id::MASKED_SELECT, &[v[0].into(), v[1].into()])?;
            let rest = shape.iter().product::<usize>() - used.numel();
            join::cat(&[used, Tensor::zeros(&[rest], v[0].dtype())?], 0)?.reshape(shape)
        };
        let from = [X::Grad(0), X::In(1)];
        vec![X::verb("rest", rest, &from), X::None, X::verb("source", source, &from)]
    }),
    node: "MaskedScatterBackward0(source_sym_sizes)",
};
