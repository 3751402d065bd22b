//! Views: other shapes and strides over the same memory; and copies.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::strided::embed;
use crate::ops::{Id, join};
use crate::shape::{
    Layout, Shape, Strides, broadcast_strides, expandable, infer_shape, show, view_strides,
    wrap_dim,
};
use crate::value::Args;
use crate::{Result, Tensor, Value, bail, pointwise};
use smallvec::smallvec;

fn ints(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&s| s as i64).collect())
}

fn view_of(t: &Tensor, shape: Shape, strides: Strides, offset: isize) -> Result<Outputs> {
    Ok(smallvec![t.view_as_layout(Layout::new(shape, strides, offset))])
}

/// The gradient in the shape of the input.
fn reshape_back(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    g[0].reshape(&cx.input(0).shape)
}

const RESHAPE_BACK: Vjp = Vjp::Many(|| vec![X::verb("reshape", reshape_back, &[X::Grad(0)])]);

pub(crate) const ALIAS: Structured = Structured {
    schema: "_alias(Tensor self) -> Tensor",
    aliases: &[],
    doc: "A view of all of the tensor.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![t.view_as_layout(t.layout().clone())])
    },
    vjp: Vjp::Many(|| vec![X::Grad(0)]),
    node: "AliasBackward0",
};

pub(crate) const VIEW: Structured = Structured {
    schema: "view(Tensor self, int[] size) -> Tensor",
    aliases: &[],
    doc: "The same elements in another shape, without a copy.\n\n>>> torch.arange(6).view(2, 3)\ntensor([[0, 1, 2],\n        [3, 4, 5]])",
    forms: Forms::METHOD,
    forward: |a| {
        let t = a.tensor(0)?;
        let shape = infer_shape(a.ints(1)?, t.numel())?;
        match view_strides(t.layout(), &shape) {
            Some(strides) => view_of(t, shape, strides, t.layout().offset),
            None => bail!(
                Runtime,
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            ),
        }
    },
    vjp: RESHAPE_BACK,
    node: "ViewBackward0",
};

pub(crate) const RESHAPE: Structured = Structured {
    schema: "reshape(Tensor self, int[] shape) -> Tensor",
    aliases: &[],
    doc: "The same elements in another shape; a view if possible, else a copy.\n\n>>> torch.arange(4).reshape(2, 2)\ntensor([[0, 1],\n        [2, 3]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let shape = infer_shape(a.ints(1)?, t.numel())?;
        if view_strides(t.layout(), &shape).is_some() {
            return Ok(smallvec![call1(Id::VIEW, &[t.into(), ints(&shape)])?]);
        }
        let copy = call1(Id::CLONE_ROWS, &[t.into()])?;
        Ok(smallvec![call1(Id::VIEW, &[copy.into(), ints(&shape)])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const TRANSPOSE: Structured = Structured {
    schema: "transpose(Tensor self, int dim0, int dim1) -> Tensor",
    aliases: &["swapaxes", "swapdims"],
    doc: "Two dimensions exchanged.\n\n>>> torch.arange(6).view(2, 3).transpose(0, 1).shape\ntorch.Size([3, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let (i, j) = (wrap_dim(a.int(1)?, t.ndim())?, wrap_dim(a.int(2)?, t.ndim())?);
        let mut l = t.layout().clone();
        if t.ndim() > 0 {
            l.shape.swap(i, j);
            l.strides.swap(i, j);
        }
        view_of(t, l.shape, l.strides, l.offset)
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| g[0].transpose(cx.args.int(1)?, cx.args.int(2)?);
        vec![X::verb("transpose", back, &[X::Grad(0)])]
    }),
    node: "TransposeBackward0",
};

pub(crate) const T: Structured = Structured {
    schema: "t(Tensor self) -> Tensor",
    aliases: &[],
    doc: "A matrix transposed; fewer dimensions stay as they are.\n\n>>> torch.ones(2, 3).t().shape\ntorch.Size([3, 2])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        if t.ndim() > 2 {
            bail!(Runtime, "t() expects a tensor with <= 2 dimensions, but self is {}D", t.ndim());
        }
        let mut l = t.layout().clone();
        l.shape.reverse();
        l.strides.reverse();
        view_of(t, l.shape, l.strides, l.offset)
    },
    vjp: Vjp::Many(|| vec![X::verb("t", |_, g| g[0].t(), &[X::Grad(0)])]),
    node: "TBackward0",
};

