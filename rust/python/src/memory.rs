//! Tensors over memory that is there already: buffers, storages, other dtypes and classes.

use crate::buffer;
use crate::convert::{Arg, Ret, py_result};
use crate::create::refuse_complex;
use crate::dtypes::dtype_of;
use crate::errors::Raised;
use pyo3::prelude::*;
use wengert::shape::Layout;
use wengert::{DType, Tensor};

/// `torch.from_numpy`: a tensor over the array's memory, and whether it may be written.
#[pyfunction]
fn _from_buffer(o: &Bound<'_, PyAny>) -> PyResult<(Ret, bool)> {
    let (t, writable) = buffer::tensor_over(o.as_ptr()).map_err(|Raised| PyErr::fetch(o.py()))?;
    Ok((Ret(t), writable))
}

/// A copy in another dtype that gradients flow through.
#[pyfunction]
fn _to_dtype(t: Arg, dtype: &Bound<'_, PyAny>) -> PyResult<Ret> {
    let Some(d) = dtype_of(dtype.as_ptr()) else {
        return Err(pyo3::exceptions::PyTypeError::new_err("dtype expected"));
    };
    py_result(refuse_complex(d))?;
    Ok(Ret(py_result(t.0.to(d))?))
}

/// Another object of a subclass over the same tensor's memory.
#[pyfunction]
fn _as_subclass<'py>(
    t: Arg,
    class: &Bound<'py, PyAny>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let new = t.0.detach();
    if requires_grad {
        py_result(new.requires_grad_(true))?;
    }
    crate::convert::owned(class.py(), crate::object::wrap_as(new, class.as_ptr().cast()))
}

/// All bytes of the memory that a tensor lies in, as a tensor.
#[pyfunction]
fn _storage_bytes(t: Arg) -> PyResult<Ret> {
    py_result(t.0.ptr())?;
    let storage = t.0.storage().clone();
    let layout = Layout::contiguous(&[storage.bytes()]);
    Ok(Ret(Tensor::from_parts(storage, layout, DType::U8)))
}

/// A tensor over the memory that another one lies in.
#[pyfunction]
fn _over_storage(
    t: Arg,
    dtype: &Bound<'_, PyAny>,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<isize>,
) -> PyResult<Ret> {
    let Some(d) = dtype_of(dtype.as_ptr()) else {
        return Err(pyo3::exceptions::PyTypeError::new_err("dtype expected"));
    };
    py_result(t.0.ptr())?;
    let storage = t.0.storage().clone();
    let layout = Layout::new(size.into(), stride.into(), offset as isize);
    let elements = (storage.bytes() / d.size()) as isize;
    let inside = layout.ndim() == layout.strides.len()
        && layout.extent().is_none_or(|(lo, hi)| lo >= 0 && hi < elements);
    if !inside {
        return Err(pyo3::exceptions::PyRuntimeError::new_err("sizes outside of the storage"));
    }
    Ok(Ret(Tensor::from_parts(storage, layout, d)))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_from_buffer, m)?)?;
    m.add_function(wrap_pyfunction!(_to_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(_as_subclass, m)?)?;
    m.add_function(wrap_pyfunction!(_storage_bytes, m)?)?;
    m.add_function(wrap_pyfunction!(_over_storage, m)?)
}
