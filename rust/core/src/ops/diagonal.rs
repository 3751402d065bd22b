//! Diagonals, and copies in which a part was replaced.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::ops::slice::{select_layout, slice_layout};
use crate::ops::strided::{embed, replaced};
use crate::shape::{Layout, wrap_dim};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, pointwise};
use smallvec::smallvec;

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
    node: "DiagonalBackward0(offset, dim1, dim2, self_sym_sizes)",
};

pub(crate) const DIAGONAL_COPY: Structured = Structured {
    schema: "diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    doc: "A copy of the diagonal of two dimensions, as the last dimension.\n\n>>> torch.diagonal_copy(torch.tensor([[1, 2], [3, 4]]))\ntensor([1, 4])",
    forms: Forms::FUNCTION,
    forward: |a| {
        let t = a.tensor(0)?;
        let part = t.alias(diagonal_layout(t.layout(), &a)?);
        Ok(smallvec![part.fresh_copy(t.dtype())?])
    },
    node: "DiagonalBackward0_copy(offset, dim1, dim2, self_sym_sizes)",
    ..DIAGONAL
};

pub(crate) const DIAG_EMBED: Structured = Structured {
    schema: "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
    aliases: &[],
    doc: "Zeros with the last dimension of `self` on the diagonal of two dimensions.\n\n>>> torch.diag_embed(torch.tensor([1, 2]))\ntensor([[1, 0],\n        [0, 2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, n) = (a.tensor(0)?, a.tensor(0)?.ndim() + 1);
        let (d1, d2) = (wrap_dim(a.int(2)?, n)?, wrap_dim(a.int(3)?, n)?);
        if d1 == d2 {
            bail!(Runtime, "diagonal dimensions cannot be identical {}, {}", a.int(2)?, a.int(3)?);
        }
        let mut shape = t.layout().shape.clone();
        let size = shape.pop().unwrap_or(1) + a.int(1)?.unsigned_abs() as usize;
        shape.insert(d1.min(d2), size);
        shape.insert(d1.max(d2), size);
        let out = Tensor::zeros(&shape, t.dtype())?;
        pointwise::copy(t, &out.alias(diagonal_layout(out.layout(), &a)?))?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let at = |i| cx.args.get(i).clone();
            call1(Id::DIAGONAL, &[g[0].into(), at(1), at(2), at(3)])
        };
        vec![X::verb("diagonal", back, &[X::Grad(0)])]
    }),
    node: "DiagEmbedBackward0",
};