pub(crate) const PERMUTE: Structured = Structured {
    schema: "permute(Tensor self, int[] dims) -> Tensor",
    aliases: &[],
    doc: "Dimensions in another order.\n\n>>> torch.ones(2, 3, 4).permute(2, 0, 1).shape\ntorch.Size([4, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims = permutation(a.ints(1)?, t.ndim())?;
        let l = t.layout();
        let shape = dims.iter().map(|&d| l.shape[d]).collect();
        let strides = dims.iter().map(|&d| l.strides[d]).collect();
        view_of(t, shape, strides, l.offset)
    },
    vjp: Vjp::Many(|| vec![X::verb("permute", permute_back, &[X::Grad(0)])]),
    node: "PermuteBackward0",
};

fn permutation(dims: &[i64], ndim: usize) -> Result<Shape> {
    if dims.len() != ndim {
        bail!(
            Runtime,
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {}",
            dims.len()
        );
    }
    let mut out = Shape::new();
    for &d in dims {
        let d = wrap_dim(d, ndim)?;
        if out.contains(&d) {
            bail!(Runtime, "permute(): duplicate dims are not allowed.");
        }
        out.push(d);
    }
    Ok(out)
}

fn permute_back(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    let dims = permutation(cx.args.ints(1)?, g[0].ndim())?;
    let mut inverse = vec![0i64; dims.len()];
    for (i, &d) in dims.iter().enumerate() {
        inverse[d] = i as i64;
    }
    g[0].permute(&inverse)
}

pub(crate) const EXPAND: Structured = Structured {
    schema: "expand(Tensor self, int[] size, *, bool implicit=False) -> Tensor",
    aliases: &[],
    doc: "Dimensions of size 1 repeated without a copy; -1 keeps a size.\n\n>>> torch.ones(3, 1).expand(3, 4).shape\ntorch.Size([3, 4])",
    forms: Forms::METHOD,
    forward: |a| {
        let t = a.tensor(0)?;
        let shape = expand_shape(t, a.ints(1)?)?;
        let strides = broadcast_strides(t.shape(), t.strides(), &shape);
        view_of(t, shape, strides, t.layout().offset)
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| super::reduce::sum_to(g[0], &cx.input(0).shape);
        vec![X::verb("sum_to", back, &[X::Grad(0)])]
    }),
    node: "ExpandBackward0",
};

fn expand_shape(t: &Tensor, sizes: &[i64]) -> Result<Shape> {
    let (have, n) = (t.ndim(), sizes.len());
    if n < have {
        bail!(
            Runtime,
            "expand({}{{{}}}, size={}): the number of sizes provided ({n}) must be greater or equal to the number of dimensions in the tensor ({have})",
            "torch.Tensor",
            show(t.shape()),
            show(sizes)
        );
    }
    let mut out = Shape::new();
    for (i, &s) in sizes.iter().enumerate() {
        let lead = n - have;
        if s < 0 && (i < lead || s != -1) {
            bail!(
                Runtime,
                "The expanded size of the tensor ({s}) isn't allowed in a leading, non-existing dimension {i}"
            );
        }
        let old = if i < lead { 1 } else { t.shape()[i - lead] };
        let new = if s == -1 { old } else { s as usize };
        if old != 1 && old != new {
            bail!(
                Runtime,
                "The expanded size of the tensor ({s}) must match the existing size ({old}) at non-singleton dimension {i}.  Target sizes: {}.  Tensor sizes: {}",
                show(sizes),
                show(t.shape())
            );
        }
        out.push(new);
    }
    Ok(out)
}

fn squeezed(t: &Tensor, drop: impl Fn(usize) -> bool) -> Result<Outputs> {
    let l = t.layout();
    let keep: Shape = (0..t.ndim()).filter(|&d| !(l.shape[d] == 1 && drop(d))).collect();
    let shape = keep.iter().map(|&d| l.shape[d]).collect();
    let strides = keep.iter().map(|&d| l.strides[d]).collect();
    view_of(t, shape, strides, l.offset)
}

