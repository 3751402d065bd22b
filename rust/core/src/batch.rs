//! Batching (`vmap`): a tensor that stands for many, and how calls on it become one call.
//!
//! A batched tensor has the shape of one example and keeps the whole, whose first dimension is the
//! batch, beside it. Levels nest; the outermost wrapper of a tensor is always that of its highest
//! level. A call looks at the highest level among its arguments, takes the wholes there, and makes
//! the call that a rule finds for them ([`rules`]), which may be batched in turn at lower levels.
//! So history and tangents belong to the tensors inside, and know nothing of batches.

mod rewritten;
mod rules;
mod shell;

use crate::op::{Outputs, call1};
use crate::ops::Id;
use crate::pointwise::Operand;
use crate::shape::Layout;
use crate::sync::guarded;
use crate::{Result, Storage, Tensor, Value, bail};

pub(crate) use rules::{assign, call, in_place, structured_in_place};
pub use shell::{Shell, depth, outside};

/// What a tensor stands for at a level: the whole, batch first.
pub(crate) struct Batch {
    level: usize,
    /// Of the level.
    id: u64,
    whole: Tensor,
}

/// How random numbers are drawn inside a level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Randomness {
    Error,
    Same,
    Different,
}

#[derive(Clone, Copy)]
struct Level {
    /// Tells a level from others that had its number.
    id: u64,
    size: usize,
    randomness: Randomness,
}

guarded!(levels: Vec<Level> = Vec::new());
guarded!(opened: u64 = 0);
guarded!(forbidden: usize = 0);
guarded!(loops: Vec<Id> = Vec::new());

/// True if some tensor may be batched.
#[inline(always)]
pub fn active() -> bool {
    levels(|l| !l.is_empty())
}

/// Opens a level for batches of `size`; returns its number.
pub fn enter(size: usize, randomness: Randomness) -> usize {
    let id = opened(|n| {
        *n += 1;
        *n
    });
    levels(|l| {
        l.push(Level { id, size, randomness });
        l.len() - 1
    })
}

/// Closes the innermost level.
pub fn exit() {
    levels(|l| l.truncate(l.len().saturating_sub(1)));
}

/// While it lives, random numbers must not be drawn.
pub struct NoRandom;

impl NoRandom {
    #[allow(clippy::new_without_default)]
    pub fn new() -> NoRandom {
        forbidden(|n| *n += 1);
        NoRandom
    }
}

impl Drop for NoRandom {
    fn drop(&mut self) {
        forbidden(|n| *n -= 1);
    }
}

/// Fails where random numbers must not be drawn.
///
/// # Errors
/// RuntimeError with PyTorch's sentence.
pub fn check_random() -> Result<()> {
    let forbidden = forbidden(|n| *n > 0);
    if forbidden || levels(|l| l.iter().any(|l| l.randomness == Randomness::Error)) {
        bail!(
            Runtime,
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the randomness operation out of vmap"
        );
    }
    Ok(())
}

/// A fresh tensor filled with random numbers: of its own for each example, if the innermost level
/// says so.
///
/// # Errors
/// Those of `fill`; RuntimeError where random numbers must not be drawn.
pub fn drawn(t: Tensor, fill: &dyn Fn(&Tensor) -> Result<()>) -> Result<Tensor> {
    let own = levels(|l| l.last().is_some_and(|l| l.randomness == Randomness::Different));
    check_random()?;
    if !own {
        fill(&t)?;
        return Ok(t);
    }
    inside(&t, &|t| {
        let whole = Tensor::empty(t.shape(), t.dtype())?;
        fill(&whole)?;
        Ok(whole)
    })
}

/// Operations that ran example by example since the last call, for want of a rule.
pub fn take_loops() -> Vec<Id> {
    loops(std::mem::take)
}

/// What `t` stands for. One that escaped from its level stands for nothing: it has no memory.
fn batch_of(t: &Tensor) -> Option<&Batch> {
    t.meta().and_then(|m| m.batch.as_ref()).filter(|b| id_of(b.level) == Some(b.id))
}

fn id_of(level: usize) -> Option<u64> {
    levels(|l| l.get(level).map(|l| l.id))
}

/// True if `t` stands for many.
pub fn is_batched(t: &Tensor) -> bool {
    active() && batch_of(t).is_some()
}

/// The whole of `t` at a level, if it is batched there.
pub(crate) fn whole_at(t: &Tensor, level: usize) -> Option<Tensor> {
    batch_of(t).filter(|b| b.level == level).map(|b| b.whole.clone())
}

/// True if `t` stands for many at a level.
pub fn at(t: &Tensor, level: usize) -> bool {
    batch_of(t).is_some_and(|b| b.level == level || at(&b.whole, level))
}

/// Fails if what a program does next would depend on a tensor that stands for many.
///
/// # Errors
/// RuntimeError with PyTorch's sentence.
pub fn check_not_batched(t: &Tensor) -> Result<()> {
    if is_batched(t) {
        bail!(
            Runtime,
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet, please file an issue at https://github.com/pytorch/pytorch/issues ."
        );
    }
    Ok(())
}

/// The level of the outermost wrapper of `t`, and what is inside it.
pub fn outermost(t: &Tensor) -> Option<(usize, Tensor)> {
    batch_of(t).map(|b| (b.level, b.whole.clone()))
}

/// The tensor inside all wrappers.
pub fn innermost(t: &Tensor) -> Tensor {
    match batch_of(t) {
        Some(b) => innermost(&b.whole),
        None => t.clone(),
    }
}

