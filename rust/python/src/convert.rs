//! Tensors as arguments and results of functions that PyO3 wraps (the paths that are not hot).

use crate::errors::Raised;
use crate::object::{tensor_ref, wrap};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use wengert::Tensor;

/// A tensor argument.
pub struct Arg(pub Tensor);

impl<'a, 'py> FromPyObject<'a, 'py> for Arg {
    type Error = PyErr;
    fn extract(o: Borrowed<'a, 'py, PyAny>) -> PyResult<Arg> {
        match tensor_ref(o.as_ptr()) {
            Some(t) => Ok(Arg(t.clone())),
            None => {
                let name = o.get_type().name()?;
                Err(PyTypeError::new_err(format!("expected a Tensor, got {name}")))
            }
        }
    }
}

/// A tensor result.
pub struct Ret(pub Tensor);

impl<'py> IntoPyObject<'py> for Ret {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;
    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        owned(py, wrap(self.0))
    }
}

/// A new reference, or the exception that is set.
pub fn owned<'py>(
    py: Python<'py>,
    r: Result<*mut ffi::PyObject, Raised>,
) -> PyResult<Bound<'py, PyAny>> {
    match r {
        // SAFETY: an owned reference.
        Ok(p) => unsafe { Bound::from_owned_ptr_or_err(py, p) },
        Err(Raised) => Err(PyErr::fetch(py)),
    }
}

/// A core result as a PyO3 result.
pub fn py_result<T>(r: wengert::Result<T>) -> PyResult<T> {
    r.map_err(|e| crate::errors::to_python(&e))
}

/// A counted reference to a Python object, given up at once when it is dropped. A plain `Py` puts
/// that off where pyo3 does not know of the GIL being held: in `tp_dealloc` of a tensor, say.
pub struct Held<T = PyAny>(std::mem::ManuallyDrop<Py<T>>);

impl<T> From<Py<T>> for Held<T> {
    fn from(o: Py<T>) -> Held<T> {
        Held(std::mem::ManuallyDrop::new(o))
    }
}

impl<T> std::ops::Deref for Held<T> {
    type Target = Py<T>;
    fn deref(&self) -> &Py<T> {
        &self.0
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here. A thread that ends may drop what it keeps without the GIL.
        unsafe {
            let o = std::mem::ManuallyDrop::take(&mut self.0);
            if ffi::PyGILState_Check() == 0 {
                return drop(o);
            }
            ffi::Py_DECREF(o.into_ptr());
        }
    }
}

/// A value that only code holding the GIL touches.
pub struct Guarded<T>(pub T);

impl<T> Guarded<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

// SAFETY: reached through Python objects, and so only while the GIL is held.
unsafe impl<T> Send for Guarded<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Guarded<T> {}
