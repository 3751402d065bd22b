//! How gradients are added up, and how they get into `.grad`.

use crate::mode::{Guard, enforces_layout, grad_enabled};
use crate::shape::{Layout, same};
use crate::{Result, Storage, Tensor, forward, lazy, ops, pointwise};

/// Evaluates deferred gradients, as many as possible in one pass.
pub(super) fn evaluate<'a>(grads: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    let pending: Vec<Storage> =
        grads.map(Tensor::storage).filter(|s| s.is_pending()).cloned().collect();
    if pending.is_empty() { Ok(()) } else { lazy::force_all(&pending) }
}

/// The sum of two gradients; into the first one's memory if nobody else has it.
pub(super) fn add(first: Tensor, second: Tensor) -> Result<Tensor> {
    let reuse = !grad_enabled()
        && first.unique()
        && first.is_contiguous()
        && same(first.shape(), second.shape())
        && first.dtype() == second.dtype()
        && !first.storage().is_pending()
        && !second.storage().is_pending();
    if reuse {
        pointwise::in_place(ops::Id::ADD, &[(&first).into(), (&second).into()])
    } else {
        pointwise::binary(ops::Id::ADD, &first, &second)
    }
}

/// Adds `g` to the gradient that `retain_grad` keeps. The first is copied: it still travels on.
pub(super) fn keep(t: &Tensor, g: &Tensor) -> Result<()> {
    let kept = match t.grad() {
        None => ops::view::contiguous_clone(g)?,
        Some(old) => pointwise::binary(ops::Id::ADD, &old, g)?,
    };
    evaluate(std::iter::once(&kept))?;
    t.replace_grad(Some(kept));
    Ok(())
}

/// Adds `g` to the gradient of leaf `t`.
///
/// The first gradient moves in if nobody else holds its memory and it has the leaf's layout; later
/// ones are added in place, unless the pass itself is recorded.
///
/// # Errors
/// RuntimeError when memory cannot be had.
pub fn accumulate(t: &Tensor, g: Tensor) -> Result<()> {
    if !t.requires_grad() {
        return Ok(());
    }
    let new = match t.grad() {
        None if !grad_enabled() && g.unique() && (fits(t, &g) || !enforces_layout()) => g,
        None if grad_enabled() && !t.layout().dense() => ops::view::contiguous_clone(&g)?,
        None => {
            // Since it was used, the leaf may have been given data of another shape.
            let mut layout = Layout::contiguous(g.shape());
            let same = g.shape() == t.shape();
            if same && t.layout().dense() && t.strides().iter().all(|&s| s >= 0) {
                layout = t.layout().clone();
            }
            let own = Tensor::empty_strided(layout.shape, layout.strides, g.dtype())?;
            if grad_enabled() {
                pointwise::assign(&own, (&g).into())?
            } else {
                pointwise::copy(&g, &own)?;
                own.bump_version(); // visible in PyTorch, whose copy is an in-place one
                own
            }
        }
        Some(old) if !grad_enabled() => {
            lazy::before_write(old.storage())?;
            let _off = Guard::new(false);
            pointwise::in_place(ops::Id::ADD, &[(&old).into(), (&g).into()])?;
            return Ok(());
        }
        Some(old) => pointwise::binary(ops::Id::ADD, &old, &g)?,
    };
    // What ends in `.grad` carries no tangent.
    let new = if forward::active() && !grad_enabled() { new.detach() } else { new };
    t.replace_grad(Some(new));
    Ok(())
}

/// True if `g` has the layout that the gradient of `t` shall have: strides of dimensions of size 1
/// do not count.
fn fits(t: &Tensor, g: &Tensor) -> bool {
    if !t.layout().dense() {
        return g.is_contiguous();
    }
    let mut dims = g.shape().iter().zip(g.strides()).zip(t.shape().iter().zip(t.strides()));
    dims.all(|(a, b)| a == b || (*a.0 == 1 && *b.0 == 1)) && g.layout().dense()
}
