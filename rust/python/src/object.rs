//! The Python type `Tensor`: its memory, its life, and its identity.
//!
//! One Python object stands for one tensor while either side lives. The object holds a counted
//! handle; the tensor remembers the object (`Tensor::host`). When the last Python reference goes
//! while the core still holds the tensor, an object that carries anything of its own (a dictionary,
//! weak references, a subclass) is not freed: the ownership is turned round, and the next time the
//! tensor comes to Python the same object comes back.
//!
//! Objects of the exact type come from a free list. They are tracked by the garbage collector only
//! once they have a dictionary: nothing else can be part of a cycle that it sees.

use crate::errors::{Raised, check};
use pyo3::ffi;
use std::ffi::{c_int, c_void};
use std::ptr::{addr_of_mut, null_mut};
use wengert::Tensor;
use wengert::hooks::Hooks;

// What `PyObject_GC_New` and a resurrection stand for in CPython's headers.
unsafe extern "C" {
    fn _PyObject_GC_New(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject;
    /// Sets the reference count of an object to one.
    fn _Py_NewReference(o: *mut ffi::PyObject);
}

/// Memory of a tensor object.
#[repr(C)]
pub struct Object {
    base: ffi::PyObject,
    /// A handle (`Tensor::into_raw`); counted, unless the tensor owns this object.
    raw: *mut c_void,
    pub dict: *mut ffi::PyObject,
    pub weakrefs: *mut ffi::PyObject,
}

/// Freed objects kept for reuse.
const FREE_LIMIT: usize = 4096;

struct State {
    tensor_type: *mut ffi::PyTypeObject,
    /// `subtype_dealloc`, as the interpreter gave it to the first subclass.
    subtype_dealloc: Option<ffi::destructor>,
    /// The object of a subclass that is being freed.
    dying: *mut ffi::PyObject,
    free: Vec<*mut Object>,
}

struct Cell(std::cell::UnsafeCell<State>);
// SAFETY: reached only while the GIL is held.
unsafe impl Sync for Cell {}

static STATE: Cell = Cell(std::cell::UnsafeCell::new(State {
    tensor_type: null_mut(),
    subtype_dealloc: None,
    dying: null_mut(),
    free: Vec::new(),
}));

#[inline(always)]
fn state() -> &'static mut State {
    // SAFETY: the GIL is held, and no caller keeps the reference across a call into Python.
    unsafe { &mut *STATE.0.get() }
}

/// The type object of `Tensor` (borrowed).
#[inline(always)]
pub fn tensor_type() -> *mut ffi::PyTypeObject {
    state().tensor_type
}

/// Registers the type object, once, when the module is made.
pub fn set_tensor_type(t: *mut ffi::PyTypeObject) {
    state().tensor_type = t;
    wengert::set_host(wengert::Host { release });
    wengert::error::show_warnings_with(crate::errors::show_warning);
}

/// True for tensors, subclasses included.
#[inline(always)]
pub fn is_tensor(o: *mut ffi::PyObject) -> bool {
    // SAFETY: `o` is a live object.
    unsafe {
        let t = ffi::Py_TYPE(o);
        t == tensor_type() || ffi::PyType_IsSubtype(t, tensor_type()) != 0
    }
}

/// True for tensors of exactly the type `Tensor`.
#[inline(always)]
pub fn is_exact(o: *mut ffi::PyObject) -> bool {
    // SAFETY: `o` is a live object.
    unsafe { ffi::Py_TYPE(o) == tensor_type() }
}

/// The tensor behind an object, if it is one.
#[inline(always)]
pub fn tensor_ref<'a>(o: *mut ffi::PyObject) -> Option<&'a Tensor> {
    // SAFETY: a tensor object has the layout of `Object`; its handle is set once it is visible.
    if is_tensor(o) { Some(unsafe { known(o) }) } else { None }
}

/// The tensor behind an object that is known to be one.
///
/// # Safety
/// `o` is a live tensor object, and stays so while the reference is used.
#[inline(always)]
pub unsafe fn known<'a>(o: *mut ffi::PyObject) -> &'a Tensor {
    // SAFETY: the caller's promise; `raw` came from `into_raw`.
    unsafe { Tensor::from_raw_ref(&(*o.cast::<Object>()).raw) }
}

