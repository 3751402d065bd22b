//! Parts of a tensor by size, stride and offset, and their gradients.
//!
//! The operations behind the gradients speak of a *frame*: memory that holds a tensor laid out like
//! the base, and the part. Offsets of parts count from the base's first element; a part may reach
//! outside the base, where there is zero to read and what is written is dropped.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
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
    if sizes.iter().any(|&s| s < 0) {
        let (sizes, strides) = (crate::shape::show(sizes), crate::shape::show(strides));
        bail!(
            Runtime,
            "Storage size calculation overflowed with sizes={sizes} and strides={strides}"
        );
    }
    let shape: Shape = sizes.iter().map(|&s| s as usize).collect();
    let strides: Strides = strides.iter().map(|&s| s as isize).collect();
    Ok(Layout::new(shape, strides, a.opt_int(at + 2)?.unwrap_or(0) as isize))
}

fn check_inside(l: &Layout, t: &Tensor) -> Result<()> {
    let (item, bytes) = (t.dtype().size(), t.storage().bytes());
    if l.offset < 0 {
        bail!(Runtime, "Tensor: invalid storage offset {}", l.offset);
    }
    if let Some((_, last)) = l.extent()
        && (last as usize + 1) * item > bytes
    {
        bail!(
            Runtime,
            "setStorage: sizes {}, strides {}, storage offset {}, and itemsize {item} requiring a storage size of {} are out of bounds for storage of size {bytes}",
            crate::shape::show(&l.shape),
            crate::shape::show(&l.strides),
            l.offset,
            (last as usize + 1) * item
        );
    }
    Ok(())
}

/// Memory for a base and a part of it.
struct Frame {
    base: Layout,
    part: Layout,
    elements: usize,
}

impl Frame {
    fn new(shape: &[usize], strides: &[i64], part: Layout) -> Frame {
        let strides: Strides = strides.iter().map(|&s| s as isize).collect();
        let base = Layout::new(Shape::from_slice(shape), strides, 0);
        let ends: SmallVec<[(isize, isize); 2]> =
            [base.extent(), part.extent()].into_iter().flatten().collect();
        let low = ends.iter().map(|e| e.0).min().unwrap_or(0);
        let high = ends.iter().map(|e| e.1).max().unwrap_or(-1);
        let offset = part.offset - low;
        Frame {
            base: base.at(-low),
            part: part.at(offset),
            elements: (high - low + 1).max(0) as usize,
        }
    }

    /// The frame's memory, zero wherever the base does not reach.
    fn memory(&self, dtype: DType) -> Result<Tensor> {
        if self.base.dense() && self.base.numel == self.elements {
            Tensor::empty(&[self.elements], dtype)
        } else {
            Tensor::zeros(&[self.elements], dtype)
        }
    }

    /// A tensor laid out like the base, with the values of `t`.
    fn filled(&self, t: &Tensor) -> Result<Tensor> {
        let base = self.memory(t.dtype())?.alias(self.base.clone());
        pointwise::copy(t, &base)?;
        Ok(base)
    }
}

/// The arguments of a call of [`EMBED`], [`PART`] or [`WITH_PART`] for a batch of tensors of `shape`
/// each: their frames lie one after the other.
pub(crate) fn batched(id: Id, args: &[Value], shape: &[usize], batch: usize) -> Result<Vec<Value>> {
    let a = Args(args);
    let (base, size) = if id == Id::PART { (1, 2) } else { (2, 3) };
    let given: Shape = match id {
        Id::EMBED => a.ints(1)?.iter().map(|&s| s as usize).collect(),
        _ => Shape::from_slice(shape),
    };
    let step = Frame::new(&given, a.ints(base)?, layout_arg(&a, size)?).elements as i64;
    let mut all = args.to_vec();
    let mut put = |at: usize, first: i64| {
        if let Value::Ints(list) = &mut all[at] {
            list.insert(0, first);
        }
    };
    put(base, step);
    put(size, batch as i64);
    put(size + 1, step);
    if id == Id::EMBED {
        put(1, batch as i64);
    }
    Ok(all)
}

/// A part as the arguments of [`VIEW_PART`].
pub(crate) fn part_args(base: &Layout, part: &Layout) -> Vec<Value> {
    let [size, stride, offset] = layout_values(&part.clone().at(part.offset - base.offset));
    vec![Value::None, size, stride, offset, strides_of(base)]
}

fn strides_of(l: &Layout) -> Value {
    Value::Ints(l.strides.iter().map(|&s| s as i64).collect())
}

