//! `torch.Size` objects, and ints and tuples for Python.

use crate::errors::{Raised, check};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static SIZE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Remembers the class `torch.Size` (a subclass of tuple without further fields).
#[pyfunction]
pub fn _set_size_class(py: Python<'_>, class: Py<PyAny>) {
    let _ = SIZE.set(py, class);
}

/// A `torch.Size` (a new reference).
pub fn size(shape: &[usize]) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: under the GIL; a subclass of tuple is allocated like a tuple, and then filled.
    unsafe {
        let py = Python::assume_attached();
        let Some(class) = SIZE.get(py) else { return tuple(shape.iter().map(|&s| s as i64)) };
        let class = class.as_ptr().cast::<ffi::PyTypeObject>();
        let alloc = (*class).tp_alloc.unwrap_or(ffi::PyType_GenericAlloc);
        let o = check(alloc(class, shape.len() as isize))?;
        for (i, &s) in shape.iter().enumerate() {
            ffi::PyTuple_SET_ITEM(o, i as isize, ffi::PyLong_FromSize_t(s));
        }
        Ok(o)
    }
}

/// A tuple of ints (a new reference).
pub fn tuple(
    items: impl ExactSizeIterator<Item = i64>,
) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: under the GIL; a new tuple, then filled.
    unsafe {
        let o = check(ffi::PyTuple_New(items.len() as isize))?;
        for (i, v) in items.enumerate() {
            ffi::PyTuple_SET_ITEM(o, i as isize, ffi::PyLong_FromLongLong(v));
        }
        Ok(o)
    }
}
