//! Forward mode: tensors that carry tangents, and how a call hands them on.
//!
//! A tangent belongs to a level. Levels nest: what is computed for one level may itself carry
//! tangents of those below it, so while the tangent of a result is computed for level `n`, only
//! levels below `n` are seen ([`Below`]). No operation has a forward rule of its own:
//!
//! - The Jacobian of a pointwise operation is diagonal, so its derivative formula, read with a
//!   tangent in place of the gradient, gives the tangent.
//! - Views and linear operations are applied to the tangent.
//! - The rest transposes its backward rule: with `v` a dummy gradient, `<vjp(v), t>` is linear in
//!   `v`, and its derivative is the tangent of the result (`transposed`).

mod custom;
mod rules;

use crate::mode::{self, grad_enabled};
use crate::ops::Id;
use crate::pointwise::{self, Operand};
use crate::sync::guarded;
use crate::tape::Saved;
use crate::{Result, Tensor, bail, batch, op, views};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

pub use custom::{CustomOutput, custom};
pub(crate) use rules::{in_place, pointwise, structured};

/// Emptied when its level ends, so that nothing keeps the memory.
type Slot = RefCell<Option<Tensor>>;

/// A tangent of a tensor, or (with an empty slot) the fact that it has none while its base has.
#[derive(Clone)]
pub(crate) struct Tangent {
    level: usize,
    epoch: u64,
    slot: Rc<Slot>,
}

struct Level {
    epoch: u64,
    /// How many levels were seen before this one was entered.
    before: usize,
    slots: Vec<Weak<Slot>>,
    /// Length of `slots` at which the dead ones are dropped.
    prune_at: usize,
}

guarded!(levels: Vec<Level> = Vec::new());
guarded!(epochs: u64 = 0);
guarded!(seen: usize = 0);

/// True if some tensor may carry a tangent that calls have to hand on.
#[inline(always)]
pub fn active() -> bool {
    seen(|n| *n != 0)
}

/// Levels that calls see at present: none in inference mode.
fn visible() -> std::ops::Range<usize> {
    if mode::inference() { 0..0 } else { 0..seen(|n| *n) }
}

/// While it lives, only tangents of levels below `n` are seen.
pub(crate) struct Below(usize);

impl Below {
    pub fn new(n: usize) -> Below {
        Below(seen(|s| std::mem::replace(s, n)))
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        seen(|s| *s = self.0);
    }
}

/// Opens a level; returns its number.
pub fn enter() -> usize {
    let epoch = epochs(|e| {
        *e += 1;
        *e
    });
    let before = seen(|n| *n);
    let level = levels(|all| {
        all.push(Level { epoch, before, slots: Vec::new(), prune_at: 64 });
        all.len() - 1
    });
    seen(|n| *n = level + 1);
    level
}

/// Closes the innermost level, which must be `level`: its tangents are gone.
///
/// # Errors
/// RuntimeError with PyTorch's sentence for another level.
pub fn exit(level: usize) -> Result<()> {
    if level + 1 != levels(|all| all.len()) {
        bail!(
            Runtime,
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        );
    }
    if let Some(closed) = levels(Vec::pop) {
        seen(|n| *n = closed.before);
        for slot in closed.slots {
            drop(slot.upgrade().and_then(|s| s.take()));
        }
    }
    Ok(())
}

fn epoch_of(level: usize) -> Option<u64> {
    levels(|all| all.get(level).map(|l| l.epoch))
}

/// The tangent that `t` carries at a level.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn tangent(t: &Tensor, level: usize) -> Result<Option<Tensor>> {
    let Some(epoch) = epoch_of(level) else { return Ok(None) };
    let own = t.meta().and_then(|m| m.tangents.iter().find(|x| x.epoch == epoch));
    if let Some(own) = own {
        return Ok(own.slot.borrow().clone());
    }
    // A view made before its base got a tangent.
    let Some(base) = t.base().filter(|b| !b.same(t)) else { return Ok(None) };
    match tangent(base, level)? {
        Some(whole) if whole.strides() == base.strides() => {
            views::same_part(&whole, base.layout(), t.layout()).map(Some)
        }
        Some(whole) => Ok(Some(crate::ops::strided::part_of(&whole, base.layout(), t.layout())?)),
        None => Ok(None),
    }
}

