//! Parts of a tensor by size, stride and offset, and their gradients.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::{Layout, Shape, Strides, contiguous_strides};
use crate::value::Args;
use crate::{DType, Result, Tensor, Value, bail, pointwise};
use smallvec::{SmallVec, smallvec};

fn layout_values(l: &Layout) -> [Value; 3] {
    let sizes: SmallVec<[i64; 4]> = l.shape.iter().map(|&s| s as i64).collect();
    let strides: SmallVec<[i64; 4]> = l.strides.iter().map(|&s| s as i64).collect();
    [Value::Ints(sizes), Value::Ints(strides), Value::Int(l.offset as i64)]
}

/// Layout from the arguments size, stride, storage_offset at `at`.
fn layout_arg(a: &Args, at: usize) -> Result<Layout> {
    let (sizes, strides) = (a.ints(at)?, a.ints(at + 1)?);
    if sizes.len() != strides.len() {
        bail!(Runtime, "mismatch in length of strides and shape");
    }
    if let Some(&s) = sizes.iter().find(|&&s| s < 0) {
        bail!(Runtime, "Storage size calculation overflowed with sizes=[{s}]");
    }
    let shape: Shape = sizes.iter().map(|&s| s as usize).collect();
    let strides: Strides = strides.iter().map(|&s| s as isize).collect();
    Ok(Layout::new(shape, strides, a.opt_int(at + 2)?.unwrap_or(0) as isize))
}

fn check_inside(l: &Layout, elements: usize) -> Result<()> {
    if let Some((lo, hi)) = l.extent()
        && (lo < 0 || hi as usize >= elements)
    {
        bail!(
            Runtime,
            "setStorage: sizes {}, strides {}, storage offset {} are out of bounds for storage of {elements} elements",
            crate::shape::show(&l.shape),
            crate::shape::show(&l.strides),
            l.offset
        );
    }
    Ok(())
}

pub(crate) const AS_STRIDED: Structured = Structured {
    schema: "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
    aliases: &[],
    doc: "A view of the storage by sizes, strides and offset (all in elements).\n\n>>> torch.arange(4).as_strided((2, 2), (1, 1))\ntensor([[0, 1],\n        [1, 2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let mut l = layout_arg(&a, 1)?;
        if a.opt_int(3)?.is_none() {
            l.offset = t.layout().offset;
        }
        check_inside(&l, t.storage().bytes() / t.dtype().size())?;
        Ok(smallvec![t.view_as_layout(l)])
    },
    vjp: Vjp::Many(|| {
        let back =
            |cx: &Cx, g: &[&Tensor]| embed(g[0], &cx.input(0).shape, &layout_arg(&cx.args, 1)?);
        vec![X::verb("as_strided_backward", back, &[X::Grad(0)])]
    }),
    node: "AsStridedBackward0",
};

pub(crate) const EMBED: Structured = Structured {
    schema: "_embed(Tensor self, int[] shape, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &[],
    doc: "Row-major zeros of `shape` with `self` added at the given part.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, l) = (a.tensor(0)?, layout_arg(&a, 2)?);
        let shape: Shape = a.ints(1)?.iter().map(|&s| s as usize).collect();
        let out = Tensor::zeros(&shape, t.dtype())?;
        check_inside(&l, out.numel())?;
        if overlaps(&l) {
            add_overlapping(t, &out, &l)?;
        } else {
            pointwise::copy(t, &out.alias(l))?;
        }
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| part(g[0], &layout_arg(&cx.args, 2)?);
        vec![X::verb("part", back, &[X::Grad(0)])]
    }),
    node: "AsStridedBackward0",
};

pub(crate) const PART: Structured = Structured {
    schema: "_part(Tensor self, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &[],
    doc: "A copy of a part of a tensor, described as if the tensor were row-major.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, l) = (a.tensor(0)?, layout_arg(&a, 1)?);
        let whole = t.contiguous()?;
        check_inside(&l, whole.numel())?;
        let from = whole.alias(Layout { offset: l.offset + whole.layout().offset, ..l });
        let out = Tensor::empty(from.shape(), t.dtype())?;
        pointwise::copy(&from, &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back =
            |cx: &Cx, g: &[&Tensor]| embed(g[0], &cx.input(0).shape, &layout_arg(&cx.args, 1)?);
        vec![X::verb("embed", back, &[X::Grad(0)])]
    }),
    node: "AsStridedBackward0",
};