pub(crate) const AS_STRIDED: Structured = Structured {
    schema: "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
    aliases: &[],
    doc: "A view of the storage by sizes, strides and offset (all in elements).\n\n>>> torch.arange(4).as_strided((2, 2), (1, 1))\ntensor([[0, 1],\n        [1, 2]])",
    forms: Forms::BOTH,
    forward: |a| {
        let t = a.tensor(0)?;
        let l = storage_part(&a, t, 1)?;
        let mut args = part_args(t.layout(), &l);
        args[0] = t.into();
        Ok(smallvec![call1(Id::VIEW_PART, &args)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// The layout that arguments `at` and following describe within the storage of `t`.
fn storage_part(a: &Args, t: &Tensor, at: usize) -> Result<Layout> {
    let mut l = layout_arg(a, at)?;
    if a.opt_int(at + 2)?.is_none() {
        l.offset = t.layout().offset;
    }
    if l.strides.iter().any(|&s| s < 0) {
        let strides = crate::shape::show(&l.strides);
        bail!(
            Runtime,
            "as_strided: Negative strides are not supported at the moment, got strides: {strides}"
        );
    }
    check_inside(&l, t)?;
    Ok(l)
}

pub(crate) const AS_STRIDED_IN_PLACE: Structured =
    Structured { forms: Forms::LAYOUT, vjp: PART_BACK, node: "AsStridedBackward1", ..AS_STRIDED };

pub(crate) const VIEW_PART: Structured = Structured {
    schema: "_as_strided(Tensor self, int[] size, int[] stride, int offset, int[] base) -> Tensor",
    aliases: &[],
    doc: "A view of a part of `self`, whose strides are `base`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        let l = layout_arg(&a, 1)?;
        let offset = l.offset + t.layout().offset;
        Ok(smallvec![t.view_as_layout(l.at(offset))])
    },
    vjp: PART_BACK,
    node: "AsStridedBackward0(size, stride, storage_offset=offset)",
};

/// The gradient of a part, of a call with the arguments of [`VIEW_PART`].
pub(crate) const PART_BACK: Vjp = Vjp::Many(|| {
    let back = |cx: &Cx, g: &[&Tensor]| {
        let base = cx.args.get(4).clone();
        embed_in(g[0], &cx.input(0).shape, base, &layout_arg(&cx.args, 1)?)
    };
    vec![X::verb("as_strided_backward", back, &[X::Grad(0)])]
});

pub(crate) const EMBED: Structured = Structured {
    schema: "_embed(Tensor self, int[] shape, int[] base, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &[],
    doc: "Zeros of `shape` and strides `base`, `self` added at a part.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, l) = (a.tensor(0)?, layout_arg(&a, 3)?);
        let shape: Shape = a.ints(1)?.iter().map(|&s| s as usize).collect();
        if matches!(t.dtype(), DType::F16 | DType::BF16) && overlaps(&l) {
            // Sums are kept in more bits.
            let wide = embed_in(&t.to(DType::F32)?, &shape, a.get(2).clone(), &l)?;
            return Ok(smallvec![wide.to(t.dtype())?]);
        }
        let frame = Frame::new(&shape, a.ints(2)?, l);
        let memory = Tensor::zeros(&[frame.elements], t.dtype())?;
        if overlaps(&frame.part) {
            add_overlapping(t, &memory, &frame.part)?;
        } else {
            pointwise::copy(t, &memory.alias(frame.part))?;
        }
        Ok(smallvec![memory.alias(frame.base)])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            part_in(g[0], cx.args.get(2).clone(), &layout_arg(&cx.args, 3)?)
        };
        vec![X::verb("part", back, &[X::Grad(0)])]
    }),
    node: "AsStridedBackward0_backward",
};

pub(crate) const PART: Structured = Structured {
    schema: "_part(Tensor self, int[] base, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &[],
    doc: "A copy of a part of `self`, as if its strides were `base`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, l) = (a.tensor(0)?, layout_arg(&a, 2)?);
        let frame = Frame::new(t.shape(), a.ints(1)?, l);
        let out = Tensor::empty(&frame.part.shape, t.dtype())?;
        pointwise::copy(&frame.filled(t)?.alias(frame.part), &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| {
            let base = cx.args.get(1).clone();
            embed_in(g[0], &cx.input(0).shape, base, &layout_arg(&cx.args, 2)?)
        };
        vec![X::verb("embed", back, &[X::Grad(0)])]
    }),
    node: "AsStridedBackward0(size, stride, storage_offset)",
};

