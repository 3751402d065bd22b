//! Memory of tensors: a counted buffer with a version counter, shared by views.

use crate::lazy::Pending;
use crate::sync::guarded;
use crate::{Result, err};
use std::alloc::{Layout as Memory, alloc, dealloc};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// Buffers up to this size live inside the storage object itself.
const INLINE: usize = 64;
const ALIGN: usize = 64;
/// Bytes of freed buffers kept for reuse: fresh pages cost 10 times a recycled buffer.
const CACHE_LIMIT: usize = 512 << 20;

/// A counted handle to a buffer. Cloning shares the memory.
pub struct Storage(NonNull<Inner>);

#[repr(C, align(64))]
struct Inner {
    inline: UnsafeCell<[u8; INLINE]>,
    refs: Cell<u32>,
    version: Cell<u32>,
    ptr: Cell<*mut u8>,
    bytes: Cell<usize>,
    /// Others (NumPy, DLPack) can write here without our knowing: never deferred.
    exported: Cell<bool>,
    /// Pending expressions that will read this memory.
    readers: Cell<u32>,
    owner: UnsafeCell<Owner>,
    pending: UnsafeCell<Option<Box<Pending>>>,
}

enum Owner {
    Inline,
    /// From the caching allocator, with its size class.
    Pool(usize),
    /// Someone else's memory, kept alive by this.
    Foreign(#[allow(dead_code)] Box<dyn Any>),
}

guarded!(slots: Vec<NonNull<Inner>> = Vec::new());
guarded!(buffers: Cache = Cache { classes: Vec::new(), held: 0 });

/// Freed buffers by size class.
struct Cache {
    classes: Vec<(usize, Vec<*mut u8>)>,
    held: usize,
}

/// Size classes: four per power of two, so at most a quarter is wasted.
fn size_class(bytes: usize) -> usize {
    if bytes <= 256 {
        return bytes.next_multiple_of(64);
    }
    let step = (bytes.next_power_of_two() / 2) / 4;
    bytes.next_multiple_of(step.max(64))
}

fn take_buffer(bytes: usize) -> Result<(*mut u8, usize)> {
    let out_of_memory = || {
        err!(
            Runtime,
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate {bytes} bytes."
        )
    };
    if bytes > isize::MAX as usize / 2 {
        return Err(out_of_memory());
    }
    let class = size_class(bytes);
    let cached = buffers(|c| {
        let at = c.classes.binary_search_by_key(&class, |e| e.0).ok()?;
        let found = c.classes[at].1.pop()?;
        c.held -= class;
        Some(found)
    });
    if let Some(ptr) = cached {
        return Ok((ptr, class));
    }
    let memory = Memory::from_size_align(class, ALIGN).map_err(|_| out_of_memory())?;
    // SAFETY: the size is not zero.
    let mut ptr = unsafe { alloc(memory) };
    if ptr.is_null() {
        empty_cache();
        // SAFETY: as above.
        ptr = unsafe { alloc(memory) };
    }
    if ptr.is_null() { Err(out_of_memory()) } else { Ok((ptr, class)) }
}

fn give_buffer(ptr: *mut u8, class: usize) {
    let kept = buffers(|c| {
        if c.held + class > CACHE_LIMIT {
            return false;
        }
        c.held += class;
        match c.classes.binary_search_by_key(&class, |e| e.0) {
            Ok(at) => c.classes[at].1.push(ptr),
            Err(at) => c.classes.insert(at, (class, vec![ptr])),
        }
        true
    });
    if !kept {
        // SAFETY: allocated with this layout by `take_buffer`.
        unsafe { dealloc(ptr, Memory::from_size_align_unchecked(class, ALIGN)) };
    }
}

/// Gives all cached buffers back to the operating system.
pub fn empty_cache() {
    let classes = buffers(|c| {
        c.held = 0;
        std::mem::take(&mut c.classes)
    });
    for (class, list) in classes {
        for ptr in list {
            // SAFETY: allocated with this layout by `take_buffer`.
            unsafe { dealloc(ptr, Memory::from_size_align_unchecked(class, ALIGN)) };
        }
    }
}

impl Storage {
    fn take_slot() -> NonNull<Inner> {
        slots(Vec::pop).unwrap_or_else(|| {
            // SAFETY: Inner is not zero-sized; a failed allocation of 256 bytes aborts, as in Rust.
            let p = unsafe { alloc(Memory::new::<Inner>()) }.cast::<Inner>();
            NonNull::new(p)
                .unwrap_or_else(|| std::alloc::handle_alloc_error(Memory::new::<Inner>()))
        })
    }

