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
