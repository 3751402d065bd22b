//! `grad_fn` objects: nodes of the tape, and the accumulators of leaves.

use crate::convert::{Guarded, Held, Ret, py_result};
use crate::errors::Raised;
use crate::function::{self, Call, FunctionCtx};
use crate::hooks::{self, _Hook};
use crate::saved;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use std::cell::RefCell;
use std::ffi::c_void;
use wengert::Tensor;
use wengert::hooks::Hooks;
use wengert::tape::{self, Edge, Meta};

/// What a node object stands for.
#[derive(Clone)]
pub enum Target {
    Op(tape::Node),
    /// The accumulator of a leaf.
    Leaf(Tensor),
}

/// A node of the graph of recorded operations.
///
/// >>> x = torch.ones(1, requires_grad=True)
/// >>> isinstance((x * 2).grad_fn, torch.autograd.graph.Node)
/// True
#[pyclass(frozen, subclass, module = "torch.autograd.graph")]
pub struct Node {
    target: Guarded<Target>,
}

thread_local! {
    /// What the node object that is being made stands for.
    static PENDING: RefCell<Option<Target>> = const { RefCell::new(None) };
}

impl Node {
    /// The node on the tape; None for an accumulator.
    pub fn op(&self) -> Option<&tape::Node> {
        match &self.target.0 {
            Target::Op(n) => Some(n),
            Target::Leaf(_) => None,
        }
    }

    pub fn target(&self) -> &Target {
        &self.target.0
    }

    /// The object that [`object_of`] is making; nobody else can make one.
    pub fn pending() -> PyResult<Node> {
        match PENDING.take() {
            Some(target) => Ok(Node { target: Guarded(target) }),
            None => Err(PyTypeError::new_err("nodes cannot be created from Python")),
        }
    }

    /// The edge that leads to output `k`.
    pub fn edge(&self, k: u32) -> Edge {
        match &self.target.0 {
            Target::Op(n) => Edge::Node(n.clone(), k),
            Target::Leaf(t) => Edge::Leaf(t.clone()),
        }
    }
}

#[pymethods]
impl Node {
    #[new]
    fn new() -> PyResult<Node> {
        Node::pending()
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
            for (i, e) in n.edges().iter().enumerate() {
                if matches!(e, Edge::None) && n.op().op().formula.is_gap(i) && n.rule().is_none() {
                    continue;
                }
                n.tell_input(i);
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
            Target::Op(n) => Err(no_attribute(&n.name(), "variable")),
        }
    }

    /// A dictionary for whatever the user wants to keep with the node.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> Py<PyDict> {
        metadata_of(py, &self.target.0)
    }

    /// Shape, dtype and device of each output, as far as they are known.
    #[getter]
    fn _input_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let known: Vec<Meta> = match &self.target.0 {
            Target::Op(n) => n.info().map(|i| i.outputs.to_vec()).unwrap_or_default(),
            Target::Leaf(t) => vec![Meta::from(t)],
        };
        let facts = known.iter().map(|m| {
            let dtype = saved::dtype_object(py, m.dtype)?;
            Ok((PyTuple::new(py, m.shape.iter())?, dtype))
        });
        let facts = facts.collect::<PyResult<Vec<_>>>()?;
        py.import("wengert.autograd.graph")?.call_method1("_metadata", (facts,))
    }

    /// Grows with the time of creation.
    fn _sequence_nr(&self) -> u64 {
        match &self.target.0 {
            Target::Op(n) => n.seq(),
            Target::Leaf(_) => u64::MAX,
        }
    }

    /// Calls `fn(grad_outputs)` before the node runs; a tuple it returns replaces them.
    fn register_prehook(&self, py: Python<'_>, r#fn: Py<PyAny>) -> PyResult<Py<PyAny>> {
        handle(
            py,
            match &self.target.0 {
                Target::Op(n) => hooks::before_node(n, r#fn),
                Target::Leaf(t) => hooks::before_leaf(t, r#fn),
            },
        )
    }

    /// Calls `fn(grad_inputs, grad_outputs)` after the node has run; a tuple it returns replaces
    /// the former.
    fn register_hook(&self, py: Python<'_>, r#fn: Py<PyAny>) -> PyResult<Py<PyAny>> {
        handle(
            py,
            match &self.target.0 {
                Target::Op(n) => hooks::after_node(n, r#fn),
                Target::Leaf(t) => hooks::after_leaf(t, r#fn),
            },
        )
    }

    /// Runs the node: gradients of its inputs for those of its outputs.
    #[pyo3(signature = (*grads))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        grads: Vec<Option<crate::convert::Arg>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Target::Op(n) = &self.target.0 else {
            return Err(PyTypeError::new_err("an accumulator cannot be called"));
        };
        let grads: Vec<Option<Tensor>> = grads.into_iter().map(|g| g.map(|a| a.0)).collect();
        let out = py_result(wengert::engine::apply(n, &grads))?;
        let tuple = hooks::grads_tuple(py, &out)?;
        if tuple.len() == 1 { tuple.get_item(0) } else { Ok(tuple.into_any()) }
    }

    /// Saved values: `_saved_self`, `_saved_result`, ...
    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if let Target::Op(n) = &slf.get().target.0
            && let Some(found) = saved::attribute(slf.py(), n, name)?
        {
            return Ok(found);
        }
        Err(no_attribute(&slf.get_type().name()?.to_string(), name))
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<String>> {
        let mut names: Vec<String> = slf.get_type().as_any().dir()?.extract()?;
        if let Target::Op(n) = &slf.get().target.0 {
            names.extend(saved::names(n));
        }
        Ok(names)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type();
        let mut name = class.name()?.to_string();
        if slf.cast::<FunctionCtx>().is_ok() {
            name = format!("{}.{name}", class.module()?);
        }
        Ok(format!("<{name} object at {:#x}>", slf.as_ptr() as usize))
    }

    // What hooks and the context of a custom function hold is seen through the last handle.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut failed = Ok(());
        let mut see = |held: *mut c_void| {
            if failed.is_ok() {
                // SAFETY: a live object; `Py` is one pointer, and nothing is counted.
                let object = unsafe { &*(&raw const held).cast::<Option<Py<PyAny>>>() };
                failed = visit.call(object);
            }
        };
        match &self.target.0 {
            Target::Op(n) if n.refs() == 1 => n.held(&mut see),
            Target::Leaf(t) if t.refs() == 1 => {
                t.leaf_hooks().into_iter().flat_map(Hooks::held).for_each(see);
            }
            _ => (),
        }
        failed
    }

    fn __clear__(&self) {
        match &self.target.0 {
            Target::Op(n) if n.refs() == 1 => n.clear_held(),
            Target::Leaf(t) if t.refs() == 1 => t.clear_leaf_hooks(),
            _ => (),
        }
    }

    fn __hash__(&self) -> usize {
        match &self.target.0 {
            Target::Op(n) => n.id() >> 4,
            Target::Leaf(t) => t.id() >> 4,
        }
    }
}

