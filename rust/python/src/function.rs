//! Custom functions (`torch.autograd.Function`): forward and backward are methods of a Python
//! class.
//!
//! The node's rule is a [`Call`]: the class, what `forward` said on its context, and the context's
//! attributes. A context object is a node object that shares this dictionary; it holds the node,
//! and the node does not hold it, so there is no cycle that counting cannot free.

mod ask;

use crate::convert::{Arg, Held, Ret, py_result};
use crate::errors::from_python;
use crate::hooks::python;
use crate::node::{self, Node, Target};
use crate::object::{self, tensor_ref};
use ask::{base, call, holds, is_local};
use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass_init::PyClassInitializer;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering};
use wengert::custom::{self, Output};
use wengert::mode::{self, Guard};
use wengert::tape::{self, Meta, Rule};
use wengert::{Result, Tensor, bail, batch, forward};

mod jvp;

/// One call of a custom function.
pub struct Call {
    class: Held<PyType>,
    /// The class was made inside a function, whose variables it may hold.
    local: bool,
    /// Attributes of the context.
    pub dict: Held<PyDict>,
    /// Per argument, whether its gradient is needed; tensors with shape and dtype.
    needs: SmallVec<[bool; 4]>,
    inputs: SmallVec<[Option<Meta>; 4]>,
    outputs: RefCell<SmallVec<[Option<Meta>; 2]>>,
    materialize: Cell<bool>,
    to_save: RefCell<Option<Held>>,
    /// What `jvp` gets, while it runs.
    for_forward: RefCell<Option<Held>>,
    dirty: RefCell<Option<Held>>,
    constant: RefCell<Option<Held>>,
}

/// The call behind a node, if it is one of a custom function.
pub fn with_call<R>(node: &tape::Node, f: impl FnOnce(&Call) -> R) -> Option<R> {
    let rule = node.rule()?;
    rule.own()?.downcast_ref::<Call>().map(f)
}

impl Rule for Call {
    fn name(&self) -> String {
        let class = self.class.bind(python());
        class.name().map_or_else(|_| "Function".into(), |n| n.to_string()) + "Backward"
    }

    fn apply(&self, node: &tape::Node, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let py = python();
        let out = self.backward(py, node, grads).map_err(from_python)?;
        self.gradients(py, node, &out)
    }

    fn own(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }

    fn held(&self, see: &mut dyn FnMut(*mut c_void)) {
        see(self.class.as_ptr().cast());
        see(self.dict.as_ptr().cast());
        for list in [&self.to_save, &self.dirty, &self.constant] {
            list.borrow().iter().for_each(|l| see(l.as_ptr().cast()));
        }
    }

    fn clear(&self) {
        self.dict.bind(python()).clear();
        for list in [&self.to_save, &self.dirty, &self.constant] {
            drop(list.take());
        }
    }
}

