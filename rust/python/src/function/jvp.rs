//! Custom functions in forward mode: `jvp` gives the tangents of the outputs.

use super::{Call, call};
use crate::convert::{Ret, py_result};
use crate::errors::from_python;
use crate::node::{self, Target};
use crate::object::tensor_ref;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;
use wengert::forward::{self, CustomOutput};
use wengert::{Result, Tensor, bail, tape};

/// What was saved of the outputs carries their tangents too.
pub(super) fn mirror(result: &Bound<'_, PyAny>) {
    for o in members(result) {
        if let Some(t) = tensor_ref(o.as_ptr()) {
            forward::mirror(t);
        }
    }
}

/// What a function returned, one by one.
fn members<'py>(result: &Bound<'py, PyAny>) -> Vec<Bound<'py, PyAny>> {
    match result.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect(),
        Err(_) => vec![result.clone()],
    }
}

impl Call {
    /// Gives the results their tangents, if an argument carries one. `returned` are the results as
    /// `forward` returned them.
    pub(super) fn push_forward<'py>(
        &self,
        py: Python<'py>,
        node: &tape::Node,
        args: &Bound<'py, PyTuple>,
        returned: &Bound<'py, PyAny>,
        results: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let inputs: Vec<Option<&Tensor>> =
            args.iter_borrowed().map(|a| tensor_ref(a.as_ptr())).collect();
        let place = |o: &Bound<'py, PyAny>| args.iter_borrowed().position(|a| a.is(o));
        let (returned, results) = (members(returned), members(results));
        let output = |(from, o): (&Bound<'py, PyAny>, &Bound<'py, PyAny>)| {
            let tensor = tensor_ref(o.as_ptr())?.clone();
            let differentiable = self.differentiable(py, from);
            Some(CustomOutput { tensor, differentiable, dirty: place(o) })
        };
        let outputs: Vec<Option<CustomOutput>> =
            returned.iter().zip(&results).map(output).collect();
        let rule = |tangents: &[Option<Tensor>]| self.jvp(py, node, &inputs, tangents);
        py_result(forward::custom(&rule, &inputs, &outputs))
    }

    /// Calls `jvp`: zeros stand for tangents that are not there, unless told otherwise.
    fn jvp(
        &self,
        py: Python<'_>,
        node: &tape::Node,
        inputs: &[Option<&Tensor>],
        tangents: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let mut args: SmallVec<[Bound<'_, PyAny>; 4]> = SmallVec::new();
        let cx = node::object_of(py, Target::Op(node.clone())).map_err(from_python)?;
        args.push(cx.into_bound(py));
        for (x, t) in inputs.iter().zip(tangents) {
            let t = match (x, t) {
                (Some(x), None) if self.materialize.get() && x.dtype().is_differentiable() => {
                    Some(Tensor::zeros(x.shape(), x.dtype())?)
                }
                (_, t) => t.clone(),
            };
            args.push(t.map(Ret).into_pyobject(py).map_err(from_python)?);
        }
        let f = self.class.bind(py).getattr(intern!(py, "jvp")).map_err(from_python)?;
        let out = call(&f, &args).map_err(from_python)?;
        let tensor = |(i, o): (usize, &Bound<'_, PyAny>)| match tensor_ref(o.as_ptr()) {
            Some(t) => Ok(Some(t.clone())),
            None if o.is_none() => Ok(None),
            None => {
                let name = o.get_type().name().map_err(from_python)?.to_string();
                bail!(Runtime, "expected Variable or None (got {name}) for grad output {i}.")
            }
        };
        members(&out).iter().enumerate().map(tensor).collect()
    }
}
