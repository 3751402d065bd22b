//! Elements in another order, repeated, or cut to a triangle.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::ops::slice::slice_layout;
use crate::shape::{Layout, Shape, Strides, contiguous_strides, show, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail, pointwise};
use smallvec::{SmallVec, smallvec};

/// The dimensions of argument `i`, each at most once.
fn distinct(a: &Args, i: usize, ndim: usize) -> Result<SmallVec<[usize; 4]>> {
    let mut out = SmallVec::new();
    for &d in a.ints(i)? {
        let d = wrap_dim(d, ndim)?;
        if out.contains(&d) {
            bail!(Runtime, "dim {d} appears multiple times in the list of dims");
        }
        out.push(d);
    }
    Ok(out)
}

pub(crate) const FLIP: Structured = Structured {
    schema: "flip(Tensor self, int[] dims) -> Tensor",
    aliases: &[],
    doc: "Dimensions in reverse order, as a copy.\n\n>>> torch.flip(torch.tensor([1, 2, 3]), (0,))\ntensor([3, 2, 1])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let mut l = t.layout().clone();
        for d in distinct(&a, 1, t.ndim())? {
            if t.ndim() > 0 {
                l.offset += (l.shape[d] as isize - 1).max(0) * l.strides[d];
                l.strides[d] = -l.strides[d];
            }
        }
        t.ptr()?;
        let out = Tensor::empty_like(t, t.dtype())?;
        pointwise::copy(&t.alias(Layout::new(l.shape, l.strides, l.offset)), &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| call1(Id::FLIP, &[g[0].into(), cx.args.get(1).clone()]);
        vec![X::verb("flip", back, &[X::Grad(0)])]
    }),
    node: "FlipBackward0",
};

fn flipped(t: &Tensor, dims: &[i64]) -> Result<Tensor> {
    call1(Id::FLIP, &[t.into(), dims.into()])
}

