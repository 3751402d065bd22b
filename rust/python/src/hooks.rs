//! Python callables as hooks of the core.

use crate::convert::{Arg, Guarded, Held, Ret, py_result};
use crate::errors::from_python;
use crate::object::{self, tensor_ref};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::{Rc, Weak};
use wengert::error::Kind;
use wengert::hooks::{Grads, Hook, NodeHook};
use wengert::{Error, Result, Tensor, err};

/// A callable, and whether it was taken away. A pass that is running still calls it.
struct Callable(RefCell<Option<Held>>, Cell<bool>);

impl Callable {
    fn new(f: Py<PyAny>) -> Rc<Callable> {
        Rc::new(Callable(RefCell::new(Some(f.into())), Cell::new(false)))
    }

    fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.borrow().as_ref().map(|f| f.bind(py).clone())
    }

    fn name(&self) -> String {
        let name = |py| self.get(py)?.getattr("__name__").ok()?.extract().ok();
        name(python()).unwrap_or_else(|| "<unknown>".into())
    }

    fn removed(&self) -> bool {
        self.1.get()
    }

    fn remove(&self) {
        self.1.set(true);
        if wengert::engine::current_pass().is_none() {
            drop(self.0.take());
        }
    }

    fn held(&self) -> *mut c_void {
        self.0.borrow().as_ref().map_or(std::ptr::null_mut(), |f| f.as_ptr().cast())
    }
}

/// The core is only entered under the GIL.
pub fn python<'py>() -> Python<'py> {
    // SAFETY: as said above.
    unsafe { Python::assume_attached() }
}

/// A tensor that a hook returned in place of a gradient; None for None.
fn replacement(out: &Bound<'_, PyAny>) -> Result<Option<Tensor>> {
    if out.is_none() {
        return Ok(None);
    }
    match tensor_ref(out.as_ptr()) {
        Some(t) => Ok(Some(t.clone())),
        None => {
            let name = out.get_type().name().map_err(from_python)?.to_string();
            Err(err!(Type, "expected Variable, but hook returned '{name}'"))
        }
    }
}

/// Of the gradient of a tensor.
struct OfTensor(Rc<Callable>);

impl Hook for OfTensor {
    fn call(&self, g: &Tensor) -> Result<Option<Tensor>> {
        let py = python();
        let Some(f) = self.0.get(py) else { return Ok(None) };
        replacement(&f.call1((Ret(g.clone()),)).map_err(from_python)?)
    }
    fn undefined(&self) -> Result<()> {
        let py = python();
        let Some(f) = self.0.get(py) else { return Ok(()) };
        if f.call1((py.None(),)).map_err(from_python)?.is_none() {
            return Ok(());
        }
        Err(err!(Runtime, "can't replace a None gradient with a non-None value"))
    }
    fn name(&self) -> String {
        self.0.name()
    }
    fn removed(&self) -> bool {
        self.0.removed()
    }
    fn held(&self) -> *mut c_void {
        self.0.held()
    }
}

/// Of a leaf whose gradient was accumulated.
struct OfLeaf(Rc<Callable>);

impl Hook for OfLeaf {
    fn call(&self, t: &Tensor) -> Result<Option<Tensor>> {
        let py = python();
        let Some(f) = self.0.get(py) else { return Ok(None) };
        if f.call1((Ret(t.clone()),)).map_err(from_python)?.is_none() {
            return Ok(None);
        }
        Err(Error::new(Kind::Runtime, "Tensor post accumulate grad hooks should return None."))
    }
    fn removed(&self) -> bool {
        self.0.removed()
    }
    fn held(&self) -> *mut c_void {
        self.0.held()
    }
}

/// Of all gradients at a node.
struct OfNode(Rc<Callable>);

/// Gradients as a tuple, None where there is none.
pub fn grads_tuple<'py>(py: Python<'py>, grads: Grads) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, grads.iter().map(|g| g.clone().map(Ret)))
}

