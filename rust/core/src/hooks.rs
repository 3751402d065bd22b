//! Hooks: functions called while backward runs, and gradients kept for tensors that are not leaves.
//!
//! At a node they run in this order: hooks of the tensors it made, `retain_grad`, the node's hooks
//! before it runs, the node, its hooks after. At a leaf: the tensor's hooks, hooks before
//! accumulation, accumulation, hooks of the accumulated gradient, hooks after.

use crate::tape::{Meta, Node};
use crate::{Result, Tensor, bail, custom, views};
use std::ffi::c_void;
use std::rc::Rc;

/// Gradients of several tensors, some undefined.
pub type Grads<'a> = &'a [Option<Tensor>];

/// A function of one tensor: of a gradient, which it may replace, or of a leaf whose gradient was
/// accumulated. Any closure of that form is one.
pub trait Hook {
    /// # Errors
    /// Whatever the function fails with; backward ends with it.
    fn call(&self, t: &Tensor) -> Result<Option<Tensor>>;
    /// Backward came by, but the gradient is undefined.
    ///
    /// # Errors
    /// As [`Hook::call`].
    fn undefined(&self) -> Result<()> {
        Ok(())
    }
    /// The function's name, for messages.
    fn name(&self) -> String {
        "<unknown>".into()
    }
    /// True once the hook was taken away.
    fn removed(&self) -> bool {
        false
    }
    /// True if the hook may give the gradient another shape or dtype.
    fn reshapes(&self) -> bool {
        false
    }
    /// The front end's object that this hook keeps alive, for its garbage collector, or null.
    fn held(&self) -> *mut c_void {
        std::ptr::null_mut()
    }
}

impl<F: Fn(&Tensor) -> Result<Option<Tensor>>> Hook for F {
    fn call(&self, t: &Tensor) -> Result<Option<Tensor>> {
        self(t)
    }
}

/// A function of all gradients that meet at a node.
pub trait NodeHook {
    /// Before the node runs, `inputs` is None and the gradients of its outputs may be replaced;
    /// afterwards those of its inputs may be.
    ///
    /// # Errors
    /// Whatever the function fails with; backward ends with it.
    fn call(&self, inputs: Option<Grads>, outputs: Grads) -> Result<Option<Vec<Option<Tensor>>>>;
    /// As [`Hook::name`].
    fn name(&self) -> String {
        "<unknown>".into()
    }
    /// As [`Hook::removed`].
    fn removed(&self) -> bool {
        false
    }
    /// As [`Hook::held`].
    fn held(&self) -> *mut c_void {
        std::ptr::null_mut()
    }
}

/// All that is called at one node or leaf, in order of registration.
#[derive(Default)]
pub struct Hooks {
    /// Of the gradient of an output: (output, hook).
    pub tensor: Vec<(u32, Rc<dyn Hook>)>,
    /// Outputs whose gradient is kept: (output, the tensor's id).
    pub(crate) retained: Vec<(u32, usize)>,
    pub before: Vec<Rc<dyn NodeHook>>,
    /// Of a leaf, after its `.grad` was updated.
    pub accumulated: Vec<Rc<dyn Hook>>,
    pub after: Vec<Rc<dyn NodeHook>>,
}

impl Hooks {
    /// The front end's objects that the hooks keep alive.
    pub fn held(&self) -> impl Iterator<Item = *mut c_void> + '_ {
        let tensor = self.tensor.iter().map(|h| h.1.held());
        let nodes = self.before.iter().chain(&self.after).map(|h| h.held());
        let all = tensor.chain(nodes).chain(self.accumulated.iter().map(|h| h.held()));
        all.filter(|o| !o.is_null())
    }

    /// Forgets hooks that were taken away.
    fn purge(&mut self) {
        self.tensor.retain(|h| !h.1.removed());
        self.before.retain(|h| !h.removed());
        self.accumulated.retain(|h| !h.removed());
        self.after.retain(|h| !h.removed());
    }
}

/// Brings gradients back to the shape and dtype that an output had before its tensor was given
/// other data.
struct Former {
    meta: Meta,
    node: String,
}

impl Hook for Former {
    fn call(&self, g: &Tensor) -> Result<Option<Tensor>> {
        custom::fit(|| self.node.clone(), 0, g.clone(), &self.meta).map(Some)
    }

    fn reshapes(&self) -> bool {
        true
    }
}

/// The tensor is about to be given data of another shape or dtype: its node goes on getting
/// gradients of the present one.
pub(crate) fn remember_form(t: &Tensor, next: &Tensor) {
    if let Some(node) = t.node()
        && (t.shape() != next.shape() || t.dtype() != next.dtype())
    {
        let k = t.output_nr() as u32;
        let former = Former { meta: t.into(), node: node.name() };
        at_node(node, |h| {
            if !h.tensor.iter().any(|h| h.0 == k && h.1.reshapes()) {
                h.tensor.insert(0, (k, Rc::new(former)));
            }
        });
    }
}

