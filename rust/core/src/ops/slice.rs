//! Parts of a tensor along a dimension: indices, ranges, pieces.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call, call1};
use crate::ops::strided::embed;
use crate::ops::{Id, join};
use crate::shape::{Layout, show, wrap_dim};
use crate::value::Args;
use crate::views::Creation;
use crate::{Result, Tensor, Value, bail};
use smallvec::smallvec;

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
    node: "SelectBackward0(dim, index, self_sym_sizes)",
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
    node: "SliceBackward0(dim, start, end, step, self_sym_sizes)",
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

pub(crate) const NARROW_TENSOR: Structured = Structured {
    schema: "narrow.Tensor(Tensor self, int dim, Tensor start, int length) -> Tensor",
    aliases: &[],
    doc: "As above, the start in a tensor.",
    forms: Forms::BOTH,
    forward: |a| {
        let start = a.tensor(2)?;
        if start.ndim() != 0 || !start.dtype().is_int() {
            bail!(Runtime, "start must be an 0-dim integral Tensor.");
        }
        let start = Value::Int(start.item()?.to_i64());
        let (dim, length) = (a.get(1).clone(), a.get(3).clone());
        Ok(smallvec![call1(Id::NARROW, &[a.tensor(0)?.into(), dim, start, length])?])
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
            bail!(Index, "Dimension specified as {dim} but tensor has no dimensions");
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
    views.iter().for_each(|v| v.set_creation(Creation::Multi));
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
    node: "SplitBackward0(split_size, dim, self_sym_sizes)",
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
    node: "SplitWithSizesBackward0(split_sizes=split_size, dim, self_sym_sizes)",
};

fn chunk_size(t: &Tensor, chunks: i64, dim: i64) -> Result<i64> {
    needs_dims(t, "chunk")?;
    if chunks <= 0 {
        bail!(Runtime, "chunk expects `chunks` to be greater than 0, got: {chunks}");
    }
    Ok(t.shape()[wrap_dim(dim, t.ndim())?].div_ceil(chunks as usize) as i64)
}

/// The pieces of a chunk as `split` makes them, or, of a dimension of size zero, `split_sizes`.
fn chunks(a: &Args, split: Id, split_sizes: Id) -> Result<Outputs> {
    let (t, chunks, dim) = (a.tensor(0)?, a.int(1)?, a.int(2)?);
    match chunk_size(t, chunks, dim)? {
        0 => {
            let sizes = Value::Ints(smallvec::SmallVec::from_elem(0, chunks as usize));
            call(split_sizes, &[t.into(), sizes, dim.into()])
        }
        size => call(split, &[t.into(), Value::Int(size), dim.into()]),
    }
}

pub(crate) const CHUNK: Structured = Structured {
    schema: "chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "At most `chunks` views of equal size along a dimension.\n\n>>> torch.arange(4).chunk(2)\n(tensor([0, 1]), tensor([2, 3]))",
    forms: Forms::BOTH,
    forward: |a| chunks(&a, Id::SPLIT, Id::SPLIT_SIZES),
    vjp: Vjp::Composed,
    node: "",
};

/// The same pieces as tensors of their own over the memory: they are no views, and each counts its
/// own writes, so PyTorch lets them be written to.
fn apart(pieces: Outputs) -> Result<Outputs> {
    pieces.iter().map(Tensor::data).collect()
}

pub(crate) const UNSAFE_SPLIT: Structured = Structured {
    schema: "unsafe_split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "As `split`; but that the pieces share memory is not known: writes to them count for none but themselves.\n\n>>> torch.arange(3).unsafe_split(2)\n(tensor([0, 1]), tensor([2]))",
    forms: Forms::BOTH,
    forward: |a| apart((SPLIT.forward)(a)?),
    vjp: CAT_BACK,
    node: "UnsafeSplitBackward0(split_size, dim, self_sym_sizes)",
};

pub(crate) const UNSAFE_SPLIT_SIZES: Structured = Structured {
    schema: "unsafe_split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "As `split_with_sizes`; but that the pieces share memory is not known: writes to them count for none but themselves.\n\n>>> torch.arange(3).unsafe_split_with_sizes([1, 2])\n(tensor([0]), tensor([1, 2]))",
    forms: Forms::BOTH,
    forward: |a| apart((SPLIT_SIZES.forward)(a)?),
    vjp: CAT_BACK,
    node: "UnsafeSplitWithSizesBackward0(split_sizes, dim, self_sym_sizes)",
};

pub(crate) const UNSAFE_CHUNK: Structured = Structured {
    schema: "unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
    aliases: &[],
    doc: "As `chunk`; but that the pieces share memory is not known: writes to them count for none but themselves.\n\n>>> torch.arange(4).unsafe_chunk(2)\n(tensor([0, 1]), tensor([2, 3]))",
    forms: Forms::BOTH,
    forward: |a| chunks(&a, Id::UNSAFE_SPLIT, Id::UNSAFE_SPLIT_SIZES),
    vjp: Vjp::Composed,
    node: "",
};