/// Makes `value` (None: nothing, whatever the base carries) the tangent of `t` at a level.
fn set(t: &Tensor, level: usize, value: Option<Tensor>) {
    let Some(epoch) = epoch_of(level) else { return };
    let slot = Rc::new(RefCell::new(value));
    let weak = Rc::downgrade(&slot);
    levels(|all| {
        let l = &mut all[level];
        l.slots.push(weak);
        if l.slots.len() >= l.prune_at {
            l.slots.retain(|s| s.strong_count() > 0);
            l.prune_at = 2 * l.slots.len().max(32);
        }
    });
    let mut list = t.with_meta(|m| std::mem::take(&mut m.tangents));
    list.retain(|x| x.epoch != epoch && epoch_of(x.level) == Some(x.epoch));
    list.push(Tangent { level, epoch, slot });
    t.with_meta(|m| m.tangents = list);
}

/// `to` carries what `from` carries (the same tensor under another handle).
pub(crate) fn share(from: &Tensor, to: &Tensor) {
    if let Some(list) = from.meta().map(|m| m.tangents.clone())
        && !list.is_empty()
    {
        to.with_meta(|m| m.tangents = list);
    }
}

/// A view of `primal` that carries `tangent` at a level.
///
/// # Errors
/// RuntimeError for a tangent of another shape.
pub fn make_dual(primal: &Tensor, tangent: &Tensor, level: usize) -> Result<Tensor> {
    if epoch_of(level).is_none() {
        bail!(Runtime, "Level {level} of forward AD is not open");
    }
    if batch::is_batched(primal) || batch::is_batched(tangent) {
        return batch::inside(primal, &|inner| {
            let whole = batch::inside(primal, &|_| Ok(inner.clone()))?;
            make_dual(inner, &batch::beside(tangent, &whole)?, level)
        });
    }
    if self::tangent(primal, level)?.is_some() {
        bail!(
            Runtime,
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level {level} is not supported."
        );
    }
    custom::check_size(primal, tangent)?;
    let _below = Below::new(level);
    let dual = op::call1(Id::ALIAS, &[primal.into()])?;
    set(&dual, level, Some(laid_out_as(tangent.clone(), &dual)?));
    Ok(dual)
}

/// The tangent that `t` carries at the highest level at which it carries one.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn carried(t: &Tensor) -> Result<Option<Tensor>> {
    visible().rev().find_map(|level| tangent(t, level).transpose()).transpose()
}

/// `t` without its tangent at a level, and that tangent.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn unpack_dual(t: &Tensor, level: usize) -> Result<(Tensor, Option<Tensor>)> {
    if batch::is_batched(t) {
        let (primal, tangent) = unpack_dual(&batch::innermost(t), level)?;
        let tangent = tangent.map(|x| batch::like(&x, t)).transpose()?;
        return Ok((batch::like(&primal, t)?, tangent));
    }
    let tangent = tangent(t, level)?;
    let _below = Below::new(level);
    let primal = op::call1(Id::ALIAS, &[t.into()])?;
    if tangent.is_some() {
        set(&primal, level, None);
    }
    Ok((primal, tangent))
}

/// A leaf of its own for a transform, over the memory of `t`; it carries what `t` carries.
///
/// # Errors
/// RuntimeError when memory cannot be had, and for dtypes without gradients.
pub fn private_leaf(t: &Tensor) -> Result<Tensor> {
    batch::inside(t, &own_leaf)
}

/// A recorded alias of `t`, one for each example inside `vmap`.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn private_alias(t: &Tensor) -> Result<Tensor> {
    batch::inside(t, &|t| op::call1(Id::ALIAS, &[t.into()]))
}

fn own_leaf(t: &Tensor) -> Result<Tensor> {
    let leaf = t.detach();
    for level in visible() {
        if let Some(x) = tangent(t, level)? {
            set(&leaf, level, Some(x));
        }
    }
    leaf.set_normal();
    leaf.with_meta(|m| m.private = true);
    leaf.requires_grad_(true)
}

/// `t` (and what it carries) without a history that ends at private leaves only, those of the
/// transforms still running (`outer`) excepted.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn released(t: &Tensor, outer: &[Tensor]) -> Result<Tensor> {
    if batch::is_batched(t) {
        return batch::within(t, &|t| released(t, outer));
    }
    let keep = !t.requires_grad() || crate::engine::leads_out(t, outer)?;
    let out = if keep { t.clone() } else { t.detach() };
    for level in visible() {
        if let Some(x) = tangent(t, level)? {
            let new = released(&x, outer)?;
            if !keep || !new.same(&x) {
                set(&out, level, Some(new));
            }
        }
    }
    Ok(out)
}