/// Changes the hooks of a node, made if they are missing.
fn at_node(node: &Node, f: impl FnOnce(&mut Hooks)) {
    node.with_info(|i| {
        let hooks = i.hooks.get_or_insert_default();
        hooks.purge();
        f(hooks);
    });
}

/// Changes the hooks of a leaf, made if they are missing.
fn at_leaf(leaf: &Tensor, f: impl FnOnce(&mut Hooks)) {
    leaf.with_meta(|m| {
        let hooks = m.hooks.get_or_insert_default();
        hooks.purge();
        f(hooks);
    });
}

pub(crate) fn retain(node: &Node, output: u32, tensor: usize) {
    at_node(node, |h| h.retained.push((output, tensor)));
}

pub(crate) fn forget_retained(node: &Node, tensor: usize) {
    if node.hooks().is_some() {
        at_node(node, |h| h.retained.retain(|r| r.1 != tensor));
    }
}

impl Node {
    /// Calls `hook` with the gradients of the outputs before the node runs.
    pub fn register_prehook(&self, hook: Rc<dyn NodeHook>) {
        at_node(self, |h| h.before.push(hook));
    }

    /// Calls `hook` with the gradients of inputs and outputs after the node has run.
    pub fn register_hook(&self, hook: Rc<dyn NodeHook>) {
        at_node(self, |h| h.after.push(hook));
    }

    /// Calls `see` with the front end's objects that this node keeps alive.
    pub fn held(&self, see: &mut dyn FnMut(*mut c_void)) {
        if let Some(rule) = self.info().and_then(|i| i.rule.as_ref()) {
            rule.held(see);
        }
        self.hooks().into_iter().flat_map(Hooks::held).for_each(see);
    }

    /// Lets go of them (the garbage collector breaks cycles this way).
    pub fn clear_held(&self) {
        if self.hooks().is_some() {
            drop(self.with_info(|i| i.hooks.take()));
        }
        if let Some(rule) = self.rule() {
            rule.clear();
        }
    }
}

impl Tensor {
    /// Calls `hook` with the gradient of this tensor whenever it is computed; the hook may replace
    /// it. It belongs to the present version of the tensor: an in-place write leaves it behind.
    ///
    /// # Errors
    /// RuntimeError if the tensor does not require a gradient.
    ///
    /// ```
    /// use wengert::Tensor;
    /// let x = Tensor::from_slice(&[1.0f64]).requires_grad_(true)?;
    /// x.register_hook(std::rc::Rc::new(|g: &Tensor| g.mul(g).map(Some)))?;
    /// x.mul(&Tensor::from_slice(&[3.0f64]))?.backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f64>()?, [9.0]);
    /// # Ok::<(), wengert::Error>(())
    /// ```
    pub fn register_hook(&self, hook: Rc<dyn Hook>) -> Result<()> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        views::refresh(self)?;
        match self.node() {
            Some(node) => at_node(node, |h| h.tensor.push((self.output_nr() as u32, hook))),
            None => at_leaf(self, |h| h.tensor.push((0, hook))),
        }
        Ok(())
    }

    /// Calls `hook` with this leaf after its `.grad` was updated.
    ///
    /// # Errors
    /// RuntimeError if the tensor is not a leaf that requires a gradient.
    pub fn register_post_accumulate_grad_hook(&self, hook: Rc<dyn Hook>) -> Result<()> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        if self.grad_node()?.is_some() {
            bail!(Runtime, "post accumulate grad hooks cannot be registered on non-leaf tensors");
        }
        at_leaf(self, |h| h.accumulated.push(hook));
        Ok(())
    }

    /// Calls `hook` before the gradient of this leaf is accumulated.
    pub fn register_accumulator_prehook(&self, hook: Rc<dyn NodeHook>) {
        at_leaf(self, |h| h.before.push(hook));
    }

    /// Calls `hook` after the gradient of this leaf was accumulated.
    pub fn register_accumulator_hook(&self, hook: Rc<dyn NodeHook>) {
        at_leaf(self, |h| h.after.push(hook));
    }

    /// What is called at this leaf, if there is anything.
    pub fn leaf_hooks(&self) -> Option<&Hooks> {
        self.meta().and_then(|m| m.hooks.as_deref())
    }

    /// Takes all hooks of this leaf away (the garbage collector breaks cycles this way).
    pub fn clear_leaf_hooks(&self) {
        if self.leaf_hooks().is_some() {
            drop(self.with_meta(|m| m.hooks.take()));
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
        if self.is_leaf() {
            return Ok(());
        }
        views::refresh(self)?;
        if let Some(node) = self.node()
            && !self.retains()
        {
            retain(node, self.output_nr() as u32, self.id());
            self.set_retains(true);
        }
        Ok(())
    }

    /// True if `.grad` will be kept although this is not a leaf.
    pub fn retains_grad(&self) -> bool {
        self.retains()
    }
}