impl NodeHook for OfNode {
    fn call(&self, inputs: Option<Grads>, outputs: Grads) -> Result<Option<Vec<Option<Tensor>>>> {
        let py = python();
        let Some(f) = self.0.get(py) else { return Ok(None) };
        let outputs = grads_tuple(py, outputs).map_err(from_python)?;
        let out = match inputs {
            None => f.call1((outputs,)),
            Some(g) => f.call1((grads_tuple(py, g).map_err(from_python)?, outputs)),
        };
        let out = out.map_err(from_python)?;
        if out.is_none() {
            return Ok(None);
        }
        let Ok(items) = out.cast::<PyTuple>() else {
            let name = out.get_type().name().map_err(from_python)?.to_string();
            return Err(err!(Type, "expected tuple, but hook returned '{name}'"));
        };
        items.iter().map(|i| replacement(&i)).collect::<Result<Vec<_>>>().map(Some)
    }
    fn name(&self) -> String {
        self.0.name()
    }
    fn removed(&self) -> bool {
        self.0.removed()
    }
    fn held(&self) -> *mut c_void {
        self.0.held()
    }
}

/// Takes a hook away, once. It does not keep the hook alive, which may hold this object.
#[pyclass(frozen, module = "torch.utils.hooks")]
pub struct _Hook(Guarded<Weak<Callable>>);

#[pymethods]
impl _Hook {
    fn remove(&self) {
        if let Some(f) = self.0.0.upgrade() {
            f.remove();
        }
    }
}

pub fn before_node(node: &wengert::tape::Node, f: Py<PyAny>) -> _Hook {
    let f = Callable::new(f);
    node.register_prehook(Rc::new(OfNode(f.clone())));
    _Hook(Guarded(Rc::downgrade(&f)))
}

pub fn after_node(node: &wengert::tape::Node, f: Py<PyAny>) -> _Hook {
    let f = Callable::new(f);
    node.register_hook(Rc::new(OfNode(f.clone())));
    _Hook(Guarded(Rc::downgrade(&f)))
}

pub fn before_leaf(leaf: &Tensor, f: Py<PyAny>) -> _Hook {
    let f = Callable::new(f);
    leaf.register_accumulator_prehook(Rc::new(OfNode(f.clone())));
    _Hook(Guarded(Rc::downgrade(&f)))
}

pub fn after_leaf(leaf: &Tensor, f: Py<PyAny>) -> _Hook {
    let f = Callable::new(f);
    leaf.register_accumulator_hook(Rc::new(OfNode(f.clone())));
    _Hook(Guarded(Rc::downgrade(&f)))
}

/// Lets the garbage collector see the object of a tensor: its hooks may hold it.
fn track(t: &Tensor) -> PyResult<()> {
    if !t.host().is_null() && !t.host_owned() {
        // SAFETY: the tensor's live object.
        unsafe { object::track_with_dict(t.host().cast()) }.map_err(|_| PyErr::fetch(python()))?;
    }
    Ok(())
}

/// Registers a hook on the gradient of a tensor.
#[pyfunction]
pub fn _register_hook(t: Arg, f: Py<PyAny>) -> PyResult<_Hook> {
    let f = Callable::new(f);
    py_result(t.0.register_hook(Rc::new(OfTensor(f.clone()))))?;
    track(&t.0)?;
    Ok(_Hook(Guarded(Rc::downgrade(&f))))
}

/// Registers a hook called after the gradient of a leaf was accumulated.
#[pyfunction]
pub fn _register_post_accumulate_grad_hook(t: Arg, f: Py<PyAny>) -> PyResult<_Hook> {
    let f = Callable::new(f);
    py_result(t.0.register_post_accumulate_grad_hook(Rc::new(OfLeaf(f.clone()))))?;
    track(&t.0)?;
    Ok(_Hook(Guarded(Rc::downgrade(&f))))
}