pub(crate) const FLIPLR: Structured = Structured {
    schema: "fliplr(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Columns in reverse order, as a copy.\n\n>>> torch.fliplr(torch.tensor([[1, 2]]))\ntensor([[2, 1]])",
    forms: Forms::BOTH,
    forward: |a| {
        if a.tensor(0)?.ndim() < 2 {
            bail!(Runtime, "Input must be >= 2-d.");
        }
        Ok(smallvec![flipped(a.tensor(0)?, &[1])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const FLIPUD: Structured = Structured {
    schema: "flipud(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Rows in reverse order, as a copy.\n\n>>> torch.flipud(torch.tensor([1, 2]))\ntensor([2, 1])",
    forms: Forms::BOTH,
    forward: |a| {
        if a.tensor(0)?.ndim() < 1 {
            bail!(Runtime, "Input must be >= 1-d.");
        }
        Ok(smallvec![flipped(a.tensor(0)?, &[0])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const ROT90: Structured = Structured {
    schema: "rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor",
    aliases: &[],
    doc: "Turned by `k` quarters in the plane of two dimensions, from the first to the second.\n\n>>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))\ntensor([[2, 4],\n        [1, 3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, dims) = (a.tensor(0)?, a.ints(2)?);
        let &[from, to] = dims else {
            bail!(Runtime, "expected total rotation dims == 2, but got dims = {}", dims.len());
        };
        if t.ndim() < 2 {
            bail!(Runtime, "expected total dims >= 2, but got total dims = {}", t.ndim());
        }
        let (i, j) = (wrap_dim(from, t.ndim())?, wrap_dim(to, t.ndim())?);
        if i == j {
            bail!(
                Runtime,
                "expected rotation dims to be different, but got dim0 = {from} and dim1 = {to}"
            );
        }
        let turned = |t: Tensor| {
            let mut l = t.layout().clone();
            l.shape.swap(i, j);
            l.strides.swap(i, j);
            t.alias(Layout::new(l.shape, l.strides, l.offset))
        };
        Ok(smallvec![match a.int(1)?.rem_euclid(4) {
            0 => t.fresh_copy(t.dtype())?,
            1 => turned(flipped(t, &[to])?),
            2 => flipped(t, dims)?,
            _ => turned(flipped(t, &[from])?),
        }])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            call1(Id::ROT90, &[g[0].into(), Value::Int(-cx.args.int(1)?), cx.args.get(2).clone()])
        };
        vec![X::verb("rot90", back, &[X::Grad(0)])]
    }),
    node: "Rot90Backward0",
};

/// A row-major copy moved around by `shift` places along a dimension.
fn rolled(t: &Tensor, shift: i64, dim: usize) -> Result<Tensor> {
    let n = t.shape()[dim] as i64;
    let out = Tensor::empty(t.shape(), t.dtype())?;
    if t.numel() == 0 {
        return Ok(out);
    }
    t.ptr()?;
    let cut = n - shift.rem_euclid(n);
    let part = |t: &Tensor, from: i64, to: i64| {
        let l = slice_layout(t.layout(), dim as i64, Some(from), Some(to), 1)?;
        Ok::<_, crate::Error>(t.alias(l))
    };
    pointwise::copy(&part(t, cut, n)?, &part(&out, 0, n - cut)?)?;
    pointwise::copy(&part(t, 0, cut)?, &part(&out, n - cut, n)?)?;
    Ok(out)
}

pub(crate) const ROLL: Structured = Structured {
    schema: "roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor",
    aliases: &[],
    doc: "Elements moved around along dimensions; through all elements in order without `dims`.\n\n>>> torch.roll(torch.tensor([1, 2, 3]), 1)\ntensor([3, 1, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, shifts, dims) = (a.tensor(0)?, a.ints(1)?, a.ints(2)?);
        if shifts.is_empty() {
            bail!(Runtime, "`shifts` required");
        }
        if dims.is_empty() && shifts.len() == 1 {
            let flat = t.contiguous()?.reshape(&[t.numel()])?;
            return Ok(smallvec![rolled(&flat, shifts[0], 0)?.reshape(t.shape())?]);
        }
        if dims.len() != shifts.len() {
            bail!(
                Runtime,
                "shifts and dimensions must align. shifts: {}, dims:{}",
                shifts.len(),
                dims.len()
            );
        }
        if t.ndim() == 0 {
            bail!(Index, "Dimension specified as {} but tensor has no dimensions", dims[0]);
        }
        let mut out = t.clone();
        for (&s, &d) in shifts.iter().zip(dims) {
            let d = wrap_dim(d, t.ndim())?;
            out = rolled(&out, s, d)?;
        }
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let shifts = Value::Ints(cx.args.ints(1)?.iter().rev().map(|s| -s).collect());
            let dims = Value::Ints(cx.args.ints(2)?.iter().rev().copied().collect());
            call1(Id::ROLL, &[g[0].into(), shifts, dims])
        };
        vec![X::verb("roll", back, &[X::Grad(0)])]
    }),
    node: "RollBackward0",
};

/// `t` where `keep(column - row)`, zero elsewhere.
fn triangle(name: &str, a: &Args, keep: fn(i64, i64) -> bool) -> Result<Outputs> {
    let (t, diagonal) = (a.tensor(0)?, a.int(1)?);
    let &[.., rows, columns] = t.shape() else {
        bail!(Runtime, "{name}: input tensor must have at least 2 dimensions");
    };
    let mask = Tensor::build(rows * columns, DType::Bool, |i| {
        let (row, column) = (i / columns, i % columns);
        Scalar::Bool(keep(column as i64 - row as i64, diagonal))
    })?;
    let mask = mask.reshape(&[rows, columns])?;
    let zero = Scalar::Bool(false).into();
    Ok(smallvec![pointwise::call(Id::WHERE, &[(&mask).into(), t.into(), zero])?])
}

pub(crate) const TRIL: Structured = Structured {
    schema: "tril(Tensor self, int diagonal=0) -> Tensor",
    aliases: &[],
    doc: "The lower triangle of matrices, up to a diagonal; zeros elsewhere.\n\n>>> torch.tril(torch.ones(2, 2))\ntensor([[1., 0.],\n        [1., 1.]])",
    forms: Forms::ALL,
    forward: |a| triangle("tril", &a, |place, diagonal| place <= diagonal),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| call1(Id::TRIL, &[g[0].into(), cx.args.int(1)?.into()]);
        vec![X::verb("tril", back, &[X::Grad(0)])]
    }),
    node: "TrilBackward0",
};