pub(crate) const WITH_PART: Structured = Structured {
    schema: "_with_part(Tensor self, Tensor src, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &["as_strided_scatter"],
    doc: "A row-major copy of `self` with a part replaced by `src`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, src, l) = (a.tensor(0)?, a.tensor(1)?, layout_arg(&a, 2)?);
        let out = Tensor::empty(t.shape(), t.dtype())?;
        pointwise::copy(t, &out)?;
        check_inside(&l, out.numel())?;
        pointwise::copy(src, &out.alias(l))?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let rest = |cx: &Cx, g: &[&Tensor]| {
            let l = layout_arg(&cx.args, 2)?;
            let zero = Tensor::zeros(&l.shape, g[0].dtype())?;
            with_part_rows(g[0], &zero, &l)
        };
        let src = |cx: &Cx, g: &[&Tensor]| part(g[0], &layout_arg(&cx.args, 2)?);
        vec![X::verb("rest", rest, &[X::Grad(0)]), X::verb("part", src, &[X::Grad(0)])]
    }),
    node: "AsStridedScatterBackward0",
};

/// True if two indices may meet at one element.
fn overlaps(l: &Layout) -> bool {
    let mut dims: SmallVec<[(isize, usize); 4]> = l
        .strides
        .iter()
        .map(|s| s.abs())
        .zip(l.shape.iter().copied())
        .filter(|d| d.1 > 1)
        .collect();
    dims.sort_unstable();
    let mut reach = 0;
    for (stride, n) in dims {
        if stride <= reach {
            return true;
        }
        reach += stride * (n as isize - 1);
    }
    false
}

/// Adds element by element, where several may land on one.
fn add_overlapping(t: &Tensor, out: &Tensor, l: &Layout) -> Result<()> {
    let rows = t.contiguous()?;
    let strides = contiguous_strides(&l.shape);
    let base = out.ptr()?;
    let from = rows.ptr()?;
    for i in 0..l.numel {
        let mut at = l.offset;
        let mut rest = i;
        for (&step, &stride) in strides.iter().zip(&l.strides) {
            at += (rest / step as usize) as isize * stride;
            rest %= step as usize;
        }
        // SAFETY: `check_inside` has checked every index of the part; `rows` has numel elements.
        unsafe {
            match t.dtype() {
                DType::F64 => *base.cast::<f64>().offset(at) += *from.cast::<f64>().add(i),
                DType::F32 => *base.cast::<f32>().offset(at) += *from.cast::<f32>().add(i),
                d => bail!(NotImplemented, "as_strided_backward for {}", d.name()),
            }
        }
    }
    Ok(())
}

/// Zeros of `shape` with `g` at the part `l` (recorded if recording is on).
pub(crate) fn embed(g: &Tensor, shape: &[usize], l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    let shape = Value::Ints(shape.iter().map(|&s| s as i64).collect());
    call1(Id::EMBED, &[g.into(), shape, size, stride, offset])
}

fn part(g: &Tensor, l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    call1(Id::PART, &[g.into(), size, stride, offset])
}

fn with_part_rows(g: &Tensor, src: &Tensor, l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    call1(Id::WITH_PART, &[g.into(), src.into(), size, stride, offset])
}

/// The view's layout as it would be if the base were row-major; the base must be dense.
fn in_rows(base: &Layout, view: &Layout) -> Result<Layout> {
    let strides = contiguous_strides(&base.shape);
    let map = |mut at: isize| -> isize {
        // Each element offset of a dense layout is a mixed-radix number in its strides.
        let mut order: SmallVec<[usize; 4]> =
            (0..base.ndim()).filter(|&d| base.shape[d] > 1).collect();
        order.sort_unstable_by_key(|&d| -base.strides[d]);
        let mut out = 0;
        for d in order {
            out += at / base.strides[d] * strides[d];
            at %= base.strides[d];
        }
        out
    };
    if base.contiguous {
        return Ok(view.clone().at(view.offset - base.offset));
    }
    if !base.dense() {
        bail!(NotImplemented, "in-place write to a view of a tensor that is not dense");
    }
    let steps = view.strides.iter().zip(&view.shape).map(|(&s, &n)| if n > 1 { map(s) } else { 0 });
    Ok(Layout::new(view.shape.clone(), steps.collect(), map(view.offset - base.offset)))
}

/// The part of the base's gradient that belongs to a view.
pub(crate) fn part_of(g: &Tensor, base: &Layout, view: &Layout) -> Result<Tensor> {
    part(g, &in_rows(base, view)?)
}

/// The base's gradient with the view's part replaced.
pub(crate) fn with_part(g: &Tensor, src: &Tensor, base: &Layout, view: &Layout) -> Result<Tensor> {
    with_part_rows(g, src, &in_rows(base, view)?)
}
