//! More ways to take a tensor to pieces, and to repeat its pieces.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call, call1};
use crate::ops::strided::embed;
use crate::ops::{Id, view};
use crate::shape::{Layout, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail, pointwise};
use smallvec::{SmallVec, smallvec};

pub(crate) const NARROW_COPY: Structured = Structured {
    schema: "narrow_copy(Tensor self, int dim, int start, int length) -> Tensor",
    aliases: &[],
    doc: "A copy of `length` indices of a dimension from `start` on.\n\n>>> torch.narrow_copy(torch.arange(5), 0, 1, 3)\ntensor([1, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, dim, start, length) = (a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?);
        if t.ndim() > 0 && dim >= t.ndim() as i64 {
            bail!(
                Runtime,
                "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
            );
        }
        if length < 0 && t.ndim() > 0 {
            let n = t.shape()[wrap_dim(dim, t.ndim())?];
            bail!(Runtime, "start ({start}) + length ({length}) exceeds dimension size ({n}).");
        }
        let part = call1(Id::NARROW, &[t.into(), dim.into(), start.into(), length.into()])?;
        Ok(smallvec![part.fresh_copy(t.dtype())?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let whole = Layout::contiguous(&cx.input(0).shape);
            let d = wrap_dim(cx.args.int(1)?, whole.ndim())?;
            let start = cx.args.int(2)?.rem_euclid(whole.shape[d].max(1) as i64);
            let end = Some(start + cx.args.int(3)?);
            let l = super::slice::slice_layout(&whole, d as i64, Some(start), end, 1)?;
            embed(g[0], &whole.shape, &l)
        };
        vec![X::verb("narrow_backward", back, &[X::Grad(0)])]
    }),
    node: "NarrowCopyBackward0(dim, start, length, self_sym_sizes)",
};

/// The pieces between the given indices; no two share a node, so they may be written to.
fn cut(t: &Tensor, indices: &[i64], dim: i64) -> Result<Outputs> {
    let mut out = Outputs::new();
    let mut start = 0;
    for &end in indices {
        out.push(t.slice(dim, Some(start), Some(end), 1)?);
        start = end;
    }
    let end = t.shape()[wrap_dim(dim, t.ndim())?] as i64;
    out.push(t.slice(dim, Some(start), Some(end), 1)?);
    Ok(out)
}

fn splittable(t: &Tensor) -> Result<()> {
    if t.ndim() == 0 {
        bail!(
            Runtime,
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        );
    }
    Ok(())
}

/// Pieces of nearly one size: the first ones have one index more.
fn sections(t: &Tensor, sections: i64, dim: i64) -> Result<Outputs> {
    splittable(t)?;
    let d = wrap_dim(dim, t.ndim())?;
    if sections <= 0 {
        bail!(Runtime, "number of sections must be larger than 0, got {sections}");
    }
    let (size, more) = (t.shape()[d] as i64 / sections, t.shape()[d] as i64 % sections);
    let ends: Vec<i64> = (1..sections).map(|i| i * size + i.min(more)).collect();
    cut(t, &ends, d as i64)
}

