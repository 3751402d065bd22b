//! More ways to see the same elements: moved dimensions, another tensor's shape, another dtype.

use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::{Layout, infer_shape, show, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

fn sizes(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&n| n as i64).collect())
}

/// The permutation that brings the dimensions `source` to the places `destination`.
fn moved(t: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
    if source.len() != destination.len() {
        bail!(
            Runtime,
            "movedim: Invalid source or destination dims: source ({} dims) should contain the same number of dims as destination ({} dims)",
            show(source),
            show(destination)
        );
    }
    let distinct = |dims: &[i64], what: &str| {
        let mut out: SmallVec<[usize; 4]> = SmallVec::new();
        for &d in dims {
            let d = wrap_dim(d, t.ndim())?;
            if out.contains(&d) {
                bail!(Runtime, "movedim: repeated dim in `{what}` ({})", show(dims));
            }
            out.push(d);
        }
        Ok(out)
    };
    let from = distinct(source, "source")?;
    let to = distinct(destination, "destination")?;
    if t.ndim() == 0 {
        return call1(Id::ALIAS, &[t.into()]);
    }
    let mut rest = (0..t.ndim()).filter(|d| !from.contains(d));
    let order: SmallVec<[i64; 4]> = (0..t.ndim())
        .map(|place| match to.iter().position(|&p| p == place) {
            Some(i) => from[i] as i64,
            None => rest.next().unwrap_or(0) as i64,
        })
        .collect();
    t.permute(&order)
}