pub(crate) const DIAG: Structured = Structured {
    schema: "diag(Tensor self, int diagonal=0) -> Tensor",
    aliases: &[],
    doc: "A matrix with this vector on its diagonal; or a copy of the diagonal of this matrix.\n\n>>> torch.diag(torch.tensor([1, 2]))\ntensor([[1, 0],\n        [0, 2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, offset) = (a.tensor(0)?, Value::Int(a.int(1)?));
        Ok(smallvec![match t.ndim() {
            1 => call1(Id::DIAG_EMBED, &[t.into(), offset, (-2i64).into(), (-1i64).into()])?,
            2 => call1(Id::DIAGONAL_COPY, &[t.into(), offset, 0i64.into(), 1i64.into()])?,
            n => bail!(Runtime, "diag(): Supports 1D or 2D tensors. Got {n}D"),
        }])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const DIAGFLAT: Structured = Structured {
    schema: "diagflat(Tensor self, int offset=0) -> Tensor",
    aliases: &[],
    doc: "A matrix with all elements on its diagonal.\n\n>>> torch.diagflat(torch.tensor([[1, 2]]))\ntensor([[1, 0],\n        [0, 2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let flat = a.tensor(0)?.contiguous()?;
        let all = Value::from(&[-1i64][..]);
        let flat = call1(Id::VIEW, &[flat.into(), all])?;
        Ok(smallvec![call1(Id::DIAG, &[flat.into(), a.int(1)?.into()])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const TRACE: Structured = Structured {
    schema: "trace(Tensor self) -> Tensor",
    aliases: &[],
    doc: "The sum of the diagonal of a matrix.\n\n>>> torch.trace(torch.tensor([[1., 2.], [3., 4.]]))\ntensor(5.)",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        if t.ndim() != 2 {
            bail!(Runtime, "trace: expected a matrix, but got tensor with dim {}", t.ndim());
        }
        if matches!(t.dtype(), DType::Bool | DType::F16 | DType::BF16) {
            bail!(NotImplemented, "\"trace\" not implemented for '{}'", t.dtype().scalar_name());
        }
        Ok(smallvec![t.alias(main_diagonal(t.layout())).sum_all()?])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let l = main_diagonal(&Layout::contiguous(&cx.input(0).shape));
            embed(&g[0].expand(&l.shape)?, &cx.input(0).shape, &l)
        };
        vec![X::verb("trace_backward", back, &[X::Grad(0)])]
    }),
    node: "TraceBackward0(self_sym_sizes)",
};

fn main_diagonal(l: &Layout) -> Layout {
    let len = l.shape[0].min(l.shape[1]);
    Layout::new(smallvec![len], smallvec![l.strides[0] + l.strides[1]], l.offset)
}

/// The rule of an operation that replaces a part: elsewhere the gradient is that of `self`.
macro_rules! scatter_back {
    ($id:ident, $part:expr) => {
        Vjp::Many(|| {
            let rest = |cx: &Cx, g: &[&Tensor]| {
                let mut args: Vec<Value> = cx.args.0.to_vec();
                args[0] = g[0].into();
                args[1] = Tensor::zeros(&cx.input(1).shape, g[0].dtype())?.into();
                call1(Id::$id, &args)
            };
            let part = |cx: &Cx, g: &[&Tensor]| {
                let mut args: Vec<Value> = cx.args.0.to_vec();
                args[0] = g[0].into();
                args.remove(1);
                call1($part, &args)
            };
            vec![X::verb("rest", rest, &[X::Grad(0)]), X::verb("part", part, &[X::Grad(0)])]
        })
    };
}

pub(crate) const SELECT_SCATTER: Structured = Structured {
    schema: "select_scatter(Tensor self, Tensor src, int dim, int index) -> Tensor",
    aliases: &[],
    doc: "A copy with one index of a dimension replaced by `src`.\n\n>>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)\ntensor([[0., 0.],\n        [1., 1.]])",
    forms: Forms::BOTH,
    forward: |a| replaced(&a, |l| select_layout(l, a.int(2)?, a.int(3)?)),
    vjp: scatter_back!(SELECT_SCATTER, Id::SELECT),
    node: "SelectScatterBackward0",
};

pub(crate) const SLICE_SCATTER: Structured = Structured {
    schema: "slice_scatter(Tensor self, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    aliases: &[],
    doc: "A copy with a range of a dimension replaced by `src`.\n\n>>> torch.slice_scatter(torch.zeros(3), torch.ones(2), 0, 1)\ntensor([0., 1., 1.])",
    forms: Forms::BOTH,
    forward: |a| {
        if a.int(5)? <= 0 {
            bail!(Runtime, "slice step must be positive");
        }
        replaced(&a, |l| slice_layout(l, a.int(2)?, a.opt_int(3)?, a.opt_int(4)?, a.int(5)?))
    },
    vjp: scatter_back!(SLICE_SCATTER, Id::SLICE),
    node: "SliceScatterBackward0",
};

pub(crate) const DIAGONAL_SCATTER: Structured = Structured {
    schema: "diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    aliases: &[],
    doc: "A copy with a diagonal replaced by `src`.\n\n>>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))\ntensor([[1., 0.],\n        [0., 1.]])",
    forms: Forms::BOTH,
    forward: |a| replaced(&a, |l| diagonal_layout(l, &Args(&a.0[1..]))),
    vjp: scatter_back!(DIAGONAL_SCATTER, Id::DIAGONAL),
    node: "DiagonalScatterBackward0",
};