impl Call {
    /// The class of context objects.
    pub fn context_class<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.class.bind(py).getattr(intern!(py, "_backward_cls"))
    }

    /// Calls `backward` (or `vjp`), undefined gradients being zeros unless told otherwise.
    fn backward<'py>(
        &self,
        py: Python<'py>,
        node: &tape::Node,
        grads: &[Option<Tensor>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut args: SmallVec<[Bound<'py, PyAny>; 4]> = SmallVec::new();
        args.push(node::object_of(py, Target::Op(node.clone()))?.into_bound(py));
        for (k, meta) in self.outputs.borrow().iter().enumerate() {
            let g = match (grads.get(k).cloned().flatten(), meta) {
                (None, Some(m)) if self.materialize.get() => {
                    Some(py_result(Tensor::zeros(&m.shape, m.dtype))?)
                }
                (g, _) => g,
            };
            args.push(match g {
                Some(g) => Ret(g).into_pyobject(py)?,
                None => py.None().into_bound(py),
            });
        }
        let class = self.class.bind(py);
        let mut f = class.getattr(intern!(py, "backward"))?;
        let vjp = class.getattr(intern!(py, "vjp"))?;
        let base = base(py)?;
        if !vjp.is(base.1.bind(py)) {
            if !f.is(base.0.bind(py)) {
                return Err(PyRuntimeError::new_err(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of them.",
                ));
            }
            f = vjp;
        }
        call(&f, &args)
    }

    /// What `backward` returned, checked: one gradient per tensor argument.
    fn gradients(
        &self,
        py: Python<'_>,
        node: &tape::Node,
        out: &Bound<'_, PyAny>,
    ) -> Result<Vec<Option<Tensor>>> {
        let single;
        let out = match out.cast::<PyTuple>() {
            Ok(t) => t,
            Err(_) => {
                single = PyTuple::new(py, [out]).map_err(from_python)?;
                &single
            }
        };
        let expected = self.inputs.len();
        let surplus = out.iter().skip(expected).all(|o| o.is_none());
        if out.len() < expected || !surplus {
            bail!(
                Runtime,
                "function {} returned an incorrect number of gradients (expected {expected}, got {})",
                self.name(),
                out.len()
            );
        }
        let mut grads = Vec::with_capacity(expected);
        for (i, (meta, g)) in self.inputs.iter().zip(out.iter()).enumerate() {
            let Some(meta) = meta else {
                if !g.is_none() {
                    bail!(
                        Runtime,
                        "function {} returned a gradient different than None at position {}, but the corresponding forward input was not a Variable",
                        self.name(),
                        i + 1
                    );
                }
                continue;
            };
            grads.push(match tensor_ref(g.as_ptr()) {
                Some(t) if matches!(node.edges().get(grads.len()), Some(tape::Edge::None)) => {
                    Some(t.clone())
                }
                Some(t) => Some(custom::fit(|| node.name(), grads.len(), t.clone(), meta)?),
                None if g.is_none() => None,
                None => {
                    let name = g.get_type().name().map_err(from_python)?.to_string();
                    bail!(Runtime, "expected Variable or None (got {name})")
                }
            });
        }
        Ok(grads)
    }
}

/// The base of `Function`: what makes a call.
#[pyclass(subclass, module = "torch._C")]
pub struct _FunctionBase;

#[pymethods]
impl _FunctionBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> _FunctionBase {
        _FunctionBase
    }

    /// Calls `forward`, and records the call if an argument requires a gradient.
    #[classmethod]
    #[pyo3(signature = (*args, **kwargs))]
    fn apply<'py>(
        class: &Bound<'py, PyType>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let setup = class.getattr(intern!(py, "setup_context"))?;
        let split = !setup.is(base(py)?.2.bind(py));
        let bound;
        let mut args = args;
        let mut kwargs = kwargs.filter(|k| !k.is_empty());
        let forward = class.getattr(intern!(py, "forward"))?;
        if split {
            let module = py.import(intern!(py, "wengert.autograd.function"))?;
            bound = module.getattr(intern!(py, "_bind"))?.call1((&forward, args, kwargs))?;
            args = bound.cast::<PyTuple>()?;
            kwargs = None;
        }
        if batch::active() || RUNNING.load(Ordering::Relaxed) != 0 {
            // A function that stands for another inside its wrappers.
            let inside = class.hasattr(intern!(py, "_inside"))?;
            if !split && !inside {
                return Err(PyRuntimeError::new_err(NO_SETUP));
            }
            let batched =
                |a: Borrowed<'_, '_, PyAny>| tensor_ref(a.as_ptr()).is_some_and(batch::is_batched);
            if batch::active() && !inside {
                let module = py.import(intern!(py, "wengert.func._custom"))?;
                if args.iter_borrowed().any(batched) {
                    return module.getattr(intern!(py, "apply"))?.call1((class, args));
                }
                module.getattr(intern!(py, "check"))?.call1((class,))?;
            }
        }
        run(class, &forward, split.then_some(&setup), args, kwargs)
    }
}

/// Transforms (`torch.func`) other than `vmap` whose functions are running.
static RUNNING: AtomicIsize = AtomicIsize::new(0);

/// Counts the transforms whose functions are running.
#[pyfunction]
pub fn _transforms(change: isize) {
    RUNNING.fetch_add(change, Ordering::Relaxed);
}

const NO_SETUP: &str = "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must override the setup_context staticmethod. For more details, please see https://pytorch.org/docs/main/notes/extending.func.html";