    fn build(ptr: *mut u8, bytes: usize, owner: Owner) -> Storage {
        let slot = Storage::take_slot();
        // SAFETY: the slot is ours alone and large enough; fields are initialised one by one so
        // that the inline bytes are not touched.
        unsafe {
            let p = slot.as_ptr();
            let inline = (&raw mut (*p).inline).cast::<u8>();
            let ptr = if matches!(owner, Owner::Inline) { inline } else { ptr };
            (&raw mut (*p).refs).write(Cell::new(1));
            (&raw mut (*p).version).write(Cell::new(0));
            (&raw mut (*p).ptr).write(Cell::new(ptr));
            (&raw mut (*p).bytes).write(Cell::new(bytes));
            (&raw mut (*p).exported).write(Cell::new(false));
            (&raw mut (*p).readers).write(Cell::new(0));
            (&raw mut (*p).owner).write(UnsafeCell::new(owner));
            (&raw mut (*p).pending).write(UnsafeCell::new(None));
        }
        Storage(slot)
    }

    /// Uninitialised memory of `bytes` bytes, 64-byte aligned.
    ///
    /// # Errors
    /// PyTorch's RuntimeError when the memory cannot be had.
    #[inline]
    pub fn new(bytes: usize) -> Result<Storage> {
        if bytes <= INLINE {
            return Ok(Storage::build(std::ptr::null_mut(), bytes, Owner::Inline));
        }
        let (ptr, class) = take_buffer(bytes)?;
        Ok(Storage::build(ptr, bytes, Owner::Pool(class)))
    }

    /// Memory that belongs to someone else, alive as long as `keep` is.
    ///
    /// # Safety
    /// `ptr` must be valid for reads and writes of `bytes` bytes until `keep` is dropped.
    pub unsafe fn foreign(ptr: *mut u8, bytes: usize, keep: Box<dyn Any>) -> Storage {
        let s = Storage::build(ptr, bytes, Owner::Foreign(keep));
        s.inner().exported.set(true);
        s
    }

    /// A storage whose contents are an expression still to be evaluated.
    pub(crate) fn deferred(bytes: usize, pending: Box<Pending>) -> Storage {
        let s = Storage::build(std::ptr::null_mut(), bytes, Owner::Pool(0));
        // SAFETY: just built, nobody else has it.
        unsafe { *s.inner().pending.get() = Some(pending) };
        crate::lazy::alive(|a| a.push(s.id()));
        s
    }

    /// A storage without memory: reading it is an error.
    pub(crate) fn sealed(bytes: usize) -> Storage {
        Storage::build(std::ptr::null_mut(), bytes, Owner::Pool(0))
    }

    pub(crate) fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Another handle to a storage known by its id.
    ///
    /// # Safety
    /// The storage is alive.
    pub(crate) unsafe fn from_id(id: usize) -> Storage {
        // SAFETY: the id is the address of a live slot.
        let slot = unsafe { NonNull::new_unchecked(id as *mut Inner) };
        let borrowed = std::mem::ManuallyDrop::new(Storage(slot));
        (*borrowed).clone()
    }

    #[inline(always)]
    fn inner(&self) -> &Inner {
        // SAFETY: alive while a handle is.
        unsafe { self.0.as_ref() }
    }

    /// The memory; null while the contents are pending, and for sealed storages.
    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut u8 {
        self.inner().ptr.get()
    }

    pub fn bytes(&self) -> usize {
        self.inner().bytes.get()
    }

    #[inline(always)]
    pub fn version(&self) -> u32 {
        self.inner().version.get()
    }

