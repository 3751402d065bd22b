//! Two kinds of tensors, normal ones and those made in inference mode, and what counts the writes
//! to each.

use super::{COUNTED, INFERENCE, Tensor};
use crate::sync::guarded;
use crate::{Result, Storage, bail, batch, mode, sites};

// True once some inference tensor was made to require a gradient.
guarded!(leaves: bool = false);

/// True for operands that are all inference tensors, whether or not they require a gradient: a
/// call on them is not recorded in any mode.
#[inline(always)]
pub(crate) fn all_inference<'a>(mut operands: impl Iterator<Item = Option<&'a Tensor>>) -> bool {
    leaves(|l| *l) && operands.all(|t| t.is_some_and(Tensor::is_inference))
}

impl Tensor {
    /// The same memory without history. Writes through either are seen by both.
    pub fn detach(&self) -> Tensor {
        if batch::is_batched(self)
            && let Ok(t) = batch::within(self, &|t| Ok(t.detach()))
        {
            return t;
        }
        let t = self.alias(self.layout().clone());
        if t.flag(INFERENCE)
            && !mode::inference()
            && let Ok(counter) = Storage::new(0)
        {
            t.count_at(counter); // PyTorch's has a counter, too
        }
        t
    }

    /// Made in inference mode: such a tensor is never saved for a derivative, its writes are not
    /// counted, and it knows of no base.
    #[inline(always)]
    pub fn is_inference(&self) -> bool {
        self.flag(INFERENCE) && self.base().is_none()
    }

    /// A new tensor is of the kind that the thread's mode says.
    #[cold]
    #[inline(never)]
    pub(super) fn take_kind(&self) {
        self.set_flag(INFERENCE, mode::inference());
    }

    /// Refuses a write to an inference tensor outside of inference mode.
    ///
    /// # Errors
    /// RuntimeError with PyTorch's text.
    #[inline(always)]
    pub fn check_writable(&self) -> Result<()> {
        if self.flag(INFERENCE) && !self.counts_versions() && !mode::inference() {
            bail!(
                Runtime,
                "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
            );
        }
        Ok(())
    }

    /// Refuses to make an inference tensor require a gradient outside of inference mode.
    pub(crate) fn check_may_require_grad(&self) -> Result<()> {
        if self.is_inference() {
            if !mode::inference() {
                bail!(
                    Runtime,
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
                );
            }
            leaves(|l| *l = true);
        }
        Ok(())
    }

    /// False for an inference tensor, unless it counts for itself.
    pub fn counts_versions(&self) -> bool {
        self.flag(COUNTED) || !self.is_inference()
    }

    /// Makes it a normal tensor.
    pub(crate) fn set_normal(&self) {
        if self.is_inference() {
            self.set_flag(INFERENCE, false);
        }
    }

    /// The version that a node remembers with a tensor that it saves.
    ///
    /// # Errors
    /// RuntimeError for an inference tensor, which may change unseen.
    #[inline(always)]
    pub(crate) fn version_to_save(&self) -> Result<u32> {
        if self.flag(COUNTED | INFERENCE) {
            return self.odd_version_to_save();
        }
        Ok(self.storage().version())
    }

    #[cold]
    fn odd_version_to_save(&self) -> Result<u32> {
        if self.is_inference() && !mode::saves_inference() {
            bail!(
                Runtime,
                "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
            );
        }
        Ok(self.version())
    }

    /// Makes another tensor of the same kind, and counts the writes of both together.
    #[cold]
    pub(super) fn pass_kind(&self, other: &Tensor) {
        other.set_flag(INFERENCE, self.is_inference());
        if self.flag(COUNTED) {
            other.count_at(self.counter().clone());
        }
    }

    /// From now on writes to this tensor are counted by the version of `storage`.
    pub(crate) fn count_at(&self, storage: Storage) {
        self.set_flag(COUNTED, true);
        self.with_meta(|m| m.counter = Some(storage));
    }

    /// The storage whose version counts for this tensor.
    #[inline(always)]
    pub(crate) fn counter(&self) -> &Storage {
        if !self.flag(COUNTED) {
            return self.storage();
        }
        self.meta().and_then(|m| m.counter.as_ref()).unwrap_or(self.storage())
    }

    /// Counts one in-place write; `version` starts at 0.
    #[inline(always)]
    pub fn bump_version(&self) {
        let counter = self.counter();
        counter.bump_version();
        sites::written(counter);
    }

    /// The write that gave the memory this version, after node number `since` was recorded.
    pub(crate) fn write_at(&self, version: u32, since: u64) -> Option<sites::CallSite> {
        sites::write_to(self.counter(), version, since)
    }

    #[inline(always)]
    pub fn version(&self) -> u32 {
        self.counter().version()
    }

    /// `x.data`: the same memory without history, whose writes do not count as writes to `x`.
    ///
    /// # Errors
    /// RuntimeError when memory cannot be had.
    pub fn data(&self) -> Result<Tensor> {
        if batch::is_batched(self) {
            bail!(Runtime, "accessing `data` under vmap transform is not allowed");
        }
        self.ptr()?;
        let t = self.detach();
        if !(t.is_inference() && mode::inference()) {
            t.count_at(Storage::new(0)?);
        }
        Ok(t)
    }

    /// `x.data = other`: takes over memory, layout, dtype and kind, keeping identity, autograd
    /// state and the count of writes.
    ///
    /// # Errors
    /// RuntimeError when memory cannot be had.
    pub fn set_data(&self, other: &Tensor) -> Result<()> {
        self.set_memory(other)?;
        if self.base().is_none() {
            self.set_flag(INFERENCE, other.is_inference());
        }
        Ok(())
    }
}
