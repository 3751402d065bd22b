//! Whether operations are recorded: a flag of each thread.

use std::cell::Cell;

thread_local! {
    static GRAD: Cell<bool> = const { Cell::new(true) };
}

/// True if operations on tensors that require gradients are recorded in this thread.
#[inline(always)]
pub fn grad_enabled() -> bool {
    GRAD.get()
}

/// Switches recording on or off; returns what it was.
pub fn set_grad_enabled(on: bool) -> bool {
    GRAD.replace(on)
}

/// Restores the mode when dropped, also on panics and early returns.
///
/// ```
/// let x = wengert::Tensor::from_slice(&[1.0f32]).requires_grad_(true)?;
/// let y = { let _off = wengert::mode::Guard::new(false); x.mul(&x)? };
/// assert!(!y.requires_grad());
/// # Ok::<(), wengert::Error>(())
/// ```
pub struct Guard(bool);

impl Guard {
    /// Sets the mode until the guard is dropped.
    pub fn new(on: bool) -> Guard {
        Guard(set_grad_enabled(on))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        set_grad_enabled(self.0);
    }
}
