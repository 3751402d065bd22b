//! How many threads share the work.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

/// How many threads share the work on large tensors.
///
/// >>> torch.get_num_threads() >= 1
/// True
#[pyfunction]
pub fn get_num_threads() -> usize {
    wengert::num_threads()
}

/// Sets how many threads share the work on large tensors. Raises RuntimeError for less than one.
///
/// >>> torch.set_num_threads(torch.get_num_threads())
#[pyfunction]
pub fn set_num_threads(int: &Bound<'_, PyAny>) -> PyResult<()> {
    let number = int.extract::<i64>().ok().filter(|_| !int.is_instance_of::<PyBool>());
    let Some(n) = number else {
        let kind = int.get_type().name()?;
        let text = format!("set_num_threads expects an int, but got {kind}");
        return Err(PyRuntimeError::new_err(text));
    };
    if n <= 0 {
        return Err(PyRuntimeError::new_err("set_num_threads expects a positive integer"));
    }
    wengert::set_num_threads(n as usize);
    Ok(())
}