pub(crate) const MOVEDIM: Structured = Structured {
    schema: "movedim.int(Tensor self, int source, int destination) -> Tensor",
    aliases: &["moveaxis"],
    doc: "A view with one dimension at another place.\n\n>>> torch.ones(2, 3, 4).movedim(0, 2).shape\ntorch.Size([3, 4, 2])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![moved(a.tensor(0)?, &[a.int(1)?], &[a.int(2)?])?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const MOVEDIMS: Structured = Structured {
    schema: "movedim.intlist(Tensor self, int[] source, int[] destination) -> Tensor",
    aliases: &["moveaxis"],
    doc: "A view with several dimensions at other places.\n\n>>> torch.ones(2, 3, 4).movedim((0, 1), (1, 2)).shape\ntorch.Size([4, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![moved(a.tensor(0)?, a.ints(1)?, a.ints(2)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const EXPAND_AS: Structured = Structured {
    schema: "expand_as(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "Expanded to the shape of another tensor.\n\n>>> torch.ones(3, 1).expand_as(torch.ones(3, 4)).shape\ntorch.Size([3, 4])",
    forms: Forms::METHOD,
    forward: |a| {
        let size = sizes(a.tensor(1)?.shape());
        Ok(smallvec![call1(Id::EXPAND, &[a.tensor(0)?.into(), size, false.into()])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const VIEW_AS: Structured = Structured {
    schema: "view_as(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "A view in the shape of another tensor.\n\n>>> torch.arange(4).view_as(torch.ones(2, 2)).shape\ntorch.Size([2, 2])",
    forms: Forms::METHOD,
    forward: |a| {
        Ok(smallvec![call1(Id::VIEW, &[a.tensor(0)?.into(), sizes(a.tensor(1)?.shape())])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const RESHAPE_AS: Structured = Structured {
    schema: "reshape_as(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "Reshaped to the shape of another tensor.\n\n>>> torch.arange(4).reshape_as(torch.ones(2, 2)).shape\ntorch.Size([2, 2])",
    forms: Forms::METHOD,
    forward: |a| {
        Ok(smallvec![call1(Id::RESHAPE, &[a.tensor(0)?.into(), sizes(a.tensor(1)?.shape())])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

fn unflatten(a: &Args) -> Result<Outputs> {
    let (t, parts) = (a.tensor(0)?, a.ints(2)?);
    let d = wrap_dim(a.int(1)?, t.ndim())?;
    if parts.is_empty() {
        bail!(Runtime, "unflatten: sizes must be non-empty");
    }
    let n = t.shape().get(d).copied().unwrap_or(1);
    let Ok(inner) = infer_shape(parts, n) else {
        bail!(
            Runtime,
            "unflatten: Provided sizes {} don't multiply up to the size of dim {d} ({n}) in the input tensor",
            show(parts)
        );
    };
    let mut shape: SmallVec<[usize; 4]> = SmallVec::from_slice(t.shape());
    if d < shape.len() {
        shape.remove(d);
    }
    shape.insert_many(d, inner);
    Ok(smallvec![call1(Id::VIEW, &[t.into(), sizes(&shape)])?])
}

pub(crate) const UNFLATTEN: Structured = Structured {
    schema: "unflatten(Tensor self, int dim, int[] sizes) -> Tensor",
    aliases: &[],
    doc: "One dimension seen as several.\n\n>>> torch.ones(2, 6).unflatten(1, (2, 3)).shape\ntorch.Size([2, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| unflatten(&a),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const RAVEL: Structured = Structured {
    schema: "ravel(Tensor self) -> Tensor",
    aliases: &[],
    doc: "All elements in one dimension; a view if possible.\n\n>>> torch.ones(2, 3).ravel().shape\ntorch.Size([6])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?.contiguous()?;
        Ok(smallvec![call1(Id::VIEW, &[t.into(), sizes(&[a.tensor(0)?.numel()])])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const BROADCAST_TO: Structured = Structured {
    schema: "broadcast_to(Tensor self, int[] size) -> Tensor",
    aliases: &[],
    doc: "A view expanded to a shape.\n\n>>> torch.broadcast_to(torch.arange(2), (2, 2))\ntensor([[0, 1],\n        [0, 1]])",
    forms: Forms::BOTH,
    forward: |a| {
        let size = a.get(1).clone();
        Ok(smallvec![call1(Id::EXPAND, &[a.tensor(0)?.into(), size, false.into()])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const ADJOINT: Structured = Structured {
    schema: "adjoint(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The last two dimensions exchanged (and conjugated, where there is something to conjugate).\n\n>>> torch.adjoint(torch.ones(2, 3)).shape\ntorch.Size([3, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![match t.ndim() {
            0 => t.clone(),
            1 => bail!(
                Runtime,
                "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
            ),
            _ => t.transpose(-2, -1)?,
        }])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The layout of the same bytes as elements of another size.
fn retyped(l: &Layout, from: DType, to: DType) -> Result<Layout> {
    let (old, new) = (from.size() as isize, to.size() as isize);
    if old == new {
        return Ok(l.clone());
    }
    let as_ =
        format!("to view {} as {} (different element sizes)", from.scalar_name(), to.scalar_name());
    let Some(last) = l.ndim().checked_sub(1) else {
        bail!(Runtime, "self.dim() cannot be 0 {as_}");
    };
    let ratio = old.max(new) / old.min(new);
    let divisible = |name: &str, v: isize| match v % ratio {
        0 => Ok(()),
        _ => bail!(Runtime, "self.{name} must be divisible by {ratio} {as_}, but got {v}"),
    };
    if new > old {
        divisible("size(-1)", l.shape[last] as isize)?;
        divisible("storage_offset()", l.offset)?;
    }
    if l.strides[last] != 1 {
        bail!(Runtime, "self.stride(-1) must be 1 {as_}, but got {}", l.strides[last]);
    }
    let mut out = l.clone();
    for d in 0..last {
        if new > old {
            divisible(&format!("stride({d})"), l.strides[d])?;
        }
        out.strides[d] = l.strides[d] * old / new;
    }
    out.shape[last] = l.shape[last] * old as usize / new as usize;
    Ok(Layout::new(out.shape, out.strides, l.offset * old / new))
}

pub(crate) const VIEW_DTYPE: Structured = Structured {
    schema: "view.dtype(Tensor self, ScalarType dtype) -> Tensor",
    aliases: &[],
    doc: "The same memory read as another dtype; gradients do not flow through it.\n\n>>> torch.tensor([1.0]).view(torch.int32)\ntensor([1065353216], dtype=torch.int32)",
    forms: Forms::METHOD,
    forward: |a| {
        let (t, dtype) = (a.tensor(0)?, a.dtype(1)?);
        let layout = retyped(t.layout(), t.dtype(), dtype)?;
        t.ptr()?;
        Ok(smallvec![Tensor::from_parts(t.storage().clone(), layout, dtype)])
    },
    vjp: Vjp::Composed,
    node: "",
};
