//! Saved values that pass through a pair of functions: one packs a tensor while the node is built,
//! the other gives it back when the value is needed (`torch.autograd.graph.saved_tensors_hooks`).

use crate::mode::{Guard, grad_enabled};
use crate::record::edge_of;
use crate::tape::{Edge, Node, Rule, Saved};
use crate::{Result, Storage, Tensor, bail};
use smallvec::{SmallVec, smallvec};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Packs tensors.
pub trait Pack {
    /// # Errors
    /// Whatever the front end's function fails with; the operation that saves ends with it.
    fn pack(&self, t: &Tensor) -> Result<Rc<dyn Unpack>>;
}

/// What a tensor was packed into.
pub trait Unpack {
    /// # Errors
    /// Whatever the front end's function fails with; backward ends with it.
    fn unpack(&self) -> Result<Tensor>;
}

thread_local! {
    static STACK: RefCell<Vec<Rc<dyn Pack>>> = const { RefCell::new(Vec::new()) };
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

/// True if saved tensors are packed in this thread.
#[inline(always)]
pub fn hooked() -> bool {
    HOOKED.get()
}

/// Packs by `p` what is saved from now on in this thread.
pub fn push(p: Rc<dyn Pack>) {
    STACK.with_borrow_mut(|s| s.push(p));
    HOOKED.set(true);
}

/// Undoes the last [`push`].
pub fn pop() {
    let (gone, left) = STACK.with_borrow_mut(|s| (s.pop(), s.len()));
    HOOKED.set(left != 0);
    drop(gone);
}

/// The packers of this thread, to be handed to another by [`set_packers`].
pub fn packers() -> Vec<Rc<dyn Pack>> {
    STACK.with_borrow(Vec::clone)
}

/// Replaces the packers of this thread.
pub fn set_packers(new: Vec<Rc<dyn Pack>>) {
    HOOKED.set(!new.is_empty());
    drop(STACK.replace(new));
}

/// A packed value and the history that the unpacked tensor gets.
pub struct Packed {
    what: Rc<dyn Unpack>,
    history: History,
}

enum History {
    Input(Edge),
    Output(u32),
}

impl Packed {
    /// Which output of its node this is, if it is one.
    pub fn output(&self) -> Option<u32> {
        match self.history {
            History::Output(k) => Some(k),
            History::Input(_) => None,
        }
    }

    pub(crate) fn unpack(&self, node: &Node) -> Result<Tensor> {
        let t = {
            let _off = Guard::new(false);
            self.what.unpack()?
        };
        let edge = match &self.history {
            History::Output(k) => Edge::Node(node.clone(), *k),
            History::Input(edge) => edge.clone(),
        };
        Ok(match edge {
            Edge::None => t,
            _ if !grad_enabled() => t,
            Edge::Node(n, k) if is_output(&t, &n, k) => t,
            Edge::Node(n, k) => {
                let whole = t.detach();
                whole.set_node(Some(n), k as usize);
                whole
            }
            Edge::Leaf(leaf) if leaf.same(&t) => t,
            leaf => {
                let whole = t.detach();
                whole.set_node(Some(pass_to(leaf)), 0);
                whole
            }
        })
    }
}

fn is_output(t: &Tensor, n: &Node, k: u32) -> bool {
    t.node().is_some_and(|m| m.same(n)) && t.output_nr() == k as usize
}

/// A node that hands gradients on to `edge`.
fn pass_to(edge: Edge) -> Node {
    let node = Node::new(crate::ops::Id::CLONE, smallvec![edge], SmallVec::new());
    node.with_info(|i| i.rule = Some(Rc::new(Pass)));
    node
}

struct Pass;

impl Rule for Pass {
    fn name(&self) -> String {
        "CloneBackward0".into()
    }
    fn apply(&self, _: &Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(grads.to_vec())
    }
}

/// Packs the tensors that a node saved by this thread's innermost packer: first those at `first`.
pub(crate) fn pack(node: &Node, first: &[usize]) -> Result<()> {
    let Some(packer) = STACK.with_borrow(|s| s.last().cloned()) else { return Ok(()) };
    let rest = (0..node.saved().len()).filter(|i| !first.contains(i));
    for i in first.iter().copied().chain(rest) {
        if let Some(mut s) = node.with_saved(i, |s| std::mem::replace(s, Saved::Absent)) {
            pack_one(&mut s, &*packer, Some(node))?;
            node.with_saved(i, |old| *old = s);
        }
    }
    Ok(())
}

fn pack_one(s: &mut Saved, packer: &dyn Pack, node: Option<&Node>) -> Result<()> {
    let (t, history) = match s {
        Saved::Input(t, _) if !t.is_wrapped() => (t.clone(), History::Input(edge_of(t)?)),
        Saved::Output(t, _, k) => {
            // The packer of a new node sees the output with its history, a cycle if it were kept.
            let whole = t.detach();
            whole.set_node(node.cloned(), *k as usize);
            (whole, History::Output(*k))
        }
        _ => return Ok(()),
    };
    let version = t.version();
    let what = {
        let _off = Guard::new(false);
        packer.pack(&t)
    };
    if let History::Output(_) = history {
        t.set_node(None, 0);
    }
    let what = what?;
    if t.version() != version {
        bail!(
            Runtime,
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need to perform in-place operations on the input to a pack hook."
        );
    }
    *s = Saved::Packed(Box::new(Packed { what, history }));
    Ok(())
}

impl Node {
    /// Where the value of input `i` (or, from 8 on, output `i - 8`) is saved, if a tensor is.
    pub fn saved_slot(&self, i: usize) -> Option<usize> {
        let is = |s: &Saved| match s {
            Saved::Input(..) => i < 8,
            Saved::Output(_, _, k) => i == 8 + *k as usize,
            Saved::Packed(p) => p.output().map_or(i < 8, |k| i == 8 + k as usize),
            Saved::Number(_) | Saved::Absent => false,
        };
        if i < 8 {
            return self.saved().get(i).filter(|s| is(s)).map(|_| i);
        }
        self.saved().iter().position(is)
    }

    /// Packs one saved tensor.
    ///
    /// # Errors
    /// RuntimeError if it was freed, or packed before.
    pub fn pack_saved(&self, slot: usize, packer: &dyn Pack) -> Result<()> {
        if self.is_released() {
            bail!(
                Runtime,
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved variables after calling backward."
            );
        }
        let Some(mut s) = self.with_saved(slot, |s| std::mem::replace(s, Saved::Absent)) else {
            bail!(Runtime, "Calling register_hooks on a saved tensor with value None is forbidden");
        };
        let result = if matches!(s, Saved::Absent) {
            Err(crate::err!(
                Runtime,
                "Calling register_hooks on a saved tensor with value None is forbidden"
            ))
        } else if matches!(s, Saved::Packed(_)) {
            Err(crate::err!(
                Runtime,
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is allowed at a time."
            ))
        } else {
            pack_one(&mut s, packer, None)
        };
        self.with_saved(slot, |old| *old = s);
        result
    }
}

/// Keeps the value that a tensor had when it was saved: the first write to its memory finds a copy
/// taken (`torch.autograd.graph.allow_mutation_on_saved_tensors`).
#[derive(Default)]
pub struct Preserve {
    /// What was saved, until it is copied or forgotten.
    originals: RefCell<Vec<Weak<Original>>>,
    open: Cell<bool>,
}

struct Original {
    value: RefCell<Tensor>,
    copied: Cell<bool>,
    owner: Rc<Preserve>,
}

thread_local! {
    static PRESERVING: RefCell<Option<Rc<Preserve>>> = const { RefCell::new(None) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

impl Preserve {
    /// Begins to keep values in this thread.
    ///
    /// # Errors
    /// RuntimeError if it is done already.
    pub fn open() -> Result<Rc<Preserve>> {
        if WATCHING.replace(true) {
            bail!(Runtime, "allow_mutation_on_saved_tensors contexts cannot be nested");
        }
        let new = Rc::new(Preserve { open: Cell::new(true), ..Preserve::default() });
        PRESERVING.set(Some(new.clone()));
        push(Rc::new(Keeper(new.clone())));
        Ok(new)
    }

    /// Ends it. What was copied cannot be had any more.
    pub fn close(&self) {
        self.open.set(false);
        self.originals.take();
        WATCHING.set(false);
        PRESERVING.take();
        pop();
    }
}

struct Keeper(Rc<Preserve>);

impl Pack for Keeper {
    fn pack(&self, t: &Tensor) -> Result<Rc<dyn Unpack>> {
        let value = RefCell::new(t.clone());
        let one = Rc::new(Original { value, copied: Cell::new(false), owner: self.0.clone() });
        self.0.originals.borrow_mut().push(Rc::downgrade(&one));
        Ok(Rc::new(Kept(one)))
    }
}

struct Kept(Rc<Original>);

impl Unpack for Kept {
    fn unpack(&self) -> Result<Tensor> {
        if !self.0.owner.open.get() {
            bail!(
                Assertion,
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' contextin which the graph was originally recorded."
            );
        }
        Ok(self.0.value.borrow().clone())
    }
}

/// To be called before memory is written to: takes the copies that are needed.
#[inline]
pub(crate) fn before_write(storage: &Storage) -> Result<()> {
    if WATCHING.get() { preserve(storage) } else { Ok(()) }
}

#[cold]
fn preserve(storage: &Storage) -> Result<()> {
    let Some(mode) = PRESERVING.with_borrow(Clone::clone) else { return Ok(()) };
    let list: Vec<Rc<Original>> = {
        let mut all = mode.originals.borrow_mut();
        all.retain(|w| w.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    };
    let _off = Guard::new(false);
    for one in list.iter().filter(|o| !o.copied.get()) {
        let t = one.value.borrow().clone();
        if t.storage().same(storage) {
            one.copied.set(true);
            let copy = t.fresh_copy(t.dtype())?;
            drop(one.value.replace(copy));
        }
    }
    Ok(())
}