pub(crate) const TRIU: Structured = Structured {
    schema: "triu(Tensor self, int diagonal=0) -> Tensor",
    aliases: &[],
    doc: "The upper triangle of matrices, from a diagonal on; zeros elsewhere.\n\n>>> torch.triu(torch.ones(2, 2))\ntensor([[1., 1.],\n        [0., 1.]])",
    forms: Forms::ALL,
    forward: |a| triangle("triu", &a, |place, diagonal| place >= diagonal),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| call1(Id::TRIU, &[g[0].into(), cx.args.int(1)?.into()]);
        vec![X::verb("triu", back, &[X::Grad(0)])]
    }),
    node: "TriuBackward0",
};

/// A dimension of size `n` repeated `r` times, as the pair (r, n), for each dimension.
fn pairs(repeats: &[i64], shape: &[usize]) -> SmallVec<[(usize, usize); 4]> {
    let lead = repeats.len() - shape.len();
    let size = |d: usize| if d < lead { 1 } else { shape[d - lead] };
    repeats.iter().enumerate().map(|(d, &r)| (r as usize, size(d))).collect()
}

fn repeat(t: &Tensor, repeats: &[i64]) -> Result<Tensor> {
    if repeats.len() < t.ndim() {
        bail!(
            Runtime,
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        );
    }
    let lead = repeats.len() - t.ndim();
    if repeats.iter().any(|&r| r < 0) {
        let size = |d: usize| if d < lead { 1 } else { t.shape()[d - lead] as i64 };
        let sizes: Vec<i64> = repeats.iter().enumerate().map(|(d, &r)| r * size(d)).collect();
        let first = sizes.iter().find(|&&s| s < 0).copied().unwrap_or(-1);
        bail!(Runtime, "Trying to create tensor with negative dimension {first}: {}", show(&sizes));
    }
    let pairs = pairs(repeats, t.shape());
    let out: Shape = pairs.iter().map(|(r, n)| r * n).collect();
    let out = Tensor::empty(&out, t.dtype())?;
    // Both sides as (r0, n0, r1, n1, ...): the input stands still along each r.
    let shape: Shape = pairs.iter().flat_map(|&(r, n)| [r, n]).collect();
    let stride = |d: usize| if d < lead { 0 } else { t.strides()[d - lead] };
    let from: Strides = (0..pairs.len()).flat_map(|d| [0, stride(d)]).collect();
    let to = contiguous_strides(&shape);
    if out.numel() > 0 {
        t.ptr()?;
        let source = t.alias(Layout::new(shape.clone(), from, t.layout().offset));
        pointwise::copy(&source, &out.alias(Layout::new(shape, to, 0)))?;
    }
    Ok(out)
}

pub(crate) const REPEAT: Structured = Structured {
    schema: "repeat(Tensor self, int[] repeats) -> Tensor",
    aliases: &[],
    doc: "The tensor side by side with itself, so many times along each dimension.\n\n>>> torch.tensor([1, 2]).repeat(2)\ntensor([1, 2, 1, 2])",
    forms: Forms::METHOD,
    forward: |a| Ok(smallvec![repeat(a.tensor(0)?, a.ints(1)?)?]),
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let shape = &cx.input(0).shape;
            if g[0].numel() == 0 {
                return Tensor::zeros(shape, g[0].dtype());
            }
            let pairs = pairs(cx.args.ints(1)?, shape);
            let split: Shape = pairs.iter().flat_map(|&(r, n)| [r, n]).collect();
            let dims: Vec<i64> = (0..pairs.len()).map(|d| 2 * d as i64).collect();
            if dims.is_empty() {
                return Ok(g[0].clone());
            }
            g[0].reshape(&split)?.sum(&dims, false)?.reshape(shape)
        };
        vec![X::verb("repeat_backward", back, &[X::Grad(0)])]
    }),
    node: "RepeatBackward0(repeats, self_sym_sizes)",
};

pub(crate) const TILE: Structured = Structured {
    schema: "tile(Tensor self, int[] dims) -> Tensor",
    aliases: &[],
    doc: "As `repeat`, with ones added in front where there are fewer numbers than dimensions.\n\n>>> torch.tile(torch.tensor([1, 2]), (2,))\ntensor([1, 2, 1, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, dims) = (a.tensor(0)?, a.ints(1)?);
        let ones = t.ndim().saturating_sub(dims.len());
        let all: SmallVec<[i64; 4]> =
            std::iter::repeat_n(1, ones).chain(dims.iter().copied()).collect();
        Ok(smallvec![call1(Id::REPEAT, &[t.into(), Value::Ints(all)])?])
    },
    vjp: Vjp::Composed,
    node: "",
};
