//! The text of tensors, and the options that shape it.

use crate::convert::{Arg, Guarded, py_result};
use pyo3::prelude::*;
use std::sync::Mutex;
use wengert::print::{PrintOptions, Value, tensor_repr, tensor_str};
use wengert::promote::default_dtype;
use wengert::{DType, Scalar, Tensor, batch, forward};

static OPTIONS: Mutex<Option<Guarded<PrintOptions>>> = Mutex::new(None);

fn options() -> PrintOptions {
    let known = OPTIONS.lock().unwrap_or_else(|e| e.into_inner());
    known.as_ref().map(|o| o.0.clone()).unwrap_or_default()
}

fn value(t: &Tensor, index: &[usize]) -> Value {
    let at: isize = index.iter().zip(t.strides()).map(|(&i, &s)| i as isize * s).sum();
    match t.number_at(at) {
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(i) if t.dtype() == DType::U64 => Value::UInt(i as u64),
        Scalar::Int(i) => Value::Int(i),
        Scalar::Float(f) if t.dtype().is_complex() => Value::Complex(f, 0.0),
        Scalar::Float(f) => Value::Float(f),
    }
}

/// The text of a tensor after `prefix` (`"tensor("`), with its history.
#[pyfunction]
#[pyo3(signature = (t, prefix))]
fn _tensor_repr(t: Arg, prefix: &str) -> PyResult<String> {
    let t = t.0;
    if let Some((level, whole)) = batch::outermost(&t) {
        let text = _tensor_repr(Arg(whole), prefix)?.replace('\n', "\n    ");
        return Ok(format!("BatchedTensor(lvl={}, bdim=0, value=\n    {text}\n)", level + 1));
    }
    py_result(t.ptr())?;
    let mut suffixes = Vec::new();
    match t.grad_node() {
        Ok(Some(node)) => {
            let name = node.name();
            let name = name.rsplit("::").next().unwrap_or(&name);
            suffixes.push(format!("grad_fn=<{name}>"));
        }
        Ok(None) if t.requires_grad() => suffixes.push("requires_grad=True".to_string()),
        Ok(None) => (),
        Err(_) => suffixes.push("grad_fn=<Invalid>".to_string()),
    }
    if let Some(tangent) = py_result(forward::carried(&t))? {
        suffixes.push(format!("tangent={}", _tensor_repr(Arg(tangent), "tensor(")?));
    }
    let get = |index: &[usize]| value(&t, index);
    let (shape, dtype) = (t.shape(), t.dtype());
    Ok(tensor_repr(prefix, shape, dtype, default_dtype(), &get, &suffixes, &options()))
}

/// The data part of a tensor's text.
#[pyfunction]
fn _tensor_str(t: Arg, indent: usize) -> PyResult<String> {
    let t = t.0;
    py_result(t.ptr())?;
    let get = |index: &[usize]| value(&t, index);
    Ok(tensor_str(t.shape(), t.dtype(), &get, &options(), indent))
}

/// Sets all print options.
#[pyfunction]
fn _set_print_options(
    precision: usize,
    threshold: f64,
    edgeitems: usize,
    linewidth: usize,
    sci_mode: Option<bool>,
) {
    let new = PrintOptions { precision, threshold, edgeitems, linewidth, sci_mode };
    *OPTIONS.lock().unwrap_or_else(|e| e.into_inner()) = Some(Guarded(new));
}

/// The print options, in the order of `_set_print_options`.
#[pyfunction]
fn _get_print_options() -> (usize, f64, usize, usize, Option<bool>) {
    let o = options();
    (o.precision, o.threshold, o.edgeitems, o.linewidth, o.sci_mode)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_tensor_repr, m)?)?;
    m.add_function(wrap_pyfunction!(_tensor_str, m)?)?;
    m.add_function(wrap_pyfunction!(_set_print_options, m)?)?;
    m.add_function(wrap_pyfunction!(_get_print_options, m)?)
}