fn run<'py>(
    class: &Bound<'py, PyType>,
    forward: &Bound<'py, PyAny>,
    setup: Option<&Bound<'py, PyAny>>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let tensors: SmallVec<[Option<&Tensor>; 4]> =
        args.iter_borrowed().map(|a| tensor_ref(a.as_ptr())).collect();
    let needs: SmallVec<[bool; 4]> =
        tensors.iter().map(|t| t.is_some_and(Tensor::requires_grad)).collect();
    let recorded = mode::grad_enabled() && needs.contains(&true);
    let made = Rc::new(Call {
        class: class.clone().unbind().into(),
        local: is_local(class, forward),
        dict: PyDict::new(py).unbind().into(),
        needs,
        inputs: tensors.iter().map(|t| t.map(Meta::from)).collect(),
        outputs: RefCell::default(),
        materialize: Cell::new(true),
        to_save: RefCell::default(),
        for_forward: RefCell::default(),
        dirty: RefCell::default(),
        constant: RefCell::default(),
    });
    let node = py_result(custom::node(tensors.iter().copied().flatten(), made.clone()))?;
    let cx = node::object_of(py, Target::Op(node.clone()))?.into_bound(py);
    let out = {
        let _off = Guard::new(false);
        let _values = forward::unseen();
        match setup {
            None => {
                let mut all: SmallVec<[Bound<'py, PyAny>; 6]> = SmallVec::new();
                all.push(cx);
                all.extend(args.iter());
                match kwargs {
                    None => call(forward, &all)?,
                    Some(_) => forward.call(PyTuple::new(py, all)?, kwargs)?,
                }
            }
            Some(setup) => {
                let out = forward.call1(args)?;
                call(setup, &[cx, args.clone().into_any(), out.clone()])?;
                out
            }
        }
    };
    made.finish(py, &node, args, out, recorded)
}

impl Call {
    /// Attaches the outputs and keeps what is saved.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        node: &tape::Node,
        args: &Bound<'py, PyTuple>,
        out: Bound<'py, PyAny>,
        recorded: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let node_if = recorded.then_some(node);
        let result = if let Ok(tuple) = out.cast::<PyTuple>() {
            let several = tuple.len() > 1;
            let multiple = several && {
                let tensors = tuple.iter_borrowed().filter(|o| self.differentiable(py, o));
                tensors.count() > 1
            };
            let n = (several, multiple);
            let mut seen: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> = Vec::new();
            let mut results = Vec::with_capacity(tuple.len());
            for (k, o) in tuple.iter().enumerate() {
                let known = seen.iter().find(|s| s.0.is(&o)).map(|s| s.1.clone());
                let r = self.output(py, node_if, args, known.unwrap_or(o.clone()), k, n)?;
                seen.push((o, r.clone()));
                results.push(r);
            }
            self.check_dirty(py, tuple.as_slice())?;
            PyTuple::new(py, results)?.into_any()
        } else {
            let r = self.output(py, node_if, args, out.clone(), 0, (false, false))?;
            self.check_dirty(py, std::slice::from_ref(&out))?;
            r
        };
        if forward::active() {
            self.push_forward(py, node, args, &out, &result)?;
        }
        self.for_forward.take();
        let to_save = self.to_save.take();
        if recorded {
            node.with_info(|i| {
                let none = || Meta { shape: SmallVec::new(), dtype: wengert::DType::F32 };
                let known = self.outputs.borrow();
                i.outputs = known.iter().map(|m| m.clone().unwrap_or_else(none)).collect();
            });
        }
        if recorded && let Some(list) = to_save {
            Call::save(node, list.bind(py))?;
            if forward::active() {
                jvp::mirror(&result);
            }
        }
        Ok(result)
    }

    fn differentiable(&self, py: Python<'_>, o: &Bound<'_, PyAny>) -> bool {
        let float = tensor_ref(o.as_ptr()).is_some_and(|t| t.dtype().is_differentiable());
        float && !holds(py, &self.constant, o)
    }

    fn save(node: &tape::Node, list: &Bound<'_, PyAny>) -> PyResult<()> {
        let list = list.cast::<PyTuple>()?;
        let mut tensors: SmallVec<[Option<&Tensor>; 4]> = SmallVec::new();
        for (i, o) in list.iter_borrowed().enumerate() {
            let t = tensor_ref(o.as_ptr());
            if t.is_none() && !o.is_none() {
                return Err(PyTypeError::new_err(format!(
                    "save_for_backward can only save variables, but argument {i} is of type {}",
                    o.get_type().name()?
                )));
            }
            tensors.push(t);
        }
        py_result(custom::save(node, tensors.into_iter()))
    }

    /// One output as the caller gets it.
    fn output<'py>(
        &self,
        py: Python<'py>,
        node: Option<&tape::Node>,
        args: &Bound<'py, PyTuple>,
        o: Bound<'py, PyAny>,
        number: usize,
        (several, multiple): (bool, bool),
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(t) = tensor_ref(o.as_ptr()) else {
            self.outputs.borrow_mut().push(None);
            return Ok(o);
        };
        self.outputs.borrow_mut().push(Some(Meta::from(t)));
        let facts = Output {
            number,
            input: args.iter_borrowed().any(|a| a.as_ptr() == o.as_ptr()),
            dirty: holds(py, &self.dirty, &o),
            differentiable: self.differentiable(py, &o),
            several,
            multiple,
        };
        if facts.dirty && !facts.input {
            let warnings = py.import("warnings")?;
            warnings.call_method1("warn", ("ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated should be passed to ctx.mark_dirty().",))?;
        }
        let new = py_result(custom::attach(node, t, facts))?;
        let result = if new.same(t) { o } else { Ret(new).into_pyobject(py)? };
        if self.local || !self.dict.bind(py).is_empty() {
            // What the class or the context holds may hold this very output.
            // SAFETY: a live tensor object.
            unsafe { object::track_with_dict(result.as_ptr()) }.map_err(|_| PyErr::fetch(py))?;
        }
        Ok(result)
    }

    fn check_dirty(&self, py: Python<'_>, outputs: &[Bound<'_, PyAny>]) -> PyResult<()> {
        let Some(list) = self.dirty.take() else { return Ok(()) };
        let Ok(list) = list.bind(py).cast::<PyTuple>().cloned() else { return Ok(()) };
        for d in list.iter() {
            if tensor_ref(d.as_ptr()).is_none() {
                return Err(PyRuntimeError::new_err(format!(
                    "mark_dirty can only accept variables, but argument 0 is of type {}",
                    d.get_type().name()?
                )));
            }
            if !outputs.iter().any(|o| o.is(&d)) {
                return Err(PyRuntimeError::new_err(
                    "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified inplace must all be outputs of the Function.",
                ));
            }
        }
        Ok(())
    }
}

