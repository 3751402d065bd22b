//! Views: other shapes and strides over the same memory; and copies.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::ops::strided::PART_BACK;
use crate::shape::{
    Layout, Shape, Strides, broadcast_strides, infer_shape, show, view_strides, wrap_dim,
};
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
    node: "ViewBackward0(self_sym_sizes)",
};

pub(crate) const RESHAPE_ALIAS: Structured = Structured {
    schema: "_reshape_alias(Tensor self, int[] size) -> Tensor",
    aliases: &[],
    doc: "The view that `reshape` makes of a tensor that is not row-major.",
    forms: Forms::HIDDEN,
    forward: VIEW.forward,
    vjp: RESHAPE_BACK,
    node: "ReshapeAliasBackward0(self_sym_sizes)",
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
            let id = if t.is_contiguous() { Id::VIEW } else { Id::RESHAPE_ALIAS };
            return Ok(smallvec![call1(id, &[t.into(), ints(&shape)])?]);
        }
        let copy = call1(Id::CLONE_ROWS, &[t.into()])?;
        Ok(smallvec![call1(Id::UNSAFE_VIEW, &[copy.into(), ints(&shape)])?])
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

pub(crate) const TRANSPOSE_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "TransposeBackward1", ..TRANSPOSE };

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

pub(crate) const T_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "TBackward1", ..T };

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
    node: "ExpandBackward0(self_sym_sizes)",
};

fn expand_shape(t: &Tensor, sizes: &[i64]) -> Result<Shape> {
    let (have, n) = (t.ndim(), sizes.len());
    if n < have {
        bail!(
            Runtime,
            "expand({}{{{}}}, size={}): the number of sizes provided ({n}) must be greater or equal to the number of dimensions in the tensor ({have})",
            t.dtype().tensor_name(),
            show(t.shape()),
            show(sizes)
        );
    }
    let mut out = Shape::from_elem(0, n);
    // From the last dimension: PyTorch names the first that does not fit in this order.
    for (i, &s) in sizes.iter().enumerate().rev() {
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
        out[i] = new;
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
    node: "SqueezeBackward0(self_sym_sizes)",
};

pub(crate) const SQUEEZE_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "SqueezeBackward3", ..SQUEEZE };

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
    node: "SqueezeBackward1(dim, self_sym_sizes)",
};

pub(crate) const SQUEEZE_DIM_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "SqueezeBackward4", ..SQUEEZE_DIM };

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
    node: "SqueezeBackward2(dim, self_sym_sizes)",
};

pub(crate) const SQUEEZE_DIMS_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "SqueezeBackward5", ..SQUEEZE_DIMS };

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

pub(crate) const UNSQUEEZE_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "UnsqueezeBackward1", ..UNSQUEEZE };

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
