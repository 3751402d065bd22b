//! Named tuples of operations with several results (`torch.return_types.max`).

use crate::errors::{Raised, check};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    static CLASSES: RefCell<HashMap<String, Py<PyAny>>> = RefCell::new(HashMap::new());
}

/// A named tuple of the items of `tuple`, whose reference is used up.
///
/// # Safety
/// `tuple` is an owned reference to a tuple.
pub unsafe fn named_tuple(
    name: &str,
    fields: &[String],
    tuple: *mut ffi::PyObject,
) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: the caller's promise, under the GIL.
    let (py, items) = unsafe {
        let py = Python::assume_attached();
        (py, Bound::from_owned_ptr(py, check(tuple)?))
    };
    let known = CLASSES.with_borrow(|c| c.get(name).map(|k| k.clone_ref(py)));
    let class = match known {
        Some(k) => k.into_bound(py),
        None => {
            let module = py.import("wengert.return_types")?;
            let names = PyTuple::new(py, fields)?;
            let kwargs = PyDict::new(py);
            let made = module.getattr("_make")?.call((name, names), Some(&kwargs))?;
            CLASSES.with_borrow_mut(|c| c.insert(name.to_string(), made.clone().unbind()));
            made
        }
    };
    Ok(class.call1((items,))?.into_ptr())
}