/// The dictionary of a node, made when it is first asked for.
pub fn metadata_of(py: Python<'_>, target: &Target) -> Py<PyDict> {
    let place = match target {
        Target::Op(n) => n.with_info(|i| i.notes.clone()),
        Target::Leaf(t) => t.notes(),
    };
    if let Some(known) = place.as_ref().and_then(|d| d.downcast_ref::<Guarded<Held<PyDict>>>()) {
        return known.0.clone_ref(py);
    }
    let dict = PyDict::new(py).unbind();
    let kept: tape::Notes = std::rc::Rc::new(Guarded(Held::from(dict.clone_ref(py))));
    match target {
        Target::Op(n) => n.with_info(|i| i.notes = Some(kept)),
        Target::Leaf(t) => t.set_notes(kept),
    }
    dict
}

fn no_attribute(class: &str, name: &str) -> PyErr {
    PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
}

fn handle(py: Python<'_>, hook: _Hook) -> PyResult<Py<PyAny>> {
    let class = py.import("wengert._tensor")?.getattr("RemovableHandle")?;
    Ok(class.call1((hook,))?.unbind())
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
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let known = CLASSES.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    let name = name.rsplit("::").next().unwrap_or(name);
    if let Some(class) = known.get_item(name)? {
        return Ok(class);
    }
    let bases = PyTuple::new(py, [py.get_type::<Node>()])?;
    let dict = PyDict::new(py);
    dict.set_item("__slots__", PyTuple::empty(py))?;
    dict.set_item("__module__", "torch.autograd.graph")?;
    let class = py.get_type::<pyo3::types::PyType>().call1((name, bases, dict))?;
    known.set_item(name, &class)?;
    Ok(class)
}

/// A new object of a target.
fn make<'py>(py: Python<'py>, target: &Target) -> PyResult<Bound<'py, PyAny>> {
    let name = match target {
        Target::Op(n) => {
            let context = |c: &Call| (c.context_class(py), c.dict.clone_ref(py));
            if let Some((class, dict)) = function::with_call(n, context) {
                let class = class?;
                PENDING.set(Some(target.clone()));
                let o = class.call0()?;
                // SAFETY: an object of a class made in Python, which has a dictionary.
                let r = unsafe {
                    let null = std::ptr::null_mut();
                    ffi::PyObject_GenericSetDict(o.as_ptr(), dict.as_ptr(), null)
                };
                return if r == 0 { Ok(o) } else { Err(PyErr::fetch(py)) };
            }
            n.name()
        }
        Target::Leaf(_) => "AccumulateGrad".into(),
    };
    let class = class_of(py, &name)?;
    PENDING.set(Some(target.clone()));
    class.call0()
}

/// The object of a target; the same one while it lives.
pub fn object_of(py: Python<'_>, target: Target) -> PyResult<Py<PyAny>> {
    let known = match &target {
        Target::Op(n) => n.info().map_or(0, |i| i.host.get()),
        Target::Leaf(t) => t.accumulator(),
    };
    if known != 0 {
        // SAFETY: the object is alive: its drop takes the address back.
        return Ok(unsafe { Bound::from_borrowed_ptr(py, known as *mut ffi::PyObject) }.unbind());
    }
    let o = make(py, &target)?;
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
    Ok(match t.grad_node()? {
        Some(n) => {
            n.know_output(t.output_nr(), t);
            object_of(py, Target::Op(n))?.into_ptr()
        }
        None => py.None().into_ptr(),
    })
}

/// The node (or accumulator) that the gradient of a tensor goes to, and which output it is.
#[pyfunction]
pub fn _gradient_edge(py: Python<'_>, t: crate::convert::Arg) -> PyResult<(Py<PyAny>, u32)> {
    Ok(match py_result(t.0.gradient_edge())? {
        Edge::None => (py.None(), 0),
        Edge::Leaf(leaf) => (object_of(py, Target::Leaf(leaf))?, 0),
        Edge::Node(n, k) => {
            n.know_output(k as usize, &t.0);
            (object_of(py, Target::Op(n))?, k)
        }
    })
}

/// Adds the class to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Node>()?;
    m.add_class::<function::_FunctionBase>()?;
    // Names that torch has elsewhere.
    m.add("_FunctionCtx", m.py().get_type::<FunctionCtx>())?;
    m.add("_SavedTensor", m.py().get_type::<saved::SavedTensor>())
}
