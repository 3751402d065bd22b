//! State shared by all tensors of a thread, or of the process.
//!
//! With the feature `gil` it is one static for the process, guarded by the interpreter's global
//! lock: whoever calls into this crate holds it. Otherwise each thread has its own. `Tensor` is
//! neither `Send` nor `Sync` in both, so no lock and no atomic count is needed
//! (`docs/decisions/free-threading.md` has what those would cost).

/// A cell that is reached only under the lock (feature `gil`) or from its own thread.
pub(crate) struct Guarded<T>(pub std::cell::UnsafeCell<T>);

// SAFETY: with `gil`, every access happens while the interpreter's lock is held; without it the
// cell is thread-local and never shared.
#[cfg(feature = "gil")]
unsafe impl<T> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub const fn new(value: T) -> Self {
        Guarded(std::cell::UnsafeCell::new(value))
    }

    /// Calls `f` with the value. `f` must not come back to the same cell.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: exclusive by the lock or the thread, and `f` is short and does not re-enter.
        f(unsafe { &mut *self.0.get() })
    }
}

/// Declares a [`Guarded`] static or thread-local and a function of the same name to reach it.
macro_rules! guarded {
    ($vis:vis $name:ident: $t:ty = $init:expr) => {
        #[inline(always)]
        $vis fn $name<R>(f: impl FnOnce(&mut $t) -> R) -> R {
            #[cfg(feature = "gil")]
            {
                static CELL: $crate::sync::Guarded<$t> = $crate::sync::Guarded::new($init);
                CELL.with(f)
            }
            #[cfg(not(feature = "gil"))]
            {
                // Never dropped: tensors in other thread-locals may be dropped later.
                thread_local! {
                    static CELL: std::mem::ManuallyDrop<$crate::sync::Guarded<$t>> =
                        const { std::mem::ManuallyDrop::new($crate::sync::Guarded::new($init)) };
                }
                CELL.with(|c| c.with(f))
            }
        }
    };
}
pub(crate) use guarded;