pub(crate) const TENSOR_SPLIT_TENSOR: Structured = Structured {
    schema: "tensor_split.tensor(Tensor self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "Views of pieces along a dimension, their number or the indices between them in a tensor.\n\n>>> torch.tensor_split(torch.arange(3), torch.tensor(2))\n(tensor([0, 1]), tensor([2]))",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, at) = (a.tensor(0)?, a.tensor(1)?);
        if at.dtype() != DType::I64 {
            bail!(
                Runtime,
                "tensor_split expected tensor_indices_or_sections to have dtype of long, but got {}",
                at.dtype().scalar_name()
            );
        }
        match at.ndim() {
            0 => sections(t, at.item()?.to_i64(), a.int(2)?),
            1 => {
                splittable(t)?;
                cut(t, &at.to_vec::<i64>()?, a.int(2)?)
            }
            n => bail!(
                Runtime,
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {n} dims"
            ),
        }
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const TENSOR_SPLIT: Structured = Structured {
    schema: "tensor_split.sections(Tensor self, int sections, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "Views of so many pieces along a dimension, of nearly one size.\n\n>>> torch.tensor_split(torch.arange(3), 2)\n(tensor([0, 1]), tensor([2]))",
    forms: Forms::BOTH,
    forward: |a| sections(a.tensor(0)?, a.int(1)?, a.int(2)?),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const TENSOR_SPLIT_AT: Structured = Structured {
    schema: "tensor_split.indices(Tensor self, int[] indices, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "Views of the pieces along a dimension between the given indices.\n\n>>> torch.tensor_split(torch.arange(3), (1,))\n(tensor([0]), tensor([1, 2]))",
    forms: Forms::BOTH,
    forward: |a| {
        splittable(a.tensor(0)?)?;
        cut(a.tensor(0)?, a.ints(1)?, a.int(2)?)
    },
    vjp: Vjp::Composed,
    node: "",
};

/// `hsplit` and its like: along a dimension of their own, which must be divisible.
fn split_along(name: &str, a: &Args, least: usize, dim: usize) -> Result<Outputs> {
    let t = a.tensor(0)?;
    if t.ndim() < least {
        bail!(
            Runtime,
            "torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {} dimensions!",
            t.ndim()
        );
    }
    let Value::Int(n) = *a.get(1) else { return cut(t, a.ints(1)?, dim as i64) };
    let size = t.shape()[dim] as i64;
    if n == 0 || size % n != 0 {
        bail!(
            Runtime,
            "torch.{name} attempted to split along dimension {dim}, but the size of the dimension {size} is not divisible by the split_size {n}!"
        );
    }
    sections(t, n, dim as i64)
}

fn hsplit(a: Args) -> Result<Outputs> {
    let dim = (a.tensor(0)?.ndim() > 1) as usize;
    split_along("hsplit", &a, 1, dim)
}

pub(crate) const HSPLIT: Structured = Structured {
    schema: "hsplit.int(Tensor self, int sections) -> Tensor[]",
    aliases: &[],
    doc: "Views of so many equal pieces side by side.\n\n>>> torch.hsplit(torch.arange(2), 2)\n(tensor([0]), tensor([1]))",
    forms: Forms::BOTH,
    forward: hsplit,
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const HSPLIT_AT: Structured = Structured {
    schema: "hsplit.array(Tensor self, int[] indices) -> Tensor[]",
    aliases: &[],
    doc: "Views of the pieces side by side, between the given columns.\n\n>>> torch.hsplit(torch.arange(3), (1,))\n(tensor([0]), tensor([1, 2]))",
    forms: Forms::BOTH,
    forward: hsplit,
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const VSPLIT: Structured = Structured {
    schema: "vsplit.int(Tensor self, int sections) -> Tensor[]",
    aliases: &[],
    doc: "Views of so many equal pieces, one above the other.\n\n>>> torch.vsplit(torch.eye(2), 2)\n(tensor([[1., 0.]]), tensor([[0., 1.]]))",
    forms: Forms::BOTH,
    forward: |a| split_along("vsplit", &a, 2, 0),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const VSPLIT_AT: Structured = Structured {
    schema: "vsplit.array(Tensor self, int[] indices) -> Tensor[]",
    aliases: &[],
    doc: "Views of the pieces between the given rows.\n\n>>> torch.vsplit(torch.eye(2), (1,))\n(tensor([[1., 0.]]), tensor([[0., 1.]]))",
    forms: Forms::BOTH,
    forward: |a| split_along("vsplit", &a, 2, 0),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const DSPLIT: Structured = Structured {
    schema: "dsplit.int(Tensor self, int sections) -> Tensor[]",
    aliases: &[],
    doc: "Views of so many equal pieces along the third dimension.\n\n>>> len(torch.dsplit(torch.ones(1, 1, 4), 2))\n2",
    forms: Forms::BOTH,
    forward: |a| split_along("dsplit", &a, 3, 2),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const DSPLIT_AT: Structured = Structured {
    schema: "dsplit.array(Tensor self, int[] indices) -> Tensor[]",
    aliases: &[],
    doc: "Views of the pieces between the given indices of the third dimension.\n\n>>> len(torch.dsplit(torch.ones(1, 1, 4), (1, 2)))\n3",
    forms: Forms::BOTH,
    forward: |a| split_along("dsplit", &a, 3, 2),
    vjp: Vjp::Composed,
    node: "",
};

fn windows(l: &Layout, a: &Args) -> Result<Layout> {
    let (d, size, step) = (wrap_dim(a.int(1)?, l.ndim())?, a.int(2)?, a.int(3)?);
    let n = l.shape.get(d).copied().unwrap_or(1) as i64;
    if size < 0 {
        bail!(Runtime, "size is {size} but must be >= 0");
    }
    if size > n {
        bail!(Runtime, "maximum size for tensor at dimension {d} is {n} but size is {size}");
    }
    if step <= 0 {
        bail!(Runtime, "step is {step} but must be > 0");
    }
    let mut out = l.clone();
    out.strides.push(l.strides.get(d).copied().unwrap_or(1));
    if l.ndim() > 0 {
        out.shape[d] = ((n - size) / step + 1) as usize;
        out.strides[d] *= step as isize;
    }
    out.shape.push(size as usize);
    Ok(Layout::new(out.shape, out.strides, l.offset))
}

pub(crate) const UNFOLD: Structured = Structured {
    schema: "unfold(Tensor self, int dimension, int size, int step) -> Tensor",
    aliases: &[],
    doc: "A view of all windows of `size` along a dimension, `step` apart, as a new last dimension.\n\n>>> torch.arange(4).unfold(0, 2, 1)\ntensor([[0, 1],\n        [1, 2],\n        [2, 3]])",
    forms: Forms::METHOD,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![t.view_as_layout(windows(t.layout(), &a)?)])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let whole = Layout::contiguous(&cx.input(0).shape);
            embed(g[0], &whole.shape, &windows(&whole, &cx.args)?)
        };
        vec![X::verb("unfold_backward", back, &[X::Grad(0)])]
    }),
    node: "UnfoldBackward0(dimension, size, step, self_sym_sizes)",
};

fn check_size(given: Option<i64>, size: i64, what: &str) -> Result<()> {
    match given {
        Some(n) if n != size => bail!(Runtime, "{what}"),
        _ => Ok(()),
    }
}

pub(crate) const REPEAT_INTERLEAVE: Structured = Structured {
    schema: "repeat_interleave.self_int(Tensor self, int repeats, int? dim=None, *, int? output_size=None) -> Tensor",
    aliases: &[],
    doc: "Each index of a dimension so many times in a row; without `dim`, each element.\n\n>>> torch.repeat_interleave(torch.tensor([1, 2]), 2)\ntensor([1, 1, 2, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let (mut t, repeats) = (a.tensor(0)?.clone(), a.int(1)?);
        if a.opt_int(2)?.is_none() {
            t = call1(Id::FLATTEN, &[(&t).into(), 0i64.into(), (-1i64).into()])?;
        }
        if repeats < 0 {
            bail!(Runtime, "Repeats must be non-negative");
        }
        let d = wrap_dim(a.opt_int(2)?.unwrap_or(0), t.ndim())?;
        if t.ndim() == 0 {
            t = t.reshape(&[1])?;
        }
        let size = t.shape()[d] as i64 * repeats;
        let text = format!(
            "repeat_interleave: Invalid output_size, expected {size} but got {}",
            a.opt_int(3)?.unwrap_or(size)
        );
        check_size(a.opt_int(3)?, size, &text)?;
        let mut shape: SmallVec<[usize; 6]> = t.shape().iter().copied().collect();
        shape.insert(d + 1, repeats as usize);
        let rows = view::contiguous_clone(&t.unsqueeze(d as i64 + 1)?.expand(&shape)?)?;
        let (from, to) = (Value::Int(d as i64), Value::Int(d as i64 + 1));
        Ok(smallvec![call1(Id::FLATTEN, &[rows.into(), from, to])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// Index i, `repeats[i]` times each.
fn repeated_indices(repeats: &Tensor, size: Option<i64>) -> Result<Tensor> {
    if !matches!(repeats.dtype(), DType::I64 | DType::I32) {
        bail!(
            NotImplemented,
            "\"repeat_interleave_cpu\" not implemented for '{}'",
            repeats.dtype().scalar_name()
        );
    }
    if repeats.ndim() != 1 {
        bail!(Runtime, "repeat_interleave only accept 1D vector as repeat");
    }
    let counts = repeats.to(DType::I64)?.to_vec::<i64>()?;
    if counts.iter().any(|&n| n < 0) {
        bail!(Runtime, "repeats can not be negative");
    }
    let total = counts.iter().sum();
    check_size(size, total, "allocated size does not match required size")?;
    let mut all = counts.iter().enumerate().flat_map(|(i, &n)| (0..n).map(move |_| i as i64));
    Tensor::build(total as usize, DType::I64, |_| Scalar::Int(all.next().unwrap_or(0)))
}

pub(crate) const REPEAT_INTERLEAVE_TENSOR: Structured = Structured {
    schema: "repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, int? output_size=None) -> Tensor",
    aliases: &[],
    doc: "Index i of a dimension `repeats[i]` times in a row.\n\n>>> torch.repeat_interleave(torch.tensor([5, 6]), torch.tensor([1, 2]))\ntensor([5, 6, 6])",
    forms: Forms::BOTH,
    forward: |a| {
        let (mut t, repeats) = (a.tensor(0)?.clone(), a.tensor(1)?);
        if a.opt_int(2)?.is_none() {
            t = call1(Id::FLATTEN, &[(&t).into(), 0i64.into(), (-1i64).into()])?;
        }
        let d = wrap_dim(a.opt_int(2)?.unwrap_or(0), t.ndim())?;
        let n = t.shape().get(d).copied().unwrap_or(1);
        let repeats = match repeats.ndim() {
            _ if repeats.ndim() > 1 => bail!(Runtime, "repeats must be 0-dim or 1-dim tensor"),
            _ if repeats.numel() == 1 => repeats.reshape(&[1])?.expand(&[n])?,
            _ if repeats.shape()[0] != n => bail!(
                Runtime,
                "repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({d}) = {n}",
                repeats.shape()[0]
            ),
            _ => repeats.clone(),
        };
        let index = repeated_indices(&repeats, a.opt_int(3)?)?;
        call(Id::INDEX_SELECT, &[t.into(), (d as i64).into(), index.into()])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const REPEATED_INDICES: Structured = Structured {
    schema: "repeat_interleave.Tensor(Tensor repeats, *, int? output_size=None) -> Tensor",
    aliases: &[],
    doc: "Index i, `repeats[i]` times in a row.\n\n>>> torch.repeat_interleave(torch.tensor([1, 2]))\ntensor([0, 1, 1])",
    forms: Forms::FUNCTION,
    forward: |a| Ok(smallvec![repeated_indices(a.tensor(0)?, a.opt_int(1)?)?]),
    vjp: Vjp::None,
    node: "",
};

/// Where matrix `i` begins on the diagonal.
fn corner(shapes: &[[usize; 2]], i: usize) -> [usize; 2] {
    shapes[..i].iter().fold([0, 0], |c, s| [c[0] + s[0], c[1] + s[1]])
}

fn as_matrix(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [rows, columns, ..] => [rows, columns],
        [columns] => [1, columns],
        [] => [1, 1],
    }
}

pub(crate) const BLOCK_DIAG: Structured = Structured {
    schema: "_block_diag(Tensor[] tensors) -> Tensor",
    aliases: &[],
    doc: "Matrices along the diagonal of one, zeros elsewhere.",
    forms: Forms::FUNCTION,
    forward: |a| {
        let list = a.tensors(0)?;
        if let Some((i, t)) = list.iter().enumerate().find(|(_, t)| t.ndim() > 2) {
            bail!(
                Runtime,
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {} dimensions",
                t.ndim()
            );
        }
        if list.is_empty() {
            return Ok(smallvec![Tensor::empty(&[1, 0], crate::promote::default_dtype())?]);
        }
        let shapes: Vec<[usize; 2]> = list.iter().map(|t| as_matrix(t.shape())).collect();
        let refs: Vec<&Tensor> = list.iter().collect();
        let out = Tensor::zeros(&corner(&shapes, list.len()), crate::promote::result_type(&refs))?;
        for (i, t) in list.iter().enumerate() {
            let [row, column] = corner(&shapes, i);
            let strides = out.layout().strides.clone();
            let offset = row as isize * strides[0] + column as isize * strides[1];
            let block = Layout::new(SmallVec::from_slice(&shapes[i]), strides, offset);
            pointwise::copy(t, &out.alias(block))?;
        }
        Ok(smallvec![out])
    },
    vjp: Vjp::Each(|cx, g, i| {
        let shapes: Vec<[usize; 2]> = cx.inputs.iter().map(|m| as_matrix(&m.shape)).collect();
        let (at, size) = (corner(&shapes, i), shapes[i]);
        let mut part = g.clone();
        for d in 0..2 {
            let end = (at[d] + size[d]) as i64;
            part = part.slice(d as i64, Some(at[d] as i64), Some(end), 1)?;
        }
        part.reshape(&cx.input(i).shape)
    }),
    node: "BlockDiagBackward0",
};
