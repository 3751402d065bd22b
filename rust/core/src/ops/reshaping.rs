//! More ways to see the same elements: diagonals, moved dimensions, the shape of another tensor.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::ops::strided::embed;
use crate::shape::{Layout, infer_shape, show, wrap_dim};
use crate::value::Args;
use crate::{Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

fn sizes(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&n| n as i64).collect())
}

fn diagonal_layout(l: &Layout, a: &Args) -> Result<Layout> {
    let (offset, n) = (a.int(1)?, l.ndim());
    let (d1, d2) = (wrap_dim(a.int(2)?, n)?, wrap_dim(a.int(3)?, n)?);
    if d1 == d2 {
        bail!(Runtime, "diagonal dimensions cannot be identical {}, {}", a.int(2)?, a.int(3)?);
    }
    let (rows, columns) = (l.shape[d1] as i64, l.shape[d2] as i64);
    let (down, right) = ((-offset).max(0), offset.max(0));
    let len = (rows - down).min(columns - right).max(0);
    let (mut shape, mut strides) = (l.shape.clone(), l.strides.clone());
    let step = strides[d1] + strides[d2];
    let mut start = l.offset;
    if len > 0 {
        start += down as isize * strides[d1] + right as isize * strides[d2];
    }
    for d in [d1.max(d2), d1.min(d2)] {
        shape.remove(d);
        strides.remove(d);
    }
    shape.push(len as usize);
    strides.push(step);
    Ok(Layout::new(shape, strides, start))
}

pub(crate) const DIAGONAL: Structured = Structured {
    schema: "diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    aliases: &[],
    doc: "A view of the diagonal of two dimensions, as the last dimension.\n\n>>> torch.tensor([[1, 2], [3, 4]]).diagonal()\ntensor([1, 4])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![t.view_as_layout(diagonal_layout(t.layout(), &a)?)])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let whole = Layout::contiguous(&cx.input(0).shape);
            embed(g[0], &whole.shape, &diagonal_layout(&whole, &cx.args)?)
        };
        vec![X::verb("diagonal_backward", back, &[X::Grad(0)])]
    }),
    node: "DiagonalBackward0",
};

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
        return Ok(t.view_as_layout(t.layout().clone()));
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