pub(crate) const SQUEEZE: Structured = Structured {
    schema: "squeeze(Tensor self) -> Tensor",
    aliases: &[],
    doc: "Without the dimensions of size 1.\n\n>>> torch.ones(1, 3, 1).squeeze().shape\ntorch.Size([3])",
    forms: Forms::BOTH,
    forward: |a| squeezed(a.tensor(0)?, |_| true),
    vjp: RESHAPE_BACK,
    node: "SqueezeBackward0",
};

pub(crate) const SQUEEZE_DIM: Structured = Structured {
    schema: "squeeze.dim(Tensor self, int dim) -> Tensor",
    aliases: &[],
    doc: "Without one dimension, if its size is 1.\n\n>>> torch.ones(1, 3, 1).squeeze(0).shape\ntorch.Size([3, 1])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dim = wrap_dim(a.int(1)?, t.ndim())?;
        squeezed(t, |d| d == dim)
    },
    vjp: RESHAPE_BACK,
    node: "SqueezeBackward1",
};

pub(crate) const SQUEEZE_DIMS: Structured = Structured {
    schema: "squeeze.dims(Tensor self, int[] dim) -> Tensor",
    aliases: &[],
    doc: "Without those of the given dimensions whose size is 1.\n\n>>> torch.ones(1, 3, 1).squeeze((0, 2)).shape\ntorch.Size([3])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dims: Result<Shape> = a.ints(1)?.iter().map(|&d| wrap_dim(d, t.ndim())).collect();
        let dims = dims?;
        squeezed(t, |d| dims.contains(&d))
    },
    vjp: RESHAPE_BACK,
    node: "SqueezeBackward2",
};

pub(crate) const UNSQUEEZE: Structured = Structured {
    schema: "unsqueeze(Tensor self, int dim) -> Tensor",
    aliases: &[],
    doc: "A new dimension of size 1 at `dim`.\n\n>>> torch.ones(3).unsqueeze(0).shape\ntorch.Size([1, 3])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dim = wrap_dim(a.int(1)?, t.ndim() + 1)?;
        let mut l = t.layout().clone();
        let stride = if dim < t.ndim() { l.strides[dim] * l.shape[dim].max(1) as isize } else { 1 };
        l.shape.insert(dim, 1);
        l.strides.insert(dim, stride);
        view_of(t, l.shape, l.strides, l.offset)
    },
    vjp: RESHAPE_BACK,
    node: "UnsqueezeBackward0",
};

pub(crate) const FLATTEN: Structured = Structured {
    schema: "flatten(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor",
    aliases: &[],
    doc: "A range of dimensions made one.\n\n>>> torch.ones(2, 3, 4).flatten(1).shape\ntorch.Size([2, 12])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let (s, e) = (wrap_dim(a.int(1)?, t.ndim())?, wrap_dim(a.int(2)?, t.ndim())?);
        if s > e {
            bail!(Runtime, "flatten() has invalid args: start_dim cannot come after end_dim");
        }
        let mut shape = Shape::from_slice(t.shape());
        if t.ndim() == 0 {
            shape.push(1);
        } else {
            let run = shape[s..=e].iter().product();
            shape.drain(s..=e);
            shape.insert(s, run);
        }
        if shape.as_slice() == t.shape() {
            return Ok(smallvec![t.clone()]);
        }
        Ok(smallvec![t.reshape(&shape)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// One index of a dimension.
pub(crate) fn select_layout(l: &Layout, dim: i64, index: i64) -> Result<Layout> {
    if l.ndim() == 0 {
        bail!(Index, "select() cannot be applied to a 0-dim tensor.");
    }
    let d = wrap_dim(dim, l.ndim())?;
    let n = l.shape[d] as i64;
    if index < -n || index >= n {
        bail!(
            Index,
            "select(): index {index} out of range for tensor of size {} at dimension {dim}",
            show(&l.shape)
        );
    }
    let i = if index < 0 { index + n } else { index };
    let (mut shape, mut strides) = (l.shape.clone(), l.strides.clone());
    let offset = l.offset + i as isize * strides[d];
    shape.remove(d);
    strides.remove(d);
    Ok(Layout::new(shape, strides, offset))
}

pub(crate) const SELECT: Structured = Structured {
    schema: "select(Tensor self, int dim, int index) -> Tensor",
    aliases: &[],
    doc: "One index of a dimension, which disappears.\n\n>>> torch.arange(6).view(2, 3).select(0, 1)\ntensor([3, 4, 5])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![t.view_as_layout(select_layout(t.layout(), a.int(1)?, a.int(2)?)?)])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let whole = Layout::contiguous(&cx.input(0).shape);
            embed(g[0], &whole.shape, &select_layout(&whole, cx.args.int(1)?, cx.args.int(2)?)?)
        };
        vec![X::verb("select_backward", back, &[X::Grad(0)])]
    }),
    node: "SelectBackward0",
};