/// A tangent has the strides of its tensor, so that what can be viewed here can be viewed there.
fn laid_out_as(t: Tensor, primal: &Tensor) -> Result<Tensor> {
    if t.strides() == primal.strides() || t.numel() < 2 || !primal.layout().dense() {
        return Ok(t);
    }
    let layout = primal.layout().clone();
    let own = Tensor::empty_strided(layout.shape, layout.strides, t.dtype())?;
    pointwise::assign(&own, Operand::Tensor(&t))
}

/// Gives a result its tangent, which was made from `sources`; `view` says that the result shares
/// the memory of an input, as the tangent then does.
fn give(
    out: &Tensor,
    level: usize,
    t: Tensor,
    sources: &[Option<Tensor>],
    view: bool,
) -> Result<()> {
    let mut t = t.to(out.dtype())?.expand(out.shape())?;
    if !view {
        // In-place writes to one of them must not reach the other.
        if sources.iter().flatten().any(|s| s.storage().same(t.storage())) {
            t = op::call1(Id::CLONE, &[(&t).into()])?;
        }
        t = laid_out_as(t, out)?;
    }
    set(out, level, Some(t));
    Ok(())
}

/// What is saved of a result carries its tangents too.
pub fn mirror(out: &Tensor) {
    let Some(node) = out.node() else { return };
    for s in node.saved() {
        if let Saved::Output(t, _, k) = s
            && *k as usize == out.output_nr()
        {
            share(out, t);
        }
    }
}

/// `x` was written to: its tangent at a level is now `new`, or zero.
fn written(x: &Tensor, level: usize, new: Option<Tensor>) -> Result<()> {
    let old = match tangent(x, level)? {
        Some(t) => t,
        None if new.is_none() => return Ok(()),
        None => {
            let root = x.base().unwrap_or(x).clone();
            let layout = root.layout().clone();
            let zero = Tensor::empty_strided(layout.shape, layout.strides, root.dtype())?;
            zero.fill_raw(0.into())?;
            set(&root, level, Some(zero.clone()));
            if x.base().is_none() {
                zero
            } else {
                let part = views::same_part(&zero, root.layout(), x.layout())?;
                set(x, level, Some(part.clone()));
                part
            }
        }
    };
    let value = new.as_ref().map_or(Operand::from(0.0), Operand::Tensor);
    pointwise::assign(&old, value).map(drop)
}

/// `x` was overwritten with the values of `from`: the tangents follow.
pub(crate) fn overwritten(x: &Tensor, from: &Tensor) -> Result<()> {
    for level in visible() {
        let _below = Below::new(level);
        written(x, level, tangent(from, level)?)?;
    }
    mirror(x);
    Ok(())
}

/// A copy of the values that `x` has before a write, with their history and tangents.
pub(crate) fn before_write(x: &Tensor) -> Result<Tensor> {
    let old = x.fresh_copy(x.dtype())?;
    old.set_node(x.node().cloned(), x.output_nr());
    for level in visible() {
        if let Some(t) = tangent(x, level)? {
            let _below = Below::new(level);
            let copy = op::call1(Id::CLONE, &[t.into()])?;
            set(&old, level, Some(laid_out_as(copy, &old)?));
        }
    }
    Ok(old)
}

/// True if one of the tensors carries a tangent that is seen.
pub(crate) fn any<'a>(mut tensors: impl Iterator<Item = &'a Tensor>) -> Result<bool> {
    let levels = visible();
    let carries = |t: &Tensor| -> Result<bool> {
        for level in levels.clone() {
            if tangent(t, level)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    tensors.try_fold(false, |found, t| Ok(found || carries(t)?))
}

/// While it lives, no tangents are seen.
pub fn unseen() -> impl Drop {
    Below::new(0)
}

/// True if a result may be computed on raw memory: nothing is recorded and nothing is carried.
#[inline]
pub(crate) fn plain() -> bool {
    !grad_enabled() && !active() && !crate::batch::active()
}

type Tangents = SmallVec<[Option<Tensor>; 3]>;
