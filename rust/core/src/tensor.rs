//! The tensor handle: a counted pointer to storage, layout, dtype and autograd state.

use crate::batch::Batch;
use crate::forward::Tangent;
use crate::hooks::Hooks;
use crate::shape::{Layout, Shape, Strides};
use crate::sync::guarded;
use crate::tape::{Node, Notes};
use crate::views::Creation;
use crate::{DType, Result, Scalar, Storage, hooks, lazy, mode};
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A tensor. Cloning gives another handle to the same tensor, as assignment does in Python.
///
/// ```
/// use wengert::Tensor;
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).requires_grad_(true)?;
/// let y = x.mul(&x)?.sum_all()?;
/// y.backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), wengert::Error>(())
/// ```
pub struct Tensor(NonNull<Inner>);

const REQUIRES_GRAD: u8 = 1; // of a leaf
const RETAINS_GRAD: u8 = 2;
const HOST_OWNED: u8 = 4;
const WRAPPED: u8 = 8; // made of a Python number: weak in promotion
const CREATION: u8 = 16 | 32; // how a view was made: `Creation` in bits 4 and 5
const COUNTED: u8 = 64; // has a counter of writes that is not its storage's
const INFERENCE: u8 = 128; // made in inference mode: an inference tensor, or a view of a normal one

struct Inner {
    refs: Cell<u32>,
    dtype: Cell<DType>,
    flags: Cell<u8>,
    output: Cell<u16>,
    host: Cell<*mut c_void>,
    storage: UnsafeCell<Storage>,
    layout: UnsafeCell<Layout>,
    node: UnsafeCell<Option<Node>>,
    base: UnsafeCell<Option<Tensor>>,
    meta: UnsafeCell<Option<Box<Meta>>>,
}

/// The rarer half of a tensor's autograd state.
#[derive(Default)]
pub(crate) struct Meta {
    pub grad: Option<Tensor>,
    /// Hooks of a leaf (those of other tensors live at their node).
    pub hooks: Option<Box<Hooks>>,
    /// Which slot of which backward run this leaf has.
    pub run: u32,
    pub slot: u32,
    /// Version of the storage when `node` was made (views only).
    pub node_version: u32,
    /// The storage whose version counts for this tensor, where that is not its own.
    pub counter: Option<Storage>,
    /// The front end's object for the accumulator of this leaf, or null, and what it keeps there.
    pub accumulator: usize,
    pub notes: Option<Notes>,
    /// The dtype of the gradient, where that is not the leaf's own; `Some(None)` is any.
    pub grad_dtype: Option<Option<DType>>,
    /// Forward-mode tangents, at most one per level.
    pub tangents: Vec<Tangent>,
    /// What the tensor stands for inside `vmap`.
    pub batch: Option<Batch>,
    /// A leaf that a transform (`torch.func`) made for itself.
    pub private: bool,
}

/// What an embedding language attaches to tensors.
pub struct Host {
    /// Drops an object that a tensor owned. Called once, while the tensor is being freed.
    pub release: fn(*mut c_void),
}

mod handle;
pub(crate) mod kind;

guarded!(slots: Vec<NonNull<Inner>> = Vec::new());
guarded!(host: Option<Host> = None);
guarded!(live: usize = 0);

/// Registers the embedding language's callbacks.
pub fn set_host(h: Host) {
    host(|slot| *slot = Some(h));
}

/// How many tensors are alive, saved and internal ones included.
pub fn live_tensors() -> usize {
    live(|n| *n)
}

impl Tensor {
    /// A tensor over given memory.
    #[inline]
    pub fn from_parts(storage: Storage, layout: Layout, dtype: DType) -> Tensor {
        let t = Tensor::normal(storage, layout, dtype);
        if mode::any_inference() {
            t.take_kind();
        }
        t
    }