pub(crate) const WITH_PART: Structured = Structured {
    schema: "_with_part(Tensor self, Tensor src, int[] base, int[] size, int[] stride, int offset) -> Tensor",
    aliases: &[],
    doc: "A copy of `self` with strides `base`, a part replaced by `src`.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (t, src, l) = (a.tensor(0)?, a.tensor(1)?, layout_arg(&a, 3)?);
        let frame = Frame::new(t.shape(), a.ints(2)?, l);
        let out = frame.filled(t)?;
        pointwise::copy(src, &out.alias(frame.part))?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let rest = |cx: &Cx, g: &[&Tensor]| {
            let l = layout_arg(&cx.args, 3)?;
            let zero = Tensor::zeros(&l.shape, g[0].dtype())?;
            with_part_in(g[0], &zero, cx.args.get(2).clone(), &l)
        };
        let src = |cx: &Cx, g: &[&Tensor]| {
            part_in(g[0], cx.args.get(2).clone(), &layout_arg(&cx.args, 3)?)
        };
        vec![X::verb("rest", rest, &[X::Grad(0)]), X::verb("part", src, &[X::Grad(0)])]
    }),
    node: "AsStridedScatterBackward0(size, stride, storage_offset=offset)",
};

pub(crate) const AS_STRIDED_SCATTER: Structured = Structured {
    schema: "as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
    aliases: &[],
    doc: "A copy with a part, as `as_strided` selects it, replaced by `src`.\n\n>>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (3,))\ntensor([1., 0., 0., 1.])",
    forms: Forms::BOTH,
    forward: |a| {
        let (t, src) = (a.tensor(0)?, a.tensor(1)?);
        let l = storage_part(&a, t, 2)?;
        check_source(src, &l)?;
        Ok(smallvec![with_part(t, src, t.layout(), &l)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// Argument 0 with argument 1 in place of a part, in the memory order of argument 0.
pub(crate) fn replaced(a: &Args, part: impl Fn(&Layout) -> Result<Layout>) -> Result<Outputs> {
    let (t, src) = (a.tensor(0)?, a.tensor(1)?);
    check_source(src, &part(t.layout())?)?;
    let out = match t.layout().dense() {
        true => Tensor::empty_strided(t.shape().into(), t.strides().into(), t.dtype())?,
        false => Tensor::empty(t.shape(), t.dtype())?,
    };
    pointwise::copy(t, &out)?;
    pointwise::copy(src, &out.alias(part(out.layout())?))?;
    Ok(smallvec![out])
}

/// Refuses a source that is not as large as the part it is to replace.
fn check_source(src: &Tensor, part: &Layout) -> Result<()> {
    if src.shape() != part.shape.as_slice() {
        bail!(
            Runtime,
            "expected src to have a size equal to the slice of self. src size = {}, slice size = {}",
            crate::shape::show(src.shape()),
            crate::shape::show(&part.shape)
        );
    }
    Ok(())
}

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

/// Zeros of `shape` with `g` at the part `l` of the row-major whole (recorded if recording is on).
pub(crate) fn embed(g: &Tensor, shape: &[usize], l: &Layout) -> Result<Tensor> {
    if crate::forward::plain() && !overlaps(l) {
        let whole = Tensor::zeros(shape, g.dtype())?;
        pointwise::copy(g, &whole.alias(l.clone()))?;
        return Ok(whole);
    }
    embed_in(g, shape, strides_of(&Layout::contiguous(shape)), l)
}

fn embed_in(g: &Tensor, shape: &[usize], base: Value, l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    let shape = Value::Ints(shape.iter().map(|&s| s as i64).collect());
    call1(Id::EMBED, &[g.into(), shape, base, size, stride, offset])
}

fn part_in(g: &Tensor, base: Value, l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    call1(Id::PART, &[g.into(), base, size, stride, offset])
}

fn with_part_in(g: &Tensor, src: &Tensor, base: Value, l: &Layout) -> Result<Tensor> {
    let [size, stride, offset] = layout_values(l);
    call1(Id::WITH_PART, &[g.into(), src.into(), base, size, stride, offset])
}

/// The part of the base's gradient that belongs to a view.
pub(crate) fn part_of(g: &Tensor, base: &Layout, view: &Layout) -> Result<Tensor> {
    part_in(g, strides_of(base), &view.clone().at(view.offset - base.offset))
}

/// The base's gradient with the view's part replaced.
pub(crate) fn with_part(g: &Tensor, src: &Tensor, base: &Layout, view: &Layout) -> Result<Tensor> {
    with_part_in(g, src, strides_of(base), &view.clone().at(view.offset - base.offset))
}
