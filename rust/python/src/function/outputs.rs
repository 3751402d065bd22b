//! What `forward` of a custom function returned: outputs are attached to the node, and what is saved
//! is kept.

use super::{Call, holds, jvp};
use crate::convert::{Ret, py_result};
use crate::object::{self, tensor_ref};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;
use wengert::custom::{self, Output};
use wengert::tape::{self, Meta};
use wengert::{Tensor, forward};

impl Call {
    /// Attaches the outputs and keeps what is saved.
    pub(super) fn finish<'py>(
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

    pub(super) fn differentiable(&self, py: Python<'_>, o: &Bound<'_, PyAny>) -> bool {
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
