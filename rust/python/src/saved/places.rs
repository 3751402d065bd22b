//! Under which names the object of a node shows what it saved, and where that is.

use super::{python_value, raw};
use crate::convert::py_result;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use wengert::op::{Block, Op};
use wengert::schema::{Param, Type, parse_default};
use wengert::tape::{Info, Meta, Node};
use wengert::{DType, Result, Scalar, Tensor, Value};

/// A saved value behind a name.
pub enum Place {
    /// An input, by its place among those that may be saved.
    Input(usize),
    /// The same; a number there is shown as a tensor.
    Operand(usize),
    Output(usize),
    /// An input of a pointwise operation that is a number.
    Number(usize),
    /// The indices in this argument, and how many inputs come before them.
    Indices(usize, usize),
    /// An argument that is no tensor, by its place in the signature.
    Argument(usize),
    /// Of the shape of an input, or from 8 on of an output.
    Shape(usize, Of),
    Constant(Value),
}

/// What of a shape.
#[derive(Clone, Copy)]
pub enum Of {
    Sizes,
    Count,
    Dimensions,
    Size(isize),
}

/// The names of what nodes of this kind save.
pub fn places(n: &Node) -> Vec<(String, Place)> {
    if n.info().is_some_and(|i| i.rule.is_some()) {
        return Vec::new();
    }
    let op = n.op().op();
    let mut out = tensors_and_arguments(op);
    if let Some(shows) = op.shows {
        let is_tensor = |p: &Place| !matches!(p, Place::Argument(_) | Place::Number(_));
        let mut rest: Vec<(String, Place)> = Vec::new();
        for item in shows.split(", ").filter(|s| !s.is_empty()) {
            let (name, what) = item.split_once('=').unwrap_or((item, item));
            rest.push((name.into(), shown(op, &out, what)));
        }
        out.retain(|(_, place)| is_tensor(place));
        out.retain(|(name, _)| rest.iter().all(|r| r.0 != *name));
        out.extend(rest);
    }
    let outputs = op.schema.outputs.max(1);
    let reads = op.formula.reads.iter().fold(0, |m, r| m | r);
    for k in (0..outputs.min(8)).filter(|k| reads >> (8 + k) & 1 != 0) {
        let name = if outputs == 1 { "result".into() } else { format!("result{k}") };
        out.push((op.schema.fields.get(k).cloned().unwrap_or(name), Place::Output(k)));
    }
    out
}

fn tensors_and_arguments(op: &Op) -> Vec<(String, Place)> {
    let reads = op.formula.reads.iter().fold(0, |m, r| m | r);
    let pointwise = matches!(op.block, Block::Pointwise(_));
    let mut out = Vec::new();
    let mut input = 0;
    for (i, p) in op.schema.params.iter().enumerate() {
        let name = native(&p.name).to_string();
        if pointwise || is_tensor(p) {
            if reads >> input & 1 != 0 && input < 8 {
                out.push((
                    name,
                    match p.ty {
                        Type::Operand => Place::Operand(input),
                        Type::Tensor | Type::Tensors => Place::Input(input),
                        _ => Place::Number(input),
                    },
                ));
            }
            input += 1;
        } else if p.ty == Type::Indices {
            let is_input = |p: &&Param| p.ty == Type::Tensor;
            let first = op.schema.params.iter().filter(is_input).count();
            out.push((name, Place::Indices(i, first)));
        } else {
            out.push((name, Place::Argument(i)));
        }
    }
    out
}

/// The name that a parameter of `torch.nn.functional` has inside PyTorch.
fn native(name: &str) -> &str {
    if name == "input" { "self" } else { name }
}

fn is_tensor(p: &Param) -> bool {
    matches!(p.ty, Type::Tensor | Type::Operand | Type::Tensors)
}