/// The context of a call, which is its node.
#[pyclass(frozen, subclass, extends = Node, module = "torch.autograd.function")]
pub struct FunctionCtx;

fn of_call<R>(
    slf: &Bound<'_, FunctionCtx>,
    f: impl FnOnce(&tape::Node, &Call) -> R,
) -> PyResult<R> {
    let Target::Op(node) = slf.as_super().get().target() else {
        return Err(PyRuntimeError::new_err("not a context of a custom function"));
    };
    with_call(node, |c| f(node, c))
        .ok_or_else(|| PyRuntimeError::new_err("not a context of a custom function"))
}

#[pymethods]
impl FunctionCtx {
    #[new]
    fn new() -> PyResult<PyClassInitializer<FunctionCtx>> {
        Ok(PyClassInitializer::from(Node::pending()?).add_subclass(FunctionCtx))
    }

    /// Keeps tensors (or None) for `backward`, where `saved_tensors` gives them.
    #[pyo3(signature = (*tensors))]
    fn save_for_backward(slf: &Bound<'_, Self>, tensors: Py<PyTuple>) -> PyResult<()> {
        of_call(slf, |_, c| drop(c.to_save.replace(Some(tensors.into_any().into()))))
    }

    /// Keeps tensors (or None) for `jvp`, where `saved_tensors` gives them.
    #[pyo3(signature = (*tensors))]
    fn save_for_forward(slf: &Bound<'_, Self>, tensors: Py<PyTuple>) -> PyResult<()> {
        for o in tensors.bind(slf.py()).iter_borrowed() {
            if tensor_ref(o.as_ptr()).is_none() && !o.is_none() {
                return Err(PyAssertionError::new_err(
                    "save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes on ctx.",
                ));
            }
        }
        of_call(slf, |_, c| drop(c.for_forward.replace(Some(tensors.into_any().into()))))
    }

    #[getter]
    fn saved_for_forward(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        of_call(slf, |_, c| c.for_forward.borrow().as_ref().map(|l| l.clone_ref(slf.py())))
    }

