//! The tape: an arena of counted nodes, one per recorded operation.
//!
//! A node lives while a tensor or a later node refers to it. Slots come from chunks that never
//! move, so a handle is a pointer; freed slots are reused. Freeing is iterative: a node whose count
//! reaches zero is put on a list, and whoever put the first one there empties it.

use crate::formula::bit;
use crate::hooks::Hooks;
use crate::op::Id;
use crate::saved::Packed;
use crate::shape::Shape;
use crate::sites::CallSite;
use crate::sync::guarded;
use crate::{DType, Error, Result, Scalar, Tensor, Value, anomaly, err, sites};
use smallvec::SmallVec;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::rc::Rc;

/// A counted handle to a recorded operation.
pub struct Node(NonNull<Inner>);

pub(crate) struct Inner {
    refs: Cell<u32>,
    op: Cell<Id>,
    freed: Cell<bool>,
    seq: Cell<u64>,
    /// Slot of this node in the gradient buffers of backward run `run`.
    pub run: Cell<u32>,
    pub slot: Cell<u32>,
    edges: UnsafeCell<SmallVec<[Edge; 2]>>,
    saved: UnsafeCell<SmallVec<[Saved; 2]>>,
    info: UnsafeCell<Option<Box<Info>>>,
}

/// Where the gradient of an input goes.
#[derive(Clone)]
pub enum Edge {
    /// The input needs no gradient.
    None,
    /// A leaf: the gradient is accumulated there.
    Leaf(Tensor),
    /// Output number `1` of node `0`.
    Node(Node, u32),
}

/// A value kept for the backward pass.
pub enum Saved {
    Input(Tensor, u32),
    /// An output, without its history (which would be a cycle), and its number.
    Output(Tensor, u32, u32),
    Number(Scalar),
    /// What a hook made of an input or output.
    Packed(Box<Packed>),
    /// The formula needs it, but only for a gradient that nobody asks for.
    Absent,
}

/// Shape and dtype of a tensor that need not be alive.
#[derive(Debug, PartialEq)]
pub struct Meta {
    pub shape: Shape,
    pub dtype: DType,
}

impl Clone for Meta {
    fn clone(&self) -> Meta {
        Meta { shape: Shape::from_slice(&self.shape), dtype: self.dtype }
    }
}

impl From<&Tensor> for Meta {
    fn from(t: &Tensor) -> Meta {
        Meta { shape: Shape::from_slice(t.shape()), dtype: t.dtype() }
    }
}

/// The colder half of a node.
#[derive(Default)]
pub struct Info {
    /// Arguments of the call that are not tensors, at their place in the signature.
    pub args: Vec<Value>,
    pub inputs: SmallVec<[Meta; 2]>,
    pub outputs: SmallVec<[Meta; 1]>,
    pub hooks: Option<Box<Hooks>>,
    /// Where the call was made, if that is being recorded.
    pub call_site: Option<CallSite>,
    /// Where the backward pass was called that freed the node.
    pub freed_at: Option<CallSite>,
    /// The rule of a node that is not in the op table.
    pub rule: Option<Rc<dyn Rule>>,
    /// The front end's object for this node, or null.
    pub host: Cell<usize>,
    /// What the front end keeps with the node.
    pub notes: Option<Notes>,
}

/// Something of the front end's own.
pub type Notes = Rc<dyn std::any::Any>;