/// `start:end:step` of a dimension, as Python's slice (`end` None: to the end). A negative step
/// walks from the last element of the range back.
pub(crate) fn slice_layout(
    l: &Layout,
    dim: i64,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
) -> Result<Layout> {
    if l.ndim() == 0 {
        bail!(Index, "slice() cannot be applied to a 0-dim tensor.");
    }
    if step == 0 {
        bail!(Value, "slice step cannot be zero");
    }
    let d = wrap_dim(dim, l.ndim())?;
    let n = l.shape[d] as i64;
    let clip = |v: i64, lo: i64, hi: i64| (if v < 0 { v + n } else { v }).clamp(lo, hi);
    let (start, count) = if step > 0 {
        let (s, e) = (clip(start.unwrap_or(0), 0, n), clip(end.unwrap_or(n), 0, n));
        (s, (e - s + step - 1).max(0) / step)
    } else {
        let s = start.map_or(n - 1, |v| clip(v, -1, n - 1));
        let e = end.map_or(-1, |v| clip(v, -1, n - 1));
        (s.max(0), ((s - e - step - 1) / -step).max(0))
    };
    let (mut shape, mut strides) = (l.shape.clone(), l.strides.clone());
    let offset = l.offset + start as isize * strides[d];
    shape[d] = count as usize;
    strides[d] *= step as isize;
    Ok(Layout::new(shape, strides, offset))
}

fn slice_args(a: &Args, l: &Layout) -> Result<Layout> {
    slice_layout(l, a.int(1)?, a.opt_int(2)?, a.opt_int(3)?, a.int(4)?)
}

pub(crate) const SLICE: Structured = Structured {
    schema: "slice(Tensor self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    aliases: &[],
    doc: "A range of a dimension: what `x[start:end:step]` means.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![t.view_as_layout(slice_args(&a, t.layout())?)])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let whole = Layout::contiguous(&cx.input(0).shape);
            embed(g[0], &whole.shape, &slice_args(&cx.args, &whole)?)
        };
        vec![X::verb("slice_backward", back, &[X::Grad(0)])]
    }),
    node: "SliceBackward0",
};