    #[inline(always)]
    pub fn bump_version(&self) {
        self.inner().version.set(self.version() + 1);
    }

    /// An empty storage with the same version: a counter to go on with.
    pub(crate) fn counter(&self) -> Result<Storage> {
        let s = Storage::new(0)?;
        s.inner().version.set(self.version());
        Ok(s)
    }

    pub(crate) fn reset_version(&self) {
        self.inner().version.set(0);
    }

    pub fn exported(&self) -> bool {
        self.inner().exported.get()
    }

    /// From now on others can write to this memory.
    pub fn set_exported(&self) {
        self.inner().exported.set(true);
    }

    pub(crate) fn readers(&self) -> u32 {
        self.inner().readers.get()
    }

    pub(crate) fn add_reader(&self, n: i32) {
        let r = &self.inner().readers;
        r.set(r.get().wrapping_add_signed(n));
    }

    pub fn unique(&self) -> bool {
        self.inner().refs.get() == 1
    }

    #[inline(always)]
    pub fn is_pending(&self) -> bool {
        self.raw().is_null()
    }

    /// The expression, while it is pending.
    pub(crate) fn pending(&self) -> Option<&Pending> {
        // SAFETY: replaced only by `fulfil`, which callers do not hold this reference across.
        unsafe { (*self.inner().pending.get()).as_deref() }
    }

    /// Gives a pending storage its memory, and returns the expression it was.
    pub(crate) fn fulfil(&self) -> Result<Option<Box<Pending>>> {
        let (ptr, class) = take_buffer(self.bytes().max(1))?;
        // SAFETY: a pending storage is owned by the pool (class 0: no memory yet).
        unsafe { *self.inner().owner.get() = Owner::Pool(class) };
        self.inner().ptr.set(ptr);
        crate::lazy::alive(|a| a.retain(|&id| id != self.id()));
        // SAFETY: no reference from `pending` is held by the caller.
        Ok(unsafe { (*self.inner().pending.get()).take() })
    }

    /// Makes room for `bytes` bytes, keeping what is there; the rest is uninitialised.
    ///
    /// # Errors
    /// RuntimeError for memory that belongs to someone else, or that cannot be had.
    pub(crate) fn grow(&self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes() {
            return Ok(());
        }
        // SAFETY: replaced only here and in `fulfil`, which hold no reference across.
        let owner = unsafe { &mut *self.inner().owner.get() };
        if matches!(owner, Owner::Foreign(_)) {
            return Err(err!(Runtime, "Trying to resize storage that is not resizable"));
        }
        let (ptr, class) = take_buffer(bytes)?;
        // SAFETY: both hold that many bytes, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.raw(), ptr, self.bytes()) };
        if let Owner::Pool(class) = std::mem::replace(owner, Owner::Pool(class)) {
            give_buffer(self.raw(), class);
        }
        self.inner().ptr.set(ptr);
        self.inner().bytes.set(bytes);
        Ok(())
    }

    /// True for the same memory.
    pub fn same(&self, other: &Storage) -> bool {
        self.0 == other.0
    }
}

impl Clone for Storage {
    #[inline(always)]
    fn clone(&self) -> Storage {
        let r = &self.inner().refs;
        r.set(r.get() + 1);
        Storage(self.0)
    }
}

impl Drop for Storage {
    #[inline(always)]
    fn drop(&mut self) {
        let refs = self.inner().refs.get() - 1;
        self.inner().refs.set(refs);
        if refs == 0 {
            release(self.0);
        }
    }
}

fn release(slot: NonNull<Inner>) {
    // SAFETY: the last handle is gone.
    unsafe {
        let inner = slot.as_ref();
        if let Some(pending) = (*inner.pending.get()).take() {
            crate::lazy::alive(|a| a.retain(|&id| id != slot.as_ptr() as usize));
            drop(pending);
        }
        match std::mem::replace(&mut *inner.owner.get(), Owner::Inline) {
            Owner::Inline | Owner::Pool(0) => (),
            Owner::Pool(class) => give_buffer(inner.ptr.get(), class),
            Owner::Foreign(keep) => drop(keep),
        }
    }
    slots(|s| s.push(slot));
}
