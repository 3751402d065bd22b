//! What a custom function's class and arguments are asked.

use crate::convert::Held;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use smallvec::SmallVec;
use std::cell::RefCell;

/// `Function.backward`, `.vjp` and `.setup_context` as they are in the base class.
pub type Base = (Py<PyAny>, Py<PyAny>, Py<PyAny>);

pub fn base(py: Python<'_>) -> PyResult<&'static Base> {
    static BASE: pyo3::sync::PyOnceLock<Base> = pyo3::sync::PyOnceLock::new();
    BASE.get_or_try_init(py, || {
        let class = py.import("wengert.autograd.function")?.getattr("Function")?;
        let method = |name: &str| class.getattr(name).map(Bound::unbind);
        Ok((method("backward")?, method("vjp")?, method("setup_context")?))
    })
}

/// Calls a Python object with positional arguments.
pub fn call<'py>(f: &Bound<'py, PyAny>, args: &[Bound<'py, PyAny>]) -> PyResult<Bound<'py, PyAny>> {
    let raw: SmallVec<[*mut ffi::PyObject; 6]> = args.iter().map(Bound::as_ptr).collect();
    // SAFETY: live objects; the result is owned, or an exception is set.
    unsafe {
        let out =
            ffi::PyObject_Vectorcall(f.as_ptr(), raw.as_ptr(), raw.len(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(f.py(), out)
    }
}

/// True if `list` (a tuple, if anything) holds the very object `o`.
pub fn holds(py: Python<'_>, list: &RefCell<Option<Held>>, o: &Bound<'_, PyAny>) -> bool {
    let list = list.borrow();
    let Some(list) = list.as_ref().and_then(|l| l.bind(py).cast::<PyTuple>().ok()) else {
        return false;
    };
    list.iter().any(|x| x.is(o))
}

/// True if a class was made inside a function, or its `forward` was.
pub fn is_local(class: &Bound<'_, PyType>, forward: &Bound<'_, PyAny>) -> bool {
    let mut length = 0;
    // SAFETY: a live heap type, as all subclasses of ours are, and its name's own bytes.
    let name = unsafe {
        let name = (*class.as_ptr().cast::<ffi::PyHeapTypeObject>()).ht_qualname;
        let bytes = ffi::PyUnicode_AsUTF8AndSize(name, &mut length).cast::<u8>();
        if bytes.is_null() {
            ffi::PyErr_Clear();
            return true;
        }
        std::slice::from_raw_parts(bytes, length as usize)
    };
    // SAFETY: the closure is that of a live function.
    let closed = unsafe {
        ffi::PyFunction_Check(forward.as_ptr()) != 0
            && !ffi::PyFunction_GetClosure(forward.as_ptr()).is_null()
    };
    closed || name.contains(&b'<')
}