pub(crate) const NARROW: Structured = Structured {
    schema: "narrow(Tensor self, int dim, int start, int length) -> Tensor",
    aliases: &[],
    doc: "`length` indices of a dimension from `start` on.\n\n>>> torch.arange(5).narrow(0, 1, 3)\ntensor([1, 2, 3])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, dim, mut start, length) = (a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?);
        if t.ndim() == 0 {
            bail!(Runtime, "narrow() cannot be applied to a 0-dim tensor.");
        }
        let d = wrap_dim(dim, t.ndim())?;
        let n = t.shape()[d] as i64;
        if length < 0 {
            bail!(Runtime, "narrow(): length must be non-negative.");
        }
        if start < -n || start > n {
            bail!(
                Index,
                "start out of range (expected to be in range of [{}, {n}], but got {start})",
                -n
            );
        }
        start += if start < 0 { n } else { 0 };
        if start + length > n {
            bail!(Runtime, "start ({start}) + length ({length}) exceeds dimension size ({n}).");
        }
        let end = Value::Int(start + length);
        Ok(smallvec![call1(Id::SLICE, &[t.into(), dim.into(), start.into(), end, Value::Int(1)])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const UNBIND: Structured = Structured {
    schema: "unbind(Tensor self, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "The slices along a dimension, as a tuple of views.\n\n>>> torch.arange(2).unbind()\n(tensor(0), tensor(1))",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let dim = wrap_dim(a.int(1)?, t.ndim())?;
        if t.ndim() == 0 {
            bail!(Runtime, "Dimension specified as {dim} but tensor has no dimensions");
        }
        let part = |i| Ok(t.view_as_layout(select_layout(t.layout(), dim as i64, i as i64)?));
        multi((0..t.shape()[dim]).map(part).collect())
    },
    vjp: Vjp::Outputs(|cx, grads| {
        let grads = join::filled(cx, grads)?;
        join::stack(&grads, cx.args.int(1)?)
    }),
    node: "UnbindBackward0",
};

/// Marks views that were made together: PyTorch forbids in-place writes to them.
fn multi(views: Result<Outputs>) -> Result<Outputs> {
    let views = views?;
    views.iter().for_each(Tensor::set_multi_view);
    Ok(views)
}

fn split_at(t: &Tensor, dim: i64, sizes: impl Iterator<Item = usize>) -> Result<Outputs> {
    let mut start = 0;
    let part = |n: usize| {
        let (s, e) = (start as i64, (start + n) as i64);
        start += n;
        Ok(t.view_as_layout(slice_layout(t.layout(), dim, Some(s), Some(e), 1)?))
    };
    multi(sizes.map(part).collect())
}

const CAT_BACK: Vjp = Vjp::Outputs(|cx, grads| {
    let grads = join::filled(cx, grads)?;
    join::cat(&grads, cx.args.int(2)?)
});

fn needs_dims(t: &Tensor, name: &str) -> Result<()> {
    if t.ndim() == 0 {
        bail!(Runtime, "{name} expects at least a 1-dimensional tensor");
    }
    Ok(())
}

pub(crate) const SPLIT: Structured = Structured {
    schema: "split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "Views of `split_size` indices each along a dimension; the last may be smaller.\n\n>>> torch.arange(5).split(2)\n(tensor([0, 1]), tensor([2, 3]), tensor([4]))",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, size) = (a.tensor(0)?, a.int(1)?);
        needs_dims(t, "split")?;
        if size < 0 {
            bail!(Runtime, "split expects split_size be non-negative, but got split_size={size}");
        }
        let n = t.shape()[wrap_dim(a.int(2)?, t.ndim())?];
        if size == 0 && n != 0 {
            bail!(
                Runtime,
                "split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
            );
        }
        let size = (size as usize).max(1);
        let pieces = n.div_ceil(size).max(1);
        split_at(t, a.int(2)?, (0..pieces).map(|i| size.min(n - i * size)))
    },
    vjp: CAT_BACK,
    node: "SplitBackward0",
};

pub(crate) const SPLIT_SIZES: Structured = Structured {
    schema: "split.sizes(Tensor self, int[] split_size, int dim=0) -> Tensor[]",
    aliases: &["split_with_sizes"],
    doc: "Views of the given sizes along a dimension.\n\n>>> torch.arange(5).split([1, 4])\n(tensor([0]), tensor([1, 2, 3, 4]))",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, sizes) = (a.tensor(0)?, a.ints(1)?);
        needs_dims(t, "split_with_sizes")?;
        let n = t.shape()[wrap_dim(a.int(2)?, t.ndim())?] as i64;
        if sizes.iter().sum::<i64>() != n || sizes.iter().any(|&s| s < 0) {
            bail!(
                Runtime,
                "split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {}), but got split_sizes={}",
                a.int(2)?,
                show(sizes)
            );
        }
        split_at(t, a.int(2)?, sizes.iter().map(|&s| s as usize))
    },
    vjp: CAT_BACK,
    node: "SplitWithSizesBackward0",
};