    /// As [`Tensor::from_parts`], not an inference tensor in any mode.
    #[inline]
    fn normal(storage: Storage, layout: Layout, dtype: DType) -> Tensor {
        let slot = slots(Vec::pop).unwrap_or_else(|| Box::leak(Box::new_uninit()).into_ref());
        live(|n| *n += 1);
        // SAFETY: the slot is ours alone and holds no live value.
        unsafe {
            slot.as_ptr().write(Inner {
                refs: Cell::new(1),
                dtype: Cell::new(dtype),
                flags: Cell::new(0),
                output: Cell::new(0),
                host: Cell::new(std::ptr::null_mut()),
                storage: UnsafeCell::new(storage),
                layout: UnsafeCell::new(layout),
                node: UnsafeCell::new(None),
                base: UnsafeCell::new(None),
                meta: UnsafeCell::new(None),
            });
        }
        Tensor(slot)
    }

    /// Uninitialised, row-major.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    #[inline]
    pub fn empty(shape: &[usize], dtype: DType) -> Result<Tensor> {
        let layout = Layout::contiguous(shape);
        let storage = Storage::new(checked_bytes(shape, dtype)?)?;
        Ok(Tensor::from_parts(storage, layout, dtype))
    }

    /// Uninitialised, with the given strides; the offset is chosen so that all elements fit.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn empty_strided(shape: Shape, strides: Strides, dtype: DType) -> Result<Tensor> {
        checked_bytes(&shape, dtype)?;
        let mut layout = Layout::new(shape, strides, 0);
        let mut count = 0;
        if let Some((lo, hi)) = layout.extent() {
            layout.offset = -lo;
            count = (hi - lo + 1) as usize;
        }
        let storage = Storage::new(count * dtype.size())?;
        Ok(Tensor::from_parts(storage, layout, dtype))
    }

    #[inline(always)]
    fn inner(&self) -> &Inner {
        // SAFETY: alive while a handle is.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub fn dtype(&self) -> DType {
        self.inner().dtype.get()
    }

    #[inline(always)]
    pub fn layout(&self) -> &Layout {
        // SAFETY: replaced only by `set_data`, which no caller spans with this reference.
        unsafe { &*self.inner().layout.get() }
    }

    #[inline(always)]
    pub fn shape(&self) -> &[usize] {
        &self.layout().shape
    }

    /// Signed strides in elements.
    #[inline(always)]
    pub fn strides(&self) -> &[isize] {
        &self.layout().strides
    }

    #[inline(always)]
    pub fn ndim(&self) -> usize {
        self.layout().ndim()
    }

    #[inline(always)]
    pub fn numel(&self) -> usize {
        self.layout().numel
    }

    #[inline(always)]
    pub fn is_contiguous(&self) -> bool {
        self.layout().contiguous
    }

    #[inline(always)]
    pub fn storage(&self) -> &Storage {
        // SAFETY: as for `layout`.
        unsafe { &*self.inner().storage.get() }
    }

    /// Address of the first element; evaluates what is pending.
    ///
    /// # Errors
    /// RuntimeError when evaluating needs memory that cannot be had.
    #[inline(always)]
    pub fn ptr(&self) -> Result<*mut u8> {
        if self.storage().is_pending() {
            lazy::force(self.storage())?;
        }
        Ok(self.ready_ptr())
    }

    /// As [`Tensor::ptr`], for a tensor known not to be pending.
    #[inline(always)]
    pub(crate) fn ready_ptr(&self) -> *mut u8 {
        let offset = self.layout().offset * self.dtype().size() as isize;
        self.storage().raw().wrapping_offset(offset)
    }

    /// True for the same tensor (not merely equal contents).
    #[inline(always)]
    pub fn same(&self, other: &Tensor) -> bool {
        self.0 == other.0
    }

    /// An address that identifies the tensor while it lives.
    pub fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// True if this is the only handle, and no view shares the memory.
    pub(crate) fn unique(&self) -> bool {
        self.inner().refs.get() == 1 && self.storage().unique() && self.host().is_null()
    }

    pub fn refs(&self) -> u32 {
        self.inner().refs.get()
    }

    #[inline(always)]
    fn flag(&self, f: u8) -> bool {
        self.inner().flags.get() & f != 0
    }

    #[inline(always)]
    fn set_flag(&self, f: u8, on: bool) {
        let old = self.inner().flags.get();
        self.inner().flags.set(if on { old | f } else { old & !f });
    }

    /// True if gradients flow to this tensor.
    #[inline(always)]
    pub fn requires_grad(&self) -> bool {
        self.flag(REQUIRES_GRAD)
            || self.node().is_some()
            || self.base().is_some_and(|b| b.requires_grad() && self.dtype().is_differentiable())
    }

    /// Created by the user, not by a recorded operation.
    #[inline(always)]
    pub fn is_leaf(&self) -> bool {
        self.node().is_none()
    }

    pub(crate) fn set_leaf_grad(&self, on: bool) {
        self.set_flag(REQUIRES_GRAD, on);
    }

    pub fn is_wrapped(&self) -> bool {
        self.flag(WRAPPED)
    }

    pub fn set_wrapped(self) -> Tensor {
        self.set_flag(WRAPPED, true);
        self
    }

    pub(crate) fn retains(&self) -> bool {
        self.flag(RETAINS_GRAD)
    }

    pub(crate) fn set_retains(&self, on: bool) {
        self.set_flag(RETAINS_GRAD, on);
    }

    /// True unless the view, if it is one, was made in the plainest way.
    pub(crate) fn is_odd_view(&self) -> bool {
        self.flag(CREATION | INFERENCE)
    }

    /// How this view was made.
    pub(crate) fn creation(&self) -> Creation {
        match (self.inner().flags.get() & CREATION) >> 4 {
            _ if self.flag(INFERENCE) => Creation::Inference,
            0 => Creation::Plain,
            1 => Creation::Custom,
            2 => Creation::Multi,
            _ => Creation::NoGrad,
        }
    }

    pub(crate) fn set_creation(&self, creation: Creation) {
        if self.is_inference() {
            return; // it is no view, for the history's sake
        }
        let rest = self.inner().flags.get() & !(CREATION | INFERENCE);
        let new = if creation == Creation::Inference { INFERENCE } else { (creation as u8) << 4 };
        self.inner().flags.set(rest | new);
    }

    /// A leaf that gradients are accumulated for.
    #[inline(always)]
    pub(crate) fn is_grad_leaf(&self) -> bool {
        self.flag(REQUIRES_GRAD)
    }

    /// The node that made this tensor (without bringing a view's history up to date).
    #[inline(always)]
    pub(crate) fn node(&self) -> Option<&Node> {
        // SAFETY: replaced only by `set_node`, which no caller spans with this reference.
        unsafe { (*self.inner().node.get()).as_ref() }
    }

    /// The node that made this tensor, as it stands (see [`Tensor::grad_node`]).
    pub fn own_node(&self) -> Option<&Node> {
        self.node()
    }

    /// Which output of its node this is.
    #[inline(always)]
    pub fn output_nr(&self) -> usize {
        self.inner().output.get() as usize
    }

    #[inline(always)]
    pub(crate) fn set_node(&self, node: Option<Node>, output: usize) {
        self.inner().output.set(output as u16);
        // SAFETY: no reference from `node` is alive across this call; the old node is dropped
        // after the slot holds the new one.
        let old = unsafe { std::mem::replace(&mut *self.inner().node.get(), node) };
        drop(old);
    }

    /// The root tensor this one is a view of.
    pub fn base(&self) -> Option<&Tensor> {
        // SAFETY: replaced only by `set_base`, which no caller spans with this reference.
        unsafe { (*self.inner().base.get()).as_ref() }
    }

    pub(crate) fn set_base(&self, base: Option<Tensor>) {
        // SAFETY: as above.
        let old = unsafe { std::mem::replace(&mut *self.inner().base.get(), base) };
        drop(old);
    }

    /// Calls `f` with the rarer autograd state, made if it is missing.
    pub(crate) fn with_meta<R>(&self, f: impl FnOnce(&mut Meta) -> R) -> R {
        // SAFETY: `f` is short and does not come back to the same tensor's meta.
        f(unsafe { (*self.inner().meta.get()).get_or_insert_default() })
    }

    /// The rarer autograd state, if there is any.
    pub(crate) fn meta(&self) -> Option<&Meta> {
        // SAFETY: changed only inside `with_meta`, which no caller spans with this reference.
        unsafe { (*self.inner().meta.get()).as_deref() }
    }

    /// The accumulated gradient.
    pub fn grad(&self) -> Option<Tensor> {
        self.meta().and_then(|m| m.grad.clone())
    }

    /// The dtype that the gradient has; None for any.
    pub fn grad_dtype(&self) -> Option<DType> {
        self.meta().and_then(|m| m.grad_dtype).unwrap_or(Some(self.dtype()))
    }

    /// Gradients get this dtype from now on, or keep their own (None).
    pub fn set_grad_dtype(&self, dtype: Option<DType>) {
        self.with_meta(|m| m.grad_dtype = Some(dtype));
    }

    /// Replaces the gradient, unchecked.
    pub fn replace_grad(&self, grad: Option<Tensor>) {
        let old = self.with_meta(|m| std::mem::replace(&mut m.grad, grad));
        drop(old);
    }

    /// Another tensor with the same memory and the given layout, of the same kind; no history, no
    /// base.
    #[inline]
    pub fn alias(&self, layout: Layout) -> Tensor {
        let t = Tensor::normal(self.storage().clone(), layout, self.dtype());
        if self.flag(COUNTED | INFERENCE) {
            self.pass_kind(&t);
        }
        t
    }

    /// A view: an alias that knows what it is a view of, unless that is an inference tensor.
    pub(crate) fn view_as_layout(&self, layout: Layout) -> Tensor {
        let view = self.alias(layout);
        if !view.flag(INFERENCE) {
            view.set_base(Some(self.base().unwrap_or(self).clone()));
        }
        view
    }

    /// Takes over memory, layout and dtype of `other`, keeping identity, kind, autograd state and
    /// the count of writes.
    ///
    /// # Errors
    /// RuntimeError when memory cannot be had.
    pub(crate) fn set_memory(&self, other: &Tensor) -> Result<()> {
        hooks::remember_form(self, other);
        let counts = !self.flag(COUNTED | INFERENCE) || self.base().is_some();
        if !self.storage().same(other.storage()) && counts && !self.flag(COUNTED) {
            // Views and detached aliases go on counting together with this tensor.
            let shared = !self.storage().unique();
            let old = if shared { self.storage().clone() } else { self.storage().counter()? };
            self.count_at(old);
        }
        let (storage, layout) = (other.storage().clone(), other.layout().clone());
        // SAFETY: callers hold no reference into this tensor.
        unsafe {
            let old = std::mem::replace(&mut *self.inner().storage.get(), storage);
            *self.inner().layout.get() = layout;
            drop(old);
        }
        self.inner().dtype.set(other.dtype());
        Ok(())
    }

    /// Forgets the history: the tensor becomes a leaf that requires no gradient (except in
    /// inference mode).
    ///
    /// # Errors
    /// RuntimeError for views.
    pub fn detach_(&self) -> Result<()> {
        if mode::inference() {
            return Ok(()); // which leaves histories as they are
        }
        if self.base().is_some() {
            crate::bail!(
                Runtime,
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            );
        }
        self.set_leaf_grad(false);
        self.clear_history();
        Ok(())
    }

    /// Drops the node that made this tensor.
    pub fn clear_history(&self) {
        if self.retains() {
            if let Some(node) = self.node() {
                hooks::forget_retained(node, self.id());
            }
            self.set_retains(false);
        }
        self.set_node(None, 0);
    }

    /// The node that made this tensor, brought up to date if it is a view.
    ///
    /// # Errors
    /// RuntimeError for a view made without grad mode, or together with others, whose memory was
    /// written to since.
    pub fn grad_node(&self) -> Result<Option<Node>> {
        crate::views::refresh(self)?;
        Ok(self.node().cloned())
    }

    /// The front end's object for the accumulator of this leaf, or 0.
    pub fn accumulator(&self) -> usize {
        self.meta().map_or(0, |m| m.accumulator)
    }

    pub fn set_accumulator(&self, object: usize) {
        self.with_meta(|m| m.accumulator = object);
    }

    /// What the front end keeps with the accumulator of this leaf.
    pub fn notes(&self) -> Option<Notes> {
        self.meta().and_then(|m| m.notes.clone())
    }

    pub fn set_notes(&self, notes: Notes) {
        drop(self.with_meta(|m| m.notes.replace(notes)));
    }

    /// The element at `offset` elements from the first, which must be that of a valid index of a
    /// tensor that is not pending.
    pub fn number_at(&self, offset: isize) -> Scalar {
        debug_assert!(!self.storage().is_pending());
        // SAFETY: the caller walks the shape; nothing is pending.
        unsafe { self.read(offset) }
    }

    /// From now on others may write to this memory: what still has to read it is evaluated.
    ///
    /// # Errors
    /// RuntimeError when evaluating needs memory that cannot be had.
    pub fn share_memory_outside(&self) -> Result<()> {
        lazy::before_write(self.storage())?;
        self.storage().set_exported();
        Ok(())
    }

    /// The element at `offset` elements from the first, as a number.
    ///
    /// # Safety
    /// The offset is that of a valid index, and nothing is pending.
    pub(crate) unsafe fn read(&self, offset: isize) -> Scalar {
        use half::{bf16, f16};
        let p = self.ready_ptr();
        macro_rules! get {
            ($t:ty) => {
                // SAFETY: the caller's promise; `read_unaligned` as foreign memory may be odd.
                unsafe { p.cast::<$t>().offset(offset).read_unaligned() }
            };
        }
        match self.dtype() {
            DType::Bool => Scalar::Bool(get!(u8) != 0),
            DType::U8 => Scalar::Int(get!(u8) as i64),
            DType::I8 => Scalar::Int(get!(i8) as i64),
            DType::I16 => Scalar::Int(get!(i16) as i64),
            DType::I32 => Scalar::Int(get!(i32) as i64),
            DType::I64 => Scalar::Int(get!(i64)),
            DType::U16 => Scalar::Int(get!(u16) as i64),
            DType::U32 => Scalar::Int(get!(u32) as i64),
            DType::U64 => Scalar::Int(get!(u64) as i64),
            DType::F16 => Scalar::Float(get!(f16).to_f64()),
            DType::BF16 => Scalar::Float(get!(bf16).to_f64()),
            DType::F32 | DType::C64 => Scalar::Float(get!(f32) as f64),
            DType::F64 | DType::C128 => Scalar::Float(get!(f64)),
        }
    }
}

/// Size in bytes of a row-major tensor.
///
/// # Errors
/// RuntimeError with PyTorch's sentence if it overflows.
pub(crate) fn checked_bytes(shape: &[usize], dtype: DType) -> Result<usize> {
    let mut bytes = dtype.size();
    let empty = shape.contains(&0);
    for &s in shape {
        bytes = match bytes.checked_mul(s.max(1)) {
            Some(b) if b <= isize::MAX as usize => b,
            _ => crate::bail!(
                Runtime,
                "Storage size calculation overflowed with sizes={}",
                crate::shape::show(shape)
            ),
        };
    }
    Ok(if empty { 0 } else { bytes })
}

/// `Box::leak` gives `&mut MaybeUninit`; this names the step to a raw slot.
trait IntoRef<T> {
    fn into_ref(self) -> NonNull<T>;
}
impl<T> IntoRef<T> for &mut std::mem::MaybeUninit<T> {
    fn into_ref(self) -> NonNull<T> {
        NonNull::from(self).cast()
    }
}
