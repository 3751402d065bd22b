//! What a node saved, as attributes of its object: `_saved_self`, `_saved_result`, `_saved_dim`.

use crate::convert::{Ret, py_result};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use wengert::op::Block;
use wengert::schema::{Param, Type};
use wengert::tape::Node;
use wengert::{DType, Scalar, Tensor, Value};

/// A saved value behind a name.
enum Place {
    /// An input, by its place among those that may be saved.
    Input(usize),
    Output(usize),
    /// The indices in this argument, and how many inputs come before them.
    Indices(usize, usize),
    /// An argument that is no tensor, by its place in the signature.
    Argument(usize),
}

/// The names of what nodes of this kind save.
fn places(n: &Node) -> Vec<(String, Place)> {
    if n.info().is_some_and(|i| i.rule.is_some()) {
        return Vec::new();
    }
    let op = n.op().op();
    let reads = op.formula.reads.iter().fold(0, |m, r| m | r);
    let pointwise = matches!(op.block, Block::Pointwise(_));
    let mut out = Vec::new();
    let mut input = 0;
    for (i, p) in op.schema.params.iter().enumerate() {
        let tensor = matches!(p.ty, Type::Tensor | Type::Operand | Type::Tensors);
        if pointwise || tensor {
            if reads >> input & 1 != 0 && input < 8 {
                out.push((p.name.clone(), Place::Input(input)));
            }
            input += 1;
        } else if p.ty == Type::Indices {
            let is_input = |p: &&Param| p.ty == Type::Tensor;
            let first = op.schema.params.iter().filter(is_input).count();
            out.push((p.name.clone(), Place::Indices(i, first)));
        } else {
            out.push((p.name.clone(), Place::Argument(i)));
        }
    }
    let outputs = op.schema.outputs.max(1);
    for k in (0..outputs.min(8)).filter(|k| reads >> (8 + k) & 1 != 0) {
        let name = if outputs == 1 { "result".into() } else { format!("result{k}") };
        out.push((op.schema.fields.get(k).cloned().unwrap_or(name), Place::Output(k)));
    }
    out
}

/// The attribute names of a node's saved values.
pub fn names(n: &Node) -> Vec<String> {
    let both = |name: &str| [format!("_saved_{name}"), format!("_raw_saved_{name}")];
    places(n).iter().flat_map(|(name, _)| both(name)).collect()
}

/// The value of such an attribute, if `name` is one.
pub fn attribute<'py>(
    py: Python<'py>,
    n: &Node,
    name: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(what) = name.strip_prefix("_saved_") else { return Ok(None) };
    let Some((_, place)) = places(n).into_iter().find(|p| p.0 == what) else { return Ok(None) };
    let value = match place {
        Place::Input(i) => py_result(n.saved_input(i))?,
        Place::Indices(i, first) => py_result(n.saved_indices(i, first))?,
        Place::Output(k) => py_result(n.saved_output(k))?,
        Place::Argument(i) => n.info().and_then(|f| f.args.get(i).cloned()).unwrap_or(Value::None),
    };
    python_value(py, value).map(Some)
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

fn dtype_object(py: Python<'_>, d: DType) -> PyResult<Bound<'_, PyAny>> {
    crate::convert::owned(py, crate::dtypes::raw_object(d))
}