/// A backward rule outside the op table (in-place writes to views, custom functions).
pub trait Rule {
    fn name(&self) -> String;
    /// Gradients of the inputs for those of the outputs.
    ///
    /// # Errors
    /// Whatever the rule fails with; backward ends with it.
    fn apply(&self, node: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;
    /// The node has run and drops what it saved.
    fn release(&self) {}
    /// The front end's own rule behind this one, if it is one.
    fn own(&self) -> Option<&dyn std::any::Any> {
        None
    }
    /// Calls `see` with the front end's objects that this rule keeps alive, for its garbage
    /// collector.
    fn held(&self, see: &mut dyn FnMut(*mut std::ffi::c_void)) {
        let _ = see;
    }
    /// Lets go of what those objects hold, to break a cycle.
    fn clear(&self) {}
}

const CHUNK: usize = 512;

struct Arena {
    free: Vec<NonNull<Inner>>,
    live: usize,
    seq: u64,
    /// Nodes whose count is zero and whose contents are still to be dropped.
    dead: Vec<NonNull<Inner>>,
    dropping: bool,
}

guarded!(arena: Arena =
    Arena { free: Vec::new(), live: 0, seq: 0, dead: Vec::new(), dropping: false });

/// Nodes alive on the tape.
pub fn live_nodes() -> usize {
    arena(|a| a.live)
}

/// The number of the newest node.
pub(crate) fn newest() -> u64 {
    arena(|a| a.seq)
}

fn take_slot() -> (NonNull<Inner>, u64) {
    arena(|a| {
        a.live += 1;
        a.seq += 1;
        if a.free.is_empty() {
            let chunk = Box::leak(Box::<[Inner]>::new_uninit_slice(CHUNK));
            a.free.extend(chunk.iter_mut().rev().map(|s| NonNull::from(s).cast::<Inner>()));
        }
        (a.free.pop().unwrap_or(NonNull::dangling()), a.seq)
    })
}

impl Node {
    /// Records an operation. The node is newer than every node among `edges`.
    #[inline]
    pub fn new(op: Id, edges: SmallVec<[Edge; 2]>, saved: SmallVec<[Saved; 2]>) -> Node {
        let (slot, seq) = take_slot();
        // SAFETY: the slot is ours alone and holds no live value.
        unsafe {
            slot.as_ptr().write(Inner {
                refs: Cell::new(1),
                op: Cell::new(op),
                freed: Cell::new(false),
                seq: Cell::new(seq),
                run: Cell::new(0),
                slot: Cell::new(0),
                edges: UnsafeCell::new(edges),
                saved: UnsafeCell::new(saved),
                info: UnsafeCell::new(None),
            });
        }
        let node = Node(slot);
        if let Some(site) = sites::here() {
            node.note_call_site(site);
        }
        if anomaly::enabled() {
            anomaly::made(&node);
        }
        node
    }

    #[cold]
    fn note_call_site(&self, site: CallSite) {
        self.with_info(|i| i.call_site = Some(site));
    }

    /// Replaces the saved values, once these are known or when a hook packs one of them.
    pub fn keep(&self, saved: SmallVec<[Saved; 2]>) {
        // SAFETY: no reference from `saved` is held by the caller.
        drop(unsafe { std::mem::replace(&mut *self.inner().saved.get(), saved) });
    }

    /// Calls `f` with saved value `i`, which it may replace, if there is one.
    pub(crate) fn with_saved<R>(&self, i: usize, f: impl FnOnce(&mut Saved) -> R) -> Option<R> {
        // SAFETY: `f` is short and does not come back to this node's saved values.
        unsafe { &mut *self.inner().saved.get() }.get_mut(i).map(f)
    }

    #[inline(always)]
    pub(crate) fn inner(&self) -> &Inner {
        // SAFETY: alive while a handle is.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub fn op(&self) -> Id {
        self.inner().op.get()
    }

    /// Grows with time; a node's inputs have smaller numbers.
    #[inline(always)]
    pub fn seq(&self) -> u64 {
        self.inner().seq.get()
    }

    pub fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// How many handles there are.
    pub fn refs(&self) -> u32 {
        self.inner().refs.get()
    }

    #[inline(always)]
    pub fn same(&self, other: &Node) -> bool {
        self.0 == other.0
    }

    #[inline(always)]
    pub fn edges(&self) -> &[Edge] {
        // SAFETY: never changed after `new` while handles are out.
        unsafe { &*self.inner().edges.get() }
    }

    #[inline(always)]
    pub fn saved(&self) -> &[Saved] {
        // SAFETY: cleared only by `release`, which no caller spans with this reference.
        unsafe { &*self.inner().saved.get() }
    }

    #[inline(always)]
    pub fn info(&self) -> Option<&Info> {
        // SAFETY: changed only inside `with_info`, which no caller spans with this reference.
        unsafe { (*self.inner().info.get()).as_deref() }
    }

    /// Calls `f` with the colder half, made if it is missing.
    pub fn with_info<R>(&self, f: impl FnOnce(&mut Info) -> R) -> R {
        // SAFETY: `f` is short and does not come back to this node's info.
        f(unsafe { (*self.inner().info.get()).get_or_insert_default() })
    }

    pub fn is_released(&self) -> bool {
        self.inner().freed.get()
    }