/// A new reference to the object of a tensor.
#[inline(always)]
pub fn wrap(t: Tensor) -> Result<*mut ffi::PyObject, Raised> {
    let host = t.host().cast::<ffi::PyObject>();
    if host.is_null() {
        return fresh(t);
    }
    if t.host_owned() {
        // The tensor's reference to the object becomes the caller's; the handle at hand becomes
        // the object's.
        t.set_host(host.cast(), false);
        t.into_raw();
    } else {
        // SAFETY: the object is alive, since the tensor knows it.
        unsafe { ffi::Py_INCREF(host) };
    }
    Ok(host)
}

#[inline(always)]
fn fresh(t: Tensor) -> Result<*mut ffi::PyObject, Raised> {
    let s = state();
    let o = match s.free.pop() {
        Some(o) => o,
        None => {
            // SAFETY: the type is ready and has the basic size of `Object`.
            let o = unsafe { _PyObject_GC_New(s.tensor_type) };
            check(o.cast())?.cast()
        }
    };
    // SAFETY: fresh memory of an object whose type reference is counted already.
    unsafe {
        _Py_NewReference(o.cast());
        (*o).dict = null_mut();
        (*o).weakrefs = null_mut();
        t.set_host(o.cast(), false);
        (*o).raw = t.into_raw();
    }
    Ok(o.cast())
}

/// Wraps a tensor as an instance of a subclass (a new reference). The tensor must not have an
/// object yet.
pub fn wrap_as(t: Tensor, class: *mut ffi::PyTypeObject) -> Result<*mut ffi::PyObject, Raised> {
    if class == tensor_type() {
        return wrap(t);
    }
    // SAFETY: `class` is a subtype of `Tensor`; its `tp_alloc` gives zeroed memory.
    unsafe {
        let alloc = (*class).tp_alloc.unwrap_or(ffi::PyType_GenericAlloc);
        let o = check(alloc(class, 0))?.cast::<Object>();
        t.set_host(o.cast(), false);
        (*o).raw = t.into_raw();
        Ok(o.cast())
    }
}

/// Called by the core when a tensor that owns its object is freed.
fn release(object: *mut c_void) {
    // SAFETY: the object has no tensor any more; this is the tensor's own reference to it.
    unsafe {
        (*object.cast::<Object>()).raw = null_mut();
        ffi::Py_DECREF(object.cast());
    }
}

/// Gives the object to the tensor, if the core still holds the tensor. True if it did.
///
/// # Safety
/// `o` is a tensor object whose reference count has just become zero.
unsafe fn turn_round(o: *mut Object) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if (*o).raw.is_null() {
            return false;
        }
        let t = known(o.cast());
        if t.refs() == 1 {
            return false;
        }
        t.set_host(o.cast(), true);
        _Py_NewReference(o.cast());
        // Gives up the object's handle; the tensor lives on by the core's.
        drop(Tensor::from_raw((*o).raw));
        true
    }
}

