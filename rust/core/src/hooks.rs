//! Hooks of tensors, and gradients kept for tensors that are not leaves.

use crate::sync::guarded;
use crate::tape::{Hook, Node};
use crate::{Result, Tensor, bail, views};

guarded!(next_id: u64 = 0);

fn fresh_id() -> u64 {
    next_id(|n| {
        *n += 1;
        *n
    })
}

impl Tensor {
    /// Calls `hook` with the gradient of this tensor whenever it is computed; the hook may replace
    /// it. Returns an id for [`Tensor::remove_hook`].
    ///
    /// The hook belongs to the present version of the tensor: an in-place write leaves it behind.
    ///
    /// # Errors
    /// RuntimeError if the tensor does not require a gradient.
    pub fn register_hook(&self, hook: Hook) -> Result<u64> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        views::refresh(self);
        let id = fresh_id();
        match self.node() {
            Some(node) => {
                node.with_info(|i| i.hooks.push((id, self.output_nr() as u32, hook)));
            }
            None => self.with_meta(|m| m.hooks.push((id, hook))),
        }
        Ok(id)
    }

    /// Calls `hook` with this leaf after its `.grad` was updated.
    ///
    /// # Errors
    /// RuntimeError if the tensor is not a leaf that requires a gradient.
    pub fn register_post_accumulate_grad_hook(&self, hook: Hook) -> Result<u64> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        if !self.is_leaf() {
            bail!(Runtime, "post accumulate grad hooks cannot be registered on non-leaf tensors");
        }
        let id = fresh_id();
        self.with_meta(|m| m.post_hooks.push((id, hook)));
        Ok(id)
    }

    /// Takes a hook away; one that is gone already is passed over.
    pub fn remove_hook(&self, id: u64) {
        if self.meta().is_some() {
            let gone = self.with_meta(|m| {
                let a: Vec<_> = m.hooks.extract_if(.., |h| h.0 == id).collect();
                let b: Vec<_> = m.post_hooks.extract_if(.., |h| h.0 == id).collect();
                (a, b)
            });
            drop(gone);
        }
        if let Some(node) = self.node() {
            remove_node_hook(node, id);
        }
    }

    /// Keeps the gradient of this tensor in `.grad` although it is not a leaf.
    ///
    /// # Errors
    /// RuntimeError if the tensor does not require a gradient.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            bail!(Runtime, "can't retain_grad on Tensor that has requires_grad=False");
        }
        views::refresh(self);
        if let Some(node) = self.node()
            && !self.retains()
        {
            node.with_info(|i| i.retained.push((self.output_nr() as u32, self.id())));
            self.set_retains(true);
        }
        Ok(())
    }

    /// True if `.grad` will be kept although this is not a leaf.
    pub fn retains_grad(&self) -> bool {
        self.retains()
    }
}

/// Takes a tensor hook away from the node it was registered at.
pub fn remove_node_hook(node: &Node, id: u64) {
    if node.info().is_some() {
        let gone: Vec<_> = node.with_info(|i| i.hooks.extract_if(.., |h| h.0 == id).collect());
        drop(gone);
    }
}
