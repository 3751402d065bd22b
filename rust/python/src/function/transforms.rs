//! Custom functions inside `torch.func`: which calls are batched, and what is refused.

use crate::object::tensor_ref;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::sync::atomic::{AtomicIsize, Ordering};
use wengert::batch;

/// Transforms whose functions are running.
static RUNNING: AtomicIsize = AtomicIsize::new(0);

/// True while the function of a transform runs.
#[inline]
pub fn transforms_run() -> bool {
    RUNNING.load(Ordering::Relaxed) != 0
}

/// Counts the transforms whose functions are running; returns how many levels of `vmap` are open.
#[pyfunction]
pub fn _transforms(change: isize) -> usize {
    RUNNING.fetch_add(change, Ordering::Relaxed);
    batch::depth()
}

/// The result of a call with batched arguments, None for one without; `split` says that the
/// function has a `setup_context`.
pub(super) fn apply<'py>(
    class: &Bound<'py, PyType>,
    args: &Bound<'py, PyTuple>,
    split: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    // A function that stands for another inside its wrappers.
    if class.hasattr(intern!(py, "_inside"))? {
        return Ok(None);
    }
    if !split {
        return Err(PyRuntimeError::new_err(
            "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must override the setup_context staticmethod. For more details, please see https://pytorch.org/docs/main/notes/extending.func.html",
        ));
    }
    if !batch::active() {
        return Ok(None);
    }
    let module = py.import(intern!(py, "wengert.func._custom"))?;
    let mut tensors = args.iter_borrowed().filter_map(|a| tensor_ref(a.as_ptr()).cloned());
    if tensors.any(|t| batch::is_batched(&t)) {
        return module.getattr(intern!(py, "apply"))?.call1((class, args)).map(Some);
    }
    module.getattr(intern!(py, "check"))?.call1((class,))?;
    Ok(None)
}