pub(crate) const CHUNK: Structured = Structured {
    schema: "chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "At most `chunks` views of equal size along a dimension.\n\n>>> torch.arange(4).chunk(2)\n(tensor([0, 1]), tensor([2, 3]))",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, chunks, dim) = (a.tensor(0)?, a.int(1)?, a.int(2)?);
        if t.ndim() == 0 {
            bail!(Runtime, "chunk expects at least a 1-dimensional tensor");
        }
        if chunks <= 0 {
            bail!(Runtime, "chunk expects `chunks` to be greater than 0, got: {chunks}");
        }
        let n = t.shape()[wrap_dim(dim, t.ndim())?];
        let size = n.div_ceil(chunks as usize);
        if size == 0 {
            let sizes = Value::Ints(smallvec::SmallVec::from_elem(0, chunks as usize));
            return crate::op::call(Id::SPLIT_SIZES, &[t.into(), sizes, dim.into()]);
        }
        crate::op::call(Id::SPLIT, &[t.into(), Value::Int(size as i64), dim.into()])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const CLONE: Structured = Structured {
    schema: "clone(Tensor self) -> Tensor",
    aliases: &[],
    doc: "A copy with its own memory, in the same memory order; gradients flow through it.\n\n>>> torch.ones(2).clone()\ntensor([1., 1.])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let keep = t.layout().dense() && t.strides().iter().all(|&s| s > 0);
        let strides = if keep {
            t.layout().strides.clone()
        } else {
            pointwise::out_strides(t.shape(), &[t.into()])
        };
        let out = Tensor::empty_strided(t.layout().shape.clone(), strides, t.dtype())?;
        pointwise::copy(t, &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| vec![X::Grad(0)]),
    node: "CloneBackward0",
};

pub(crate) const CONTIGUOUS: Structured = Structured {
    schema: "contiguous(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The tensor itself if it is row-major, else a row-major copy.\n\n>>> torch.ones(2, 3).t().contiguous().stride()\n(2, 1)",
    forms: Forms::METHOD,
    forward: |a| {
        let t = a.tensor(0)?;
        Ok(smallvec![if t.is_contiguous() { t.clone() } else { row_major(t)? }])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// A recorded row-major copy.
fn row_major(t: &Tensor) -> Result<Tensor> {
    crate::op::call1(Id::CLONE_ROWS, &[t.into()])
}

pub(crate) const CLONE_ROWS: Structured = Structured {
    schema: "_clone_rows(Tensor self) -> Tensor",
    aliases: &[],
    doc: "A row-major copy.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        let out = Tensor::empty(t.shape(), t.dtype())?;
        pointwise::copy(t, &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| vec![X::Grad(0)]),
    node: "CloneBackward0",
};

/// A row-major copy, recorded if recording is on.
pub(crate) fn contiguous_clone(t: &Tensor) -> Result<Tensor> {
    row_major(t)
}

impl Tensor {
    /// The same elements in another shape; a view if possible, else a copy.
    ///
    /// # Errors
    /// RuntimeError if the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        call1(Id::RESHAPE, &[self.into(), ints(shape)])
    }

    /// Two dimensions exchanged.
    ///
    /// # Errors
    /// IndexError for a dimension that does not exist.
    pub fn transpose(&self, dim0: i64, dim1: i64) -> Result<Tensor> {
        call1(Id::TRANSPOSE, &[self.into(), dim0.into(), dim1.into()])
    }

    /// A matrix transposed.
    ///
    /// # Errors
    /// RuntimeError for more than two dimensions.
    pub fn t(&self) -> Result<Tensor> {
        call1(Id::T, &[self.into()])
    }

    /// Dimensions in another order.
    ///
    /// # Errors
    /// RuntimeError if `dims` is not a permutation.
    pub fn permute(&self, dims: &[i64]) -> Result<Tensor> {
        call1(Id::PERMUTE, &[self.into(), dims.into()])
    }

    /// Repeated along dimensions of size 1, without a copy.
    ///
    /// # Errors
    /// RuntimeError if the shape does not broadcast to `shape`.
    pub fn expand(&self, shape: &[usize]) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        debug_assert!(expandable(self.shape(), shape));
        call1(Id::EXPAND, &[self.into(), ints(shape), false.into()])
    }

    /// A new dimension of size 1.
    ///
    /// # Errors
    /// IndexError for a dimension that does not exist.
    pub fn unsqueeze(&self, dim: i64) -> Result<Tensor> {
        call1(Id::UNSQUEEZE, &[self.into(), dim.into()])
    }

    /// One index of a dimension.
    ///
    /// # Errors
    /// IndexError if it is out of range.
    pub fn select(&self, dim: i64, index: i64) -> Result<Tensor> {
        call1(Id::SELECT, &[self.into(), dim.into(), index.into()])
    }

    /// `start:end:step` of a dimension.
    ///
    /// # Errors
    /// IndexError for a dimension that does not exist, ValueError for a step of 0.
    pub fn slice(
        &self,
        dim: i64,
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    ) -> Result<Tensor> {
        let opt = |v: Option<i64>| v.map_or(Value::None, Value::Int);
        call1(Id::SLICE, &[self.into(), dim.into(), opt(start), opt(end), step.into()])
    }

    /// The tensor itself if it is row-major, else a row-major copy.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { row_major(self) }
    }
}
