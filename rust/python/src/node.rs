//! `grad_fn` objects: nodes of the tape, and the accumulators of leaves.

use crate::convert::{Guarded, Ret};
use crate::errors::Raised;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::cell::RefCell;
use std::collections::HashMap;
use wengert::Tensor;
use wengert::tape::{self, Edge};

/// What a node object stands for.
#[derive(Clone)]
enum Target {
    Op(tape::Node),
    /// The accumulator of a leaf.
    Leaf(Tensor),
}

/// Carries a target into the constructor of a node class.
#[pyclass(frozen)]
struct Token(Guarded<Target>);

/// A node of the graph of recorded operations.
#[pyclass(frozen, subclass, module = "torch.autograd.graph")]
pub struct Node {
    target: Guarded<Target>,
    metadata: Py<PyDict>,
}

thread_local! {
    static CLASSES: RefCell<HashMap<String, Py<PyAny>>> = RefCell::new(HashMap::new());
}

#[pymethods]
impl Node {
    #[new]
    fn new(py: Python<'_>, token: &Token) -> Node {
        Node { target: Guarded(token.0.0.clone()), metadata: PyDict::new(py).unbind() }
    }

    /// PyTorch's name of the operation: `MulBackward0`.
    fn name(&self) -> String {
        match &self.target.0 {
            Target::Op(n) => n.name(),
            Target::Leaf(_) => "torch::autograd::AccumulateGrad".into(),
        }
    }

    /// The nodes that the gradients of the inputs go to: pairs of (node or None, output number).
    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut out = Vec::new();
        if let Target::Op(n) = &self.target.0 {
            for e in n.edges() {
                out.push(match e {
                    Edge::None => (py.None(), 0),
                    Edge::Leaf(t) => (object_of(py, Target::Leaf(t.clone()))?, 0),
                    Edge::Node(m, k) => (object_of(py, Target::Op(m.clone()))?, *k),
                });
            }
        }
        PyTuple::new(py, out)
    }

    /// The leaf that an accumulator adds to.
    #[getter]
    fn variable(&self) -> PyResult<Ret> {
        match &self.target.0 {
            Target::Leaf(t) => Ok(Ret(t.clone())),
            Target::Op(n) => Err(pyo3::exceptions::PyAttributeError::new_err(format!(
                "'{}' object has no attribute 'variable'",
                n.name()
            ))),
        }
    }

    /// A dictionary for whatever the user wants to keep with the node.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> Py<PyDict> {
        self.metadata.clone_ref(py)
    }

    /// Grows with the time of creation.
    fn _sequence_nr(&self) -> u64 {
        match &self.target.0 {
            Target::Op(n) => n.seq(),
            Target::Leaf(_) => u64::MAX,
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get_type().name()?.to_string();
        Ok(format!("<{name} object at {:#x}>", slf.as_ptr() as usize))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> usize {
        slf.as_ptr() as usize >> 4
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        match &self.target.0 {
            Target::Op(n) => n.with_info(|i| i.host.set(0)),
            Target::Leaf(t) => t.set_accumulator(0),
        }
    }
}

fn class_of<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = name.rsplit("::").next().unwrap_or(name);
    if let Some(c) = CLASSES.with_borrow(|c| c.get(name).map(|k| k.clone_ref(py))) {
        return Ok(c.into_bound(py));
    }
    let bases = PyTuple::new(py, [py.get_type::<Node>()])?;
    let dict = PyDict::new(py);
    dict.set_item("__slots__", PyTuple::empty(py))?;
    dict.set_item("__module__", "torch.autograd.graph")?;
    let class = py.get_type::<pyo3::types::PyType>().call1((name, bases, dict))?;
    CLASSES.with_borrow_mut(|c| c.insert(name.to_string(), class.clone().unbind()));
    Ok(class)
}

/// The object of a target; the same one while it lives.
fn object_of(py: Python<'_>, target: Target) -> PyResult<Py<PyAny>> {
    let known = match &target {
        Target::Op(n) => n.info().map_or(0, |i| i.host.get()),
        Target::Leaf(t) => t.accumulator(),
    };
    if known != 0 {
        // SAFETY: the object is alive: its drop takes the address back.
        return Ok(unsafe { Bound::from_borrowed_ptr(py, known as *mut ffi::PyObject) }.unbind());
    }
    let name = match &target {
        Target::Op(n) => n.name(),
        Target::Leaf(_) => "AccumulateGrad".into(),
    };
    let o = class_of(py, &name)?.call1((Token(Guarded(target.clone())),))?;
    let at = o.as_ptr() as usize;
    match &target {
        Target::Op(n) => n.with_info(|i| i.host.set(at)),
        Target::Leaf(t) => t.set_accumulator(at),
    }
    Ok(o.unbind())
}

/// `x.grad_fn`: a new reference, `None` for leaves.
pub fn grad_fn(t: &Tensor) -> Result<*mut ffi::PyObject, Raised> {
    // SAFETY: called under the GIL.
    let py = unsafe { Python::assume_attached() };
    Ok(match t.grad_node() {
        Some(n) => object_of(py, Target::Op(n))?.into_ptr(),
        None => py.None().into_ptr(),
    })
}

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Node>()
}
