//! What a thread does with the operations it runs: records them, only computes, or makes inference
//! tensors.

use crate::sync::guarded;
use std::cell::Cell;

/// The modes of a thread.
///
/// ```
/// use wengert::{Tensor, mode};
/// let x = {
///     let _inside = mode::Guard::with(mode::Mode::new(false, true));
///     Tensor::from_slice(&[1.0f32])
/// };
/// assert!(x.is_inference());
/// assert!(x.requires_grad_(true).is_err()); // no history will know it
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode(u8);

const GRAD: u8 = 1;
const INFERENCE: u8 = 2;

impl Mode {
    /// Operations on tensors that require gradients are recorded.
    pub const RECORDING: Mode = Mode(GRAD);

    /// With grad mode, and inference mode, on or off.
    pub fn new(grad: bool, inference: bool) -> Mode {
        Mode((u8::from(grad) * GRAD) | (u8::from(inference) * INFERENCE))
    }

    /// Grad mode is on. Inside inference mode nothing is recorded even so.
    pub fn grad(self) -> bool {
        self.0 & GRAD != 0
    }

    /// New tensors are inference tensors.
    pub fn inference(self) -> bool {
        self.0 & INFERENCE != 0
    }
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::RECORDING) };
    static SAVES_INFERENCE: Cell<bool> = const { Cell::new(false) };
    static ENFORCES_LAYOUT: Cell<bool> = const { Cell::new(true) };
}

// How many threads are in inference mode. While it is none, no new tensor has to ask its thread.
guarded!(inferring: usize = 0);

/// The modes of this thread.
#[inline(always)]
pub fn current() -> Mode {
    MODE.get()
}

/// Sets the modes of this thread; returns what they were.
#[inline]
pub fn set(new: Mode) -> Mode {
    let old = MODE.replace(new);
    if new.inference() != old.inference() {
        count(new.inference());
    }
    old
}

#[cold]
fn count(entered: bool) {
    inferring(|n| if entered { *n += 1 } else { *n -= 1 });
}

/// True if operations on tensors that require gradients are recorded in this thread.
#[inline(always)]
pub fn grad_enabled() -> bool {
    MODE.get() == Mode::RECORDING
}

/// True if some thread is in inference mode.
#[inline(always)]
pub(crate) fn any_inference() -> bool {
    inferring(|n| *n != 0)
}

/// True if tensors that this thread makes are inference tensors.
pub fn inference() -> bool {
    MODE.get().inference()
}

/// True if nodes may save inference tensors: in the functions of transforms (`torch.func`), where
/// PyTorch has wrapped them.
pub(crate) fn saves_inference() -> bool {
    SAVES_INFERENCE.get()
}

/// Says whether nodes may save inference tensors; returns what it was.
pub fn set_saves_inference(on: bool) -> bool {
    SAVES_INFERENCE.replace(on)
}

/// True if the gradient of a leaf always gets the leaf's layout.
pub(crate) fn enforces_layout() -> bool {
    ENFORCES_LAYOUT.get()
}

/// Says whether a gradient that moves into a leaf has to have the leaf's layout; returns what it
/// was.
pub fn set_enforces_layout(on: bool) -> bool {
    ENFORCES_LAYOUT.replace(on)
}

/// Switches grad mode on or off; returns what it was.
pub fn set_grad_enabled(on: bool) -> bool {
    let old = MODE.get();
    MODE.set(Mode(old.0 & !GRAD | u8::from(on)));
    old.grad()
}

/// Restores the modes when dropped, also on panics and early returns.
///
/// ```
/// let x = wengert::Tensor::from_slice(&[1.0f32]).requires_grad_(true)?;
/// let y = { let _off = wengert::mode::Guard::new(false); x.mul(&x)? };
/// assert!(!y.requires_grad());
/// # Ok::<(), wengert::Error>(())
/// ```
pub struct Guard(Mode);

impl Guard {
    /// Sets grad mode until the guard is dropped.
    pub fn new(on: bool) -> Guard {
        let old = MODE.get();
        MODE.set(Mode(old.0 & !GRAD | u8::from(on)));
        Guard(old)
    }

    /// Sets all modes until the guard is dropped.
    pub fn with(mode: Mode) -> Guard {
        Guard(set(mode))
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        set(self.0);
    }
}