    /// Says that these inputs were written to.
    #[pyo3(signature = (*args))]
    fn mark_dirty(slf: &Bound<'_, Self>, args: Py<PyTuple>) -> PyResult<()> {
        of_call(slf, |_, c| drop(c.dirty.replace(Some(args.into_any().into()))))
    }

    /// Says that these outputs have no gradient.
    #[pyo3(signature = (*args))]
    fn mark_non_differentiable(slf: &Bound<'_, Self>, args: Py<PyTuple>) -> PyResult<()> {
        for o in args.bind(slf.py()).iter() {
            if tensor_ref(o.as_ptr()).is_none() {
                return Err(PyRuntimeError::new_err(format!(
                    "mark_non_differentiable only accepts variable arguments, but got {}",
                    o.get_type().name()?
                )));
            }
        }
        of_call(slf, |_, c| drop(c.constant.replace(Some(args.into_any().into()))))
    }

    /// Whether undefined gradients come to `backward` as zeros (the default) or as None.
    fn set_materialize_grads(slf: &Bound<'_, Self>, value: bool) -> PyResult<()> {
        of_call(slf, |_, c| c.materialize.set(value))
    }

    #[getter]
    fn materialize_grads(slf: &Bound<'_, Self>) -> PyResult<bool> {
        of_call(slf, |_, c| c.materialize.get())
    }

    #[setter(materialize_grads)]
    fn assign_materialize_grads(slf: &Bound<'_, Self>, value: bool) -> PyResult<()> {
        Self::set_materialize_grads(slf, value)
    }

    /// The tensors given to `save_for_backward`, checked for writes and freeing.
    #[getter]
    fn saved_tensors<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        if let Some(list) = Self::saved_for_forward(slf)? {
            return Ok(list.into_bound(py).cast_into()?);
        }
        let values = of_call(slf, |n, _| {
            n.check_not_released()?;
            (0..n.saved().len()).map(|i| n.saved_at(i)).collect::<Result<Vec<_>>>()
        })?;
        let values = py_result(values)?;
        let tuple = PyTuple::new(py, values.iter().map(|t| t.clone().map(Ret)))?;
        for (t, o) in values.iter().zip(&tuple) {
            // An output leads back here: the context may become a cycle by holding it.
            if t.as_ref().is_some_and(|t| t.own_node().is_some()) {
                // SAFETY: a live tensor object.
                unsafe { object::track_with_dict(o.as_ptr()) }.map_err(|_| PyErr::fetch(py))?;
            }
        }
        Ok(tuple)
    }

    #[getter]
    fn saved_variables<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        Self::saved_tensors(slf)
    }

    /// The saved tensors themselves, for `register_hooks`.
    #[getter]
    fn _raw_saved_tensors<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let list = of_call(slf, |n, _| {
            n.check_not_released()?;
            let all = 0..n.saved().len();
            Ok(all.map(|i| crate::saved::SavedTensor::new(n.clone(), i)).collect::<Vec<_>>())
        })?;
        PyTuple::new(py, py_result(list)?)
    }

    /// Per argument of `forward`, whether its gradient is needed.
    #[getter]
    fn needs_input_grad<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        of_call(slf, |_, c| PyTuple::new(py, c.needs.iter().map(|&b| PyBool::new(py, b))))?
    }

    #[getter]
    fn to_save(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        of_call(slf, |_, c| c.to_save.borrow().as_ref().map(|l| l.clone_ref(slf.py())))
    }

    #[getter]
    fn dirty_tensors(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        of_call(slf, |_, c| c.dirty.borrow().as_ref().map(|l| l.clone_ref(slf.py())))
    }

    #[getter]
    fn non_differentiable(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        of_call(slf, |_, c| c.constant.borrow().as_ref().map(|l| l.clone_ref(slf.py())))
    }

    /// Calls `backward` with these gradients.
    #[pyo3(signature = (*grads))]
    fn apply<'py>(slf: &Bound<'py, Self>, grads: Vec<Option<Arg>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let grads: Vec<Option<Tensor>> = grads.into_iter().map(|g| g.map(|a| a.0)).collect();
        let node = of_call(slf, |n, _| n.clone())?;
        with_call(&node, |c| c.backward(py, &node, &grads))
            .unwrap_or_else(|| Ok(py.None().into_bound(py)))
    }
}
