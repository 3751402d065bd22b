//! What a node saved, as attributes of its object: `_saved_self`, `_saved_result`, `_saved_dim`.

use crate::convert::{Guarded, Held, Ret, py_result};
use crate::errors::from_python;
use crate::hooks::python;
use crate::object::tensor_ref;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::RefCell;
use std::rc::Rc;
use wengert::saved::{self as core, Pack, Unpack};
use wengert::tape::Node;
use wengert::{DType, Scalar, Tensor, Value, err};

mod places;
use places::{Place, places};
pub use places::{attribute, names};

fn raw<'py>(py: Python<'py>, n: &Node, what: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let i = match places(n).into_iter().find(|p| p.0 == what) {
        Some((_, Place::Input(i) | Place::Operand(i))) => i,
        Some((_, Place::Output(k))) => 8 + k,
        _ => return Ok(None),
    };
    py_result(n.check_not_released())?;
    let slot = n.saved_slot(i).unwrap_or(usize::MAX);
    Bound::new(py, SavedTensor::new(n.clone(), slot)).map(|s| Some(s.into_any()))
}

/// A tensor as a node saved it.
#[pyclass(frozen, module = "torch._C._autograd", name = "SavedTensor")]
pub struct SavedTensor {
    node: Guarded<Node>,
    slot: usize,
}

impl SavedTensor {
    pub fn new(node: Node, slot: usize) -> SavedTensor {
        SavedTensor { node: Guarded(node), slot }
    }
}

#[pymethods]
impl SavedTensor {
    #[new]
    fn create() -> PyResult<SavedTensor> {
        let text = "Trying to create a SavedTensor object from Python is forbidden.";
        Err(PyRuntimeError::new_err(text))
    }

    /// Packs the tensor by `pack_hook` now; `unpack_hook` gives it back when it is needed.
    fn register_hooks(&self, pack_hook: Py<PyAny>, unpack_hook: Py<PyAny>) -> PyResult<()> {
        let pair = Pair::new(pack_hook, unpack_hook);
        py_result(self.node.0.pack_saved(self.slot, &pair))
    }
}

/// A pair of Python functions that packs and unpacks.
struct Pair(Rc<(Held, Held)>);

impl Pair {
    fn new(pack: Py<PyAny>, unpack: Py<PyAny>) -> Pair {
        Pair(Rc::new((pack.into(), unpack.into())))
    }
}

impl Pack for Pair {
    fn pack(&self, t: &Tensor) -> wengert::Result<Rc<dyn Unpack>> {
        let py = python();
        let what = self.0.0.bind(py).call1((Ret(t.clone()),)).map_err(from_python)?;
        Ok(Rc::new(Kept { what: what.unbind().into(), pair: self.0.clone() }))
    }
}

/// What `pack` returned, and how to get the tensor back.
struct Kept {
    what: Held,
    pair: Rc<(Held, Held)>,
}

impl Unpack for Kept {
    fn unpack(&self) -> wengert::Result<Tensor> {
        let py = python();
        let out = self.pair.1.bind(py).call1((self.what.bind(py),)).map_err(from_python)?;
        match tensor_ref(out.as_ptr()) {
            Some(t) => Ok(t.clone()),
            None => {
                let class = out.get_type().qualname().map_err(from_python)?;
                Err(err!(
                    Type,
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of type {class}"
                ))
            }
        }
    }
}

thread_local! {
    /// Why hooks are not allowed in this thread, if they are not.
    static DISABLED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Packs what is saved from now on by a pair of functions.
#[pyfunction]
pub fn _push_saved_tensors_hooks(pack: Py<PyAny>, unpack: Py<PyAny>) -> PyResult<()> {
    if let Some(why) = DISABLED.with_borrow(Clone::clone) {
        return Err(PyRuntimeError::new_err(why));
    }
    core::push(Rc::new(Pair::new(pack, unpack)));
    Ok(())
}

/// Takes the last pair away.
#[pyfunction]
pub fn _pop_saved_tensors_hooks() {
    core::pop();
}

/// Says why hooks are refused from now on (None: they are not); returns what it was.
#[pyfunction]
pub fn _disable_saved_tensors_hooks(message: Option<String>) -> PyResult<Option<String>> {
    if let Some(why) = &message
        && core::hooked()
    {
        return Err(PyRuntimeError::new_err(why.clone()));
    }
    Ok(DISABLED.replace(message))
}

fn python_value(py: Python<'_>, v: Value) -> PyResult<Bound<'_, PyAny>> {
    match v {
        Value::None | Value::Tensors(_) => Ok(py.None().into_bound(py)),
        Value::Tensor(t) => Ret(t).into_bound_py_any(py),
        Value::Indices(list) => {
            let one = |t: Option<Tensor>| t.map(Ret).into_bound_py_any(py);
            let items = list.into_iter().map(one).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Value::Number(Scalar::Bool(b)) | Value::Bool(b) => b.into_bound_py_any(py),
        Value::Number(Scalar::Int(i)) | Value::Int(i) => i.into_bound_py_any(py),
        Value::Number(Scalar::Float(f)) => f.into_bound_py_any(py),
        Value::Ints(list) => Ok(PyTuple::new(py, list)?.into_any()),
        Value::DType(d) => dtype_object(py, d),
        Value::Str(s) => s.into_bound_py_any(py),
    }
}

pub fn dtype_object(py: Python<'_>, d: DType) -> PyResult<Bound<'_, PyAny>> {
    crate::convert::owned(py, crate::dtypes::raw_object(d))
}