/// The highest level at which one of the tensors is batched.
fn highest<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Option<usize> {
    tensors.filter_map(|t| batch_of(t).map(|b| b.level)).max()
}

/// The level at which a call with these arguments is to be batched.
pub(crate) fn level_of(args: &[Value]) -> Option<usize> {
    let mut level = None;
    for a in args {
        level = level.max(match a {
            Value::Tensor(t) => highest(std::iter::once(t)),
            Value::Tensors(list) => highest(list.iter()),
            Value::Indices(list) => highest(list.iter().flatten()),
            _ => None,
        });
    }
    level
}

/// As [`level_of`] for a pointwise call.
pub(crate) fn level_of_operands(args: &[Operand]) -> Option<usize> {
    highest(args.iter().filter_map(Operand::tensor))
}

/// The tensor that stands for the examples of `whole` along its first dimension.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn wrap(whole: &Tensor, level: usize) -> Result<Tensor> {
    if let Some(b) = batch_of(whole)
        && b.level > level
    {
        let inner = wrap(&b.whole.transpose(0, 1)?, level)?;
        return wrap(&inner, b.level);
    }
    // What reads memory without a rule must not see the first example: there is no memory.
    let l = whole.layout();
    let one = Layout::new(l.shape[1..].into(), l.strides[1..].into(), l.offset);
    let storage = Storage::sealed(whole.storage().bytes());
    let t = Tensor::from_parts(storage, one, whole.dtype());
    t.count_at(whole.counter().clone());
    t.set_leaf_grad(whole.requires_grad());
    let id = id_of(level).unwrap_or(0);
    t.with_meta(|m| m.batch = Some(Batch { level, id, whole: whole.clone() }));
    Ok(t)
}

/// `t` at a level of size `size`, its batch first: the whole, or `t` as often as there are examples.
fn spread(t: &Tensor, level: usize, size: usize) -> Result<Tensor> {
    if let Some(whole) = whole_at(t, level) {
        return Ok(whole);
    }
    if let Some(b) = batch_of(t).filter(|b| b.level > level) {
        return wrap(&spread(&b.whole, level, size)?.transpose(0, 1)?, b.level);
    }
    let mut shape = vec![size];
    shape.extend_from_slice(t.shape());
    t.unsqueeze(0)?.expand(&shape)
}

/// The argument of a batched function: `t` with its dimension `dim` as the batch.
///
/// # Errors
/// IndexError for a dimension that does not exist.
pub fn split(t: &Tensor, dim: i64, level: usize) -> Result<Tensor> {
    wrap(&to_front(t, dim)?, level)
}

fn to_front(t: &Tensor, dim: i64) -> Result<Tensor> {
    if dim == 0 { Ok(t.clone()) } else { moved(t, dim, 0) }
}

fn moved(t: &Tensor, from: i64, to: i64) -> Result<Tensor> {
    call1(Id::MOVEDIM, &[t.into(), from.into(), to.into()])
}

/// The result of a batched function: the whole of `t`, its batch at `dim`.
///
/// # Errors
/// IndexError for a dimension that does not exist.
pub fn join(t: &Tensor, dim: i64, level: usize) -> Result<Tensor> {
    let whole = spread(t, level, size_of(level))?;
    if dim == 0 { Ok(whole) } else { moved(&whole, 0, dim) }
}

fn size_of(level: usize) -> usize {
    levels(|l| l.get(level).map_or(1, |l| l.size))
}

/// `f` of the tensor inside all wrappers, in wrappers again. All open levels are wrappers of the
/// result: a gradient with respect to it is one for each example.
///
/// # Errors
/// Those of `f`.
pub fn inside(t: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    fn at(t: &Tensor, level: usize, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if level == 0 {
            return f(t);
        }
        let whole = spread(t, level - 1, size_of(level - 1))?;
        wrap(&at(&whole, level - 1, f)?, level - 1)
    }
    at(t, levels(|l| l.len()), f)
}

/// `f` of the tensor inside the wrappers that `t` has, in these wrappers again.
pub(crate) fn within(t: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match batch_of(t) {
        Some(b) => wrap(&within(&b.whole, f)?, b.level),
        None => f(t),
    }
}

/// A fresh tensor, one for each example of `t` if that stands for many.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn for_each(fresh: &Tensor, t: &Tensor) -> Result<Tensor> {
    if !is_batched(t) {
        return Ok(fresh.clone());
    }
    within(t, &|inner| {
        let lead = inner.ndim() - t.ndim();
        let shape = [&inner.shape()[..lead], fresh.shape()].concat();
        let whole = Tensor::empty(&shape, fresh.dtype())?;
        crate::pointwise::copy(fresh, &whole)?;
        Ok(whole)
    })
}

/// `g`, a gradient or tangent of `t`, as one of the tensor inside the wrappers of `t`.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn beside(g: &Tensor, t: &Tensor) -> Result<Tensor> {
    match batch_of(t) {
        Some(b) => beside(&spread(g, b.level, b.whole.shape()[0])?, &b.whole),
        None => Ok(g.clone()),
    }
}

/// `g`, which belongs to the tensor inside the wrappers of `t`, in these wrappers.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn like(g: &Tensor, t: &Tensor) -> Result<Tensor> {
    match batch_of(t) {
        Some(b) => wrap(&like(g, &b.whole)?, b.level),
        None => Ok(g.clone()),
    }
}

/// The call in wrappers: the results of a call of wholes.
fn wrapped(out: Outputs, level: usize) -> Result<Outputs> {
    out.iter().map(|t| wrap(t, level)).collect()
}
