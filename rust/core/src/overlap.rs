//! Which writes PyTorch refuses because of memory that is reached more than once. Both tests are
//! PyTorch's own, which decide cheaply and let doubtful cases pass.

use crate::shape::{Layout, broadcast_strides};
use crate::{Result, Tensor, bail};

/// Refuses a write to a tensor of which several elements are one in memory (an expanded one).
pub(crate) fn check_inside(x: &Layout) -> Result<()> {
    if x.numel > 0 && (0..x.ndim()).any(|d| repeats(x, d)) {
        bail!(
            Runtime,
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(())
}

/// Refuses a write to `x` from an operand that lies in part of the same memory; or, if `whole`, in
/// any of it.
pub(crate) fn check_between(x: &Tensor, operand: &Tensor, whole: bool) -> Result<()> {
    if meet(x, operand) || (whole && x.same(operand) && x.numel() > 0) {
        bail!(
            Runtime,
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(())
}

/// True if two dense tensors share memory, but do not walk all of it in the same way.
fn meet(a: &Tensor, b: &Tensor) -> bool {
    if a.same(b) || !a.storage().same(b.storage()) {
        return false;
    }
    let (x, y) = (a.layout(), b.layout());
    let bytes = |l: &Layout, size: usize| {
        l.extent().map(|(lo, hi)| (lo * size as isize, (hi + 1) * size as isize))
    };
    let (Some(p), Some(q)) = (bytes(x, a.dtype().size()), bytes(y, b.dtype().size())) else {
        return false;
    };
    let apart = p.1 <= q.0 || q.1 <= p.0;
    let same = p == q && x.strides == y.strides;
    !apart && !same && x.dense() && y.dense()
}

/// True if dimension `d` walks one element again and again.
fn repeats(l: &Layout, d: usize) -> bool {
    l.shape[d] > 1 && l.strides[d] == 0
}

/// What is left of a copy to a tensor of which several elements are one in memory: the last value
/// for each. None if no two are.
#[inline]
pub(crate) fn last_values(from: &Tensor, to: &Tensor) -> Option<(Tensor, Tensor)> {
    let l = to.layout();
    if l.contiguous || !(0..l.ndim()).any(|d| repeats(l, d)) {
        return None;
    }
    let strides = broadcast_strides(from.shape(), from.strides(), &l.shape);
    let (mut shape, mut offset) = (l.shape.clone(), from.layout().offset);
    for d in (0..l.ndim()).filter(|&d| repeats(l, d)) {
        offset += (shape[d] as isize - 1) * strides[d];
        shape[d] = 1;
    }
    let to = to.alias(Layout::new(shape.clone(), l.strides.clone(), l.offset));
    Some((from.alias(Layout::new(shape, strides, offset)), to))
}