/// What a name or number in the brackets of a block's `node` means.
fn shown(op: &Op, known: &[(String, Place)], what: &str) -> Place {
    if let Some((_, Place::Argument(i))) = known.iter().find(|k| k.0 == what) {
        return Place::Argument(*i);
    }
    if let Some((_, Place::Number(i))) = known.iter().find(|k| k.0 == what) {
        return Place::Number(*i);
    }
    for (mark, of) in
        [("_sym_sizes", Of::Sizes), ("_sym_numel", Of::Count), ("_dim", Of::Dimensions)]
    {
        if let Some(i) = what.strip_suffix(mark).and_then(|name| slot(op, name)) {
            return Place::Shape(i, of);
        }
    }
    if let Some((name, at)) = what.split_once("_sym_argsize_") {
        let at = at.strip_prefix("minus_").map_or(at.parse(), |n| n.parse().map(|n: isize| -n));
        return Place::Shape(slot(op, name).unwrap_or(0), Of::Size(at.unwrap_or(0)));
    }
    let ty = match what.as_bytes()[0] {
        b'\'' => Type::Str,
        b'[' => Type::Ints(false),
        _ => Type::Number,
    };
    Place::Constant(parse_default(what, ty).value())
}

/// Which input (tensors only) has this name, or 8 and which output.
fn slot(op: &Op, name: &str) -> Option<usize> {
    let mut inputs = op.schema.params.iter().filter(|p| is_tensor(p));
    let output = || op.schema.fields.iter().position(|f| f == name).map(|k| 8 + k);
    inputs.position(|p| native(&p.name) == name).or_else(output)
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
    if let Some(what) = name.strip_prefix("_raw_saved_") {
        return raw(py, n, what);
    }
    let Some(what) = name.strip_prefix("_saved_") else { return Ok(None) };
    let Some((_, place)) = places(n).into_iter().find(|p| p.0 == what) else { return Ok(None) };
    let argument = matches!(place, Place::Argument(_));
    match py_result(value(n, place))? {
        // PyTorch reads whole numbers as ones without a sign.
        Value::Int(i) if argument => (i as u64).into_bound_py_any(py).map(Some),
        Value::Ints(list) if argument => {
            Ok(Some(PyTuple::new(py, list.into_iter().map(|i| i as u64))?.into_any()))
        }
        value => python_value(py, value).map(Some),
    }
}

fn value(n: &Node, place: Place) -> Result<Value> {
    let info = n.info();
    Ok(match place {
        Place::Input(i) | Place::Number(i) => n.saved_input(i)?,
        Place::Operand(i) => match n.saved_input(i)? {
            Value::Number(number) => wrapped(number)?.into(),
            tensor => tensor,
        },
        Place::Indices(i, first) => n.saved_indices(i, first)?,
        Place::Output(k) => n.saved_output(k)?,
        Place::Argument(i) => info.and_then(|f| f.args.get(i).cloned()).unwrap_or(Value::None),
        Place::Shape(i, of) => {
            let known = |f: &'_ Info| {
                if i < 8 { f.inputs.get(i).cloned() } else { f.outputs.get(i - 8).cloned() }
            };
            info.and_then(known).map_or(Value::None, |m| part(&m, of))
        }
        Place::Constant(value) => value,
    })
}

/// A number as the tensor that an operand becomes.
fn wrapped(number: Scalar) -> Result<Tensor> {
    let dtype = match number {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => DType::I64,
        Scalar::Float(_) => DType::F64,
    };
    Tensor::full(&[], number, dtype)
}

fn part(meta: &Meta, of: Of) -> Value {
    let shape = &meta.shape;
    match of {
        Of::Sizes => Value::Ints(shape.iter().map(|&n| n as i64).collect()),
        Of::Count => Value::Int(shape.iter().product::<usize>() as i64),
        Of::Dimensions => Value::Int(shape.len() as i64),
        Of::Size(at) => {
            let at = if at < 0 { shape.len() as isize + at } else { at };
            Value::Int(shape.get(at as usize).map_or(0, |&n| n as i64))
        }
    }
}
