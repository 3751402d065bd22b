//! `torch.dtype` objects: one per element type.

use crate::errors::Raised;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use wengert::DType;

/// The type of a tensor's elements.
///
/// >>> torch.float32.itemsize
/// 4
#[pyclass(frozen, name = "dtype", module = "torch")]
pub struct Dtype(pub DType);

#[pymethods]
impl Dtype {
    fn __repr__(&self) -> String {
        format!("torch.{}", self.0.name())
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (&'static str,))> {
        let named = py.import("wengert._types")?.getattr("_dtype")?;
        Ok((named.unbind(), (self.0.name(),)))
    }

    fn __hash__(&self) -> usize {
        self.0 as usize + 1000
    }

    /// Bytes per element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }

    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }

    #[getter]
    fn is_complex(&self) -> bool {
        self.0.is_complex()
    }

    #[getter]
    fn is_signed(&self) -> bool {
        self.0.is_signed()
    }

    /// The complex dtype of the same precision.
    fn to_complex(&self, py: Python) -> PyResult<Py<PyAny>> {
        object(py, if self.0 == DType::F64 { DType::C128 } else { DType::C64 })
    }

    /// The real dtype of the same precision.
    fn to_real(&self, py: Python) -> PyResult<Py<PyAny>> {
        object(
            py,
            match self.0 {
                DType::C64 => DType::F32,
                DType::C128 => DType::F64,
                d => d,
            },
        )
    }
}

static OBJECTS: PyOnceLock<Vec<Py<Dtype>>> = PyOnceLock::new();

fn objects(py: Python<'_>) -> PyResult<&Vec<Py<Dtype>>> {
    OBJECTS.get_or_try_init(py, || {
        DType::ALL.into_iter().map(|d| Py::new(py, Dtype(d))).collect::<PyResult<Vec<_>>>()
    })
}

/// The object of a dtype (a new reference).
pub fn object(py: Python<'_>, d: DType) -> PyResult<Py<PyAny>> {
    Ok(objects(py)?[d as usize].clone_ref(py).into_any())
}

/// As [`object`], as a raw new reference.
pub fn raw_object(d: DType) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: called under the GIL.
    let py = unsafe { Python::assume_attached() };
    Ok(object(py, d)?.into_ptr())
}

/// The dtype an object names: a `torch.dtype`, or Python's `float`, `int`, `bool`.
pub fn dtype_of(o: *mut ffi::PyObject) -> Option<DType> {
    // SAFETY: called under the GIL with a live object.
    unsafe {
        let py = Python::assume_attached();
        if o == (&raw mut ffi::PyFloat_Type).cast() {
            return Some(wengert::promote::default_dtype());
        }
        if o == (&raw mut ffi::PyLong_Type).cast() {
            return Some(DType::I64);
        }
        if o == (&raw mut ffi::PyBool_Type).cast() {
            return Some(DType::Bool);
        }
        let any = Bound::from_borrowed_ptr(py, o);
        any.cast::<Dtype>().ok().map(|d| d.get().0)
    }
}

/// Adds `float32`, `float`, ... to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Dtype>()?;
    let aliases = [
        ("float", DType::F32),
        ("double", DType::F64),
        ("half", DType::F16),
        ("long", DType::I64),
        ("int", DType::I32),
        ("short", DType::I16),
        ("cfloat", DType::C64),
        ("cdouble", DType::C128),
    ];
    for d in DType::ALL {
        m.add(d.name(), object(m.py(), d)?)?;
    }
    for (name, d) in aliases {
        m.add(name, object(m.py(), d)?)?;
    }
    Ok(())
}
