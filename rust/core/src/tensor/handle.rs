//! The life of a handle: counting, the embedding language's object, raw pointers.

use super::{HOST_OWNED, Tensor, host, live, slots};
use crate::hooks;
use std::ffi::c_void;
use std::ptr::NonNull;

impl Tensor {
    /// The embedding language's object for this tensor, or null.
    #[inline(always)]
    pub fn host(&self) -> *mut c_void {
        self.inner().host.get()
    }

    /// Remembers the embedding language's object; `owned` says whether this tensor keeps it alive.
    #[inline(always)]
    pub fn set_host(&self, object: *mut c_void, owned: bool) {
        self.inner().host.set(object);
        self.set_flag(HOST_OWNED, owned);
    }

    pub fn host_owned(&self) -> bool {
        self.flag(HOST_OWNED)
    }

    /// The handle as a pointer, its count kept; the inverse of [`Tensor::from_raw`].
    pub fn into_raw(self) -> *mut c_void {
        let p = self.0.as_ptr().cast();
        std::mem::forget(self);
        p
    }

    /// # Safety
    /// `raw` came from [`Tensor::into_raw`] and is used up by this call.
    pub unsafe fn from_raw(raw: *mut c_void) -> Tensor {
        // SAFETY: `into_raw` gave a non-null pointer.
        Tensor(unsafe { NonNull::new_unchecked(raw.cast()) })
    }

    /// Borrows a handle that [`Tensor::into_raw`] turned into the pointer stored at `slot`.
    ///
    /// # Safety
    /// `*slot` came from `into_raw` and is not given up while the reference lives.
    #[inline(always)]
    pub unsafe fn from_raw_ref(slot: &*mut c_void) -> &Tensor {
        // SAFETY: Tensor is one non-null pointer, as `*slot` is.
        unsafe { &*(slot as *const *mut c_void).cast::<Tensor>() }
    }

    /// Drops the handle's target when the last handle goes.
    #[cold]
    fn free(&mut self) {
        if self.retains()
            && let Some(node) = self.node()
        {
            hooks::forget_retained(node, self.id());
        }
        let (object, owned) = (self.host(), self.host_owned());
        let slot = self.0;
        live(|n| *n -= 1);
        // SAFETY: the last handle; the slot is free for reuse after its value was dropped.
        unsafe { std::ptr::drop_in_place(slot.as_ptr()) };
        slots(|s| s.push(slot));
        if owned && let Some(release) = host(|h| h.as_ref().map(|h| h.release)) {
            release(object);
        }
    }
}

impl Clone for Tensor {
    #[inline(always)]
    fn clone(&self) -> Tensor {
        let r = &self.inner().refs;
        r.set(r.get() + 1);
        Tensor(self.0)
    }
}

impl Drop for Tensor {
    #[inline(always)]
    fn drop(&mut self) {
        let r = &self.inner().refs;
        let n = r.get() - 1;
        r.set(n);
        if n == 0 {
            self.free();
        }
    }
}