/// `tp_dealloc` of `Tensor` itself; subclasses come here last.
pub unsafe extern "C" fn dealloc(o: *mut ffi::PyObject) {
    let object = o.cast::<Object>();
    // SAFETY: called by the interpreter with an object whose count is zero.
    unsafe {
        let exact = is_exact(o);
        let plain = (*object).dict.is_null() && (*object).weakrefs.is_null();
        if exact && !plain && turn_round(object) {
            return;
        }
        if !plain || !exact {
            ffi::PyObject_GC_UnTrack(o.cast());
            if !(*object).weakrefs.is_null() {
                ffi::PyObject_ClearWeakRefs(o);
            }
            let dict = std::mem::replace(&mut (*object).dict, null_mut());
            ffi::Py_XDECREF(dict);
        }
        let raw = std::mem::replace(&mut (*object).raw, null_mut());
        if !raw.is_null() {
            let t = Tensor::from_raw(raw);
            t.set_host(null_mut(), false);
            drop(t);
        }
        let s = state();
        if exact && s.free.len() < FREE_LIMIT {
            s.free.push(object);
            return;
        }
        let class = ffi::Py_TYPE(o);
        ffi::PyObject_GC_Del(o.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// `tp_dealloc` of subclasses: the object stays if the core still holds the tensor.
///
/// `subtype_dealloc` ends by calling the first other `tp_dealloc` among the bases, and begins its
/// search at the class itself: it comes back here, and goes on to the one of `Tensor`.
unsafe extern "C" fn subclass_dealloc(o: *mut ffi::PyObject) {
    // SAFETY: as in `dealloc`.
    unsafe {
        if state().dying == o {
            dealloc(o);
            return;
        }
        if turn_round(o.cast()) {
            return;
        }
        if let Some(original) = state().subtype_dealloc {
            let outer = std::mem::replace(&mut state().dying, o);
            original(o);
            state().dying = outer;
        }
    }
}

/// Makes a new subclass keep its objects alive as `turn_round` says.
pub fn adopt_subclass(class: *mut ffi::PyTypeObject) {
    // SAFETY: a class object that is just being made.
    unsafe {
        let theirs = (*class).tp_dealloc;
        let ours: ffi::destructor = subclass_dealloc;
        if theirs.is_some_and(|d| d as usize != ours as usize) {
            state().subtype_dealloc = theirs;
            (*class).tp_dealloc = Some(ours);
        }
    }
}

/// Calls `f` with each object that the tensor's hooks hold, if only this object holds the tensor.
fn each_held(t: &Tensor, f: &mut dyn FnMut(*mut ffi::PyObject)) {
    if t.refs() != 1 {
        return;
    }
    let node = t.own_node().filter(|n| n.refs() == 1);
    let leaf = t.leaf_hooks().into_iter().flat_map(Hooks::held);
    leaf.for_each(|o| f(o.cast()));
    if let Some(node) = node {
        node.held(&mut |o| f(o.cast()));
    }
}

pub unsafe extern "C" fn traverse(
    o: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector with a live object.
    unsafe {
        let object = o.cast::<Object>();
        let mut failed = 0;
        let mut see = |child: *mut ffi::PyObject| {
            if !child.is_null() && failed == 0 {
                failed = visit(child, arg);
            }
        };
        see((*object).dict);
        see(ffi::Py_TYPE(o).cast());
        if !(*object).raw.is_null() {
            each_held(known(o), &mut see);
        }
        failed
    }
}

pub unsafe extern "C" fn clear(o: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector with a live object.
    unsafe {
        // Emptied, not taken: by its dictionary an object is known to be tracked.
        let dict = (*o.cast::<Object>()).dict;
        if !dict.is_null() {
            ffi::PyDict_Clear(dict);
        }
        if !(*o.cast::<Object>()).raw.is_null() {
            let t = known(o);
            if t.refs() == 1 {
                t.clear_leaf_hooks();
                if let Some(n) = t.own_node().filter(|n| n.refs() == 1) {
                    n.clone().clear_held();
                }
            }
        }
    }
    0
}

/// `tp_setattro`: an object that gets a dictionary can be part of a cycle from then on.
pub unsafe extern "C" fn setattro(
    o: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: called by the interpreter with a live object.
    unsafe {
        let r = ffi::PyObject_GenericSetAttr(o, name, value);
        if !(*o.cast::<Object>()).dict.is_null() {
            track(o);
        }
        r
    }
}

/// Gives an object its dictionary, by which it is known to be tracked, and tracks it.
///
/// # Safety
/// `o` is a live tensor object.
pub unsafe fn track_with_dict(o: *mut ffi::PyObject) -> Result<(), Raised> {
    // SAFETY: the caller's promise.
    unsafe {
        let slot = addr_of_mut!((*o.cast::<Object>()).dict);
        if (*slot).is_null() {
            *slot = check(ffi::PyDict_New())?;
        }
        track(o);
    }
    Ok(())
}

/// Lets the collector see an object, which may be part of a cycle from now on.
///
/// # Safety
/// `o` is a live tensor object.
pub unsafe fn track(o: *mut ffi::PyObject) {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::PyObject_GC_IsTracked(o) == 0 {
            ffi::PyObject_GC_Track(o.cast());
        }
    }
}
