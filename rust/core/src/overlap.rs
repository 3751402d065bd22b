//! Which writes PyTorch refuses because of memory that is reached more than once. Both tests are
//! PyTorch's own, which decide cheaply and let doubtful cases pass.

use crate::shape::Layout;
use crate::{Result, Tensor, bail};

/// Refuses a write to a tensor of which several elements are one in memory (an expanded one).
pub(crate) fn check_inside(x: &Layout) -> Result<()> {
    if x.shape.iter().zip(&x.strides).any(|(&n, &s)| n > 1 && s == 0) && x.numel > 0 {
        bail!(
            Runtime,
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(())
}

/// Refuses a write to `x` from an operand that lies in part of the same memory.
pub(crate) fn check_between(x: &Tensor, operand: &Tensor) -> Result<()> {
    if meet(x, operand) {
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