    /// Drops the saved tensors, after the node ran. A node that saved nothing can run again.
    #[inline]
    pub(crate) fn release(&self) {
        if let Some(rule) = self.rule() {
            self.set_freed();
            rule.release();
        }
        let nothing = |(i, s): (usize, &Saved)| match s {
            Saved::Absent => true,
            Saved::Number(_) => self.op().op().reads & bit(i) == 0,
            _ => false,
        };
        if self.saved().iter().enumerate().all(nothing) {
            return;
        }
        self.set_freed();
        // SAFETY: no reference from `saved` is held by the caller.
        let old = unsafe { std::mem::take(&mut *self.inner().saved.get()) };
        drop(old);
    }

    fn set_freed(&self) {
        self.inner().freed.set(true);
        if let Some(site) = sites::here() {
            self.with_info(|i| i.freed_at = Some(site));
        }
    }

    /// What is called when the node runs, if there is anything.
    #[inline]
    pub fn hooks(&self) -> Option<&Hooks> {
        self.info().and_then(|i| i.hooks.as_deref())
    }

    /// The rule of a node that is not in the op table.
    #[inline]
    pub fn rule(&self) -> Option<Rc<dyn Rule>> {
        self.info().and_then(|i| i.rule.clone())
    }

    /// Notes shape and dtype of output `k`, which plain nodes do not keep.
    pub fn know_output(&self, k: usize, t: &Tensor) {
        self.with_info(|i| {
            if i.outputs.is_empty() && k == 0 {
                i.outputs.push(Meta::from(t));
            }
        });
    }

    /// Tells the node behind edge `i` shape and dtype of its output.
    pub fn tell_input(&self, i: usize) {
        let Some(Edge::Node(n, 0)) = self.edges().get(i) else { return };
        let Some(info) = self.info() else { return };
        // A node without shapes of its own has inputs like its output.
        let meta = if info.inputs.is_empty() { info.outputs.first() } else { info.inputs.get(i) };
        if let Some(meta) = meta.cloned()
            && !n.same(self)
        {
            n.with_info(|i| {
                if i.outputs.is_empty() {
                    i.outputs.push(meta);
                }
            });
        }
    }

    /// PyTorch's name: `MulBackward0`.
    pub fn name(&self) -> String {
        match self.info().and_then(|i| i.rule.as_ref()) {
            Some(rule) => rule.name(),
            None => self.op().node_name().to_string(),
        }
    }

    /// The name as messages about in-place writes show it: `Mul`, `Pow1`.
    pub(crate) fn short_name(&self) -> String {
        let name = self.name();
        name.strip_suffix("Backward0").map_or(name.replace("Backward", ""), Into::into)
    }

    /// Fails if saved values were already released.
    pub fn check_not_released(&self) -> Result<()> {
        if self.is_released() {
            return Err(self.freed());
        }
        Ok(())
    }

    /// PyTorch's refusal to run a node a second time.
    #[cold]
    pub(crate) fn freed(&self) -> Error {
        let at = self.info().and_then(|i| i.freed_at.clone());
        let text = sites::explain(FREED.into(), "The backward call that freed them", at);
        err!(Runtime, "{text}")
    }
}

const FREED: &str = "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward.";

impl Clone for Node {
    #[inline(always)]
    fn clone(&self) -> Node {
        let r = &self.inner().refs;
        r.set(r.get() + 1);
        Node(self.0)
    }
}

impl Drop for Node {
    #[inline]
    fn drop(&mut self) {
        let r = &self.inner().refs;
        let n = r.get() - 1;
        r.set(n);
        if n == 0 {
            bury(self.0);
        }
    }
}

/// Frees a node and, one after the other, all that only it kept alive.
fn bury(node: NonNull<Inner>) {
    let mine = arena(|a| {
        a.dead.push(node);
        !std::mem::replace(&mut a.dropping, true)
    });
    if !mine {
        return;
    }
    while let Some(slot) = arena(|a| a.dead.pop()) {
        // SAFETY: its count is zero and it is on the list once. Dropping its edges and saved
        // tensors may push more nodes to the list.
        unsafe { std::ptr::drop_in_place(slot.as_ptr()) };
        arena(|a| {
            a.live -= 1;
            a.free.push(slot);
        });
    }
    arena(|a| a.dropping = false);
}
