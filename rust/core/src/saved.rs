//! Saved values that pass through a pair of functions: one packs a tensor while the node is built,
//! the other gives it back when the value is needed (`torch.autograd.graph.saved_tensors_hooks`).

use crate::mode::{Guard, grad_enabled};
use crate::record::edge_of;
use crate::tape::{Edge, Node, Rule, Saved};
use crate::{Result, Tensor, bail};
use smallvec::{SmallVec, smallvec};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

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
            Edge::Node(n, k) if t.node().is_some_and(|m| m.same(&n)) && t.output_nr() == k as usize => t,
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

/// Packs the tensors among `saved` by this thread's innermost packer.
pub(crate) fn pack(saved: &mut SmallVec<[Saved; 2]>) -> Result<()> {
    let Some(packer) = STACK.with_borrow(|s| s.last().cloned()) else { return Ok(()) };
    for s in saved {
        pack_one(s, &*packer)?;
    }
    Ok(())
}

fn pack_one(s: &mut Saved, packer: &dyn Pack) -> Result<()> {
    let (t, history) = match s {
        Saved::Input(t, _) if !t.is_wrapped() => (t.clone(), History::Input(edge_of(t))),
        Saved::Output(t, _, k) => (t.clone(), History::Output(*k)),
        _ => return Ok(()),
    };
    let version = t.version();
    let what = {
        let _off = Guard::new(false);
        packer.pack(&t)?
    };
    if t.version() != version {
        bail!(
            Runtime,
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need to perform in-place operations on the input to a pack hook."
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
        self.check_not_released()?;
        let Some(mut s) = self.with_saved(slot, |s| std::mem::replace(s, Saved::Absent)) else {
            bail!(Runtime, "there is no such saved tensor");
        };
        let result = if matches!(s, Saved::Packed(_)) {
            Err(crate::err!(
                Runtime,
                "Calling register_hooks on a saved tensor whose hooks have already been set. Please unregister the current hooks first."
            ))
        } else {
            pack_one(&mut s, packer)
        };
        self.with_saved(slot, |old| *old = s);
        result
    }
}
