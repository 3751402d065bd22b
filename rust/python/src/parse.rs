//! One argument parser for all operations: it reads PyTorch's signatures.

use crate::dtypes::dtype_of;
use crate::number::scalar_of;
use crate::object::tensor_ref;
use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::SmallVec;
use wengert::op::Id;
use wengert::schema::{Param, Schema, Type};
use wengert::{DType, Scalar, Value, err};

type Obj = *mut ffi::PyObject;
pub type Values = SmallVec<[Value; 6]>;

pub struct Call<'a> {
    pub name: &'a str,
    pub ops: &'a [Id],
    #[allow(dead_code)]
    pub method: bool,
}

struct Given<'a> {
    positional: &'a [Obj],
    keywords: SmallVec<[(String, Obj); 4]>,
}

pub unsafe fn bind(
    call: &Call,
    self_: Obj,
    args: *const Obj,
    nargs: usize,
    kwnames: Obj,
) -> Result<(Id, Values, Option<Obj>), ()> {
    let mut given = unsafe { collect(args, nargs, kwnames) };
    let out = given.keywords.iter().position(|k| k.0 == "out").map(|i| given.keywords.remove(i).1);
    let out = out.filter(|&o| o != unsafe { ffi::Py_None() });
    let mut last = String::new();
    for &id in call.ops {
        match attempt(&id.op().schema, call.name, self_, &given) {
            Ok(v) => return Ok((id, v, out)),
            Err(text) => last = text,
        }
        if unsafe { !ffi::PyErr_Occurred().is_null() } {
            return Err(());
        }
    }
    if call.ops.len() > 1 {
        last = format!("{}() received an invalid combination of arguments", call.name);
    }
    crate::errors::set_error(&err!(Type, "{last}"));
    Err(())
}

pub unsafe fn bind_schema(
    name: &str,
    schemas: &[&Schema],
    args: *const Obj,
    nargs: usize,
    kwnames: Obj,
) -> Result<(usize, Values), ()> {
    let given = unsafe { collect(args, nargs, kwnames) };
    let mut last = String::new();
    for (i, s) in schemas.iter().enumerate() {
        match attempt(s, name, std::ptr::null_mut(), &given) {
            Ok(v) => return Ok((i, v)),
            Err(text) => last = text,
        }
        if unsafe { !ffi::PyErr_Occurred().is_null() } {
            return Err(());
        }
    }
    if schemas.len() > 1 {
        last = format!("{name}() received an invalid combination of arguments");
    }
    crate::errors::set_error(&err!(Type, "{last}"));
    Err(())
}

unsafe fn collect<'a>(args: *const Obj, nargs: usize, kwnames: Obj) -> Given<'a> {
    unsafe {
        let positional = if nargs == 0 { &[][..] } else { std::slice::from_raw_parts(args, nargs) };
        let mut keywords = SmallVec::new();
        if !kwnames.is_null() {
            let py = Python::assume_attached();
            for i in 0..ffi::PyTuple_GET_SIZE(kwnames) {
                let name = Bound::from_borrowed_ptr(py, ffi::PyTuple_GET_ITEM(kwnames, i));
                keywords.push((name.to_string(), *args.add(nargs + i as usize)));
            }
        }
        Given { positional, keywords }
    }
}

fn alias(name: &str) -> &str {
    match name {
        "axis" => "dim",
        "keepdims" => "keepdim",
        "input" | "x" | "x1" => "self",
        "x2" => "other",
        n => n,
    }
}

fn attempt(s: &Schema, name: &str, self_: Obj, given: &Given) -> Result<Values, String> {
    let mut values = Values::new();
    let mut params = s.params.iter().peekable();
    if !self_.is_null() {
        params.next();
        values.push(Value::Tensor(tensor_ref(self_).unwrap().clone()));
    }
    let mut at = 0;
    let mut used = 0;
    let first_name = |p: &Param| if p.name == "self" { "input".to_string() } else { p.name.clone() };
    for (i, p) in params.enumerate() {
        let var = i == 0 && matches!(p.ty, Type::Ints(_)) && at < given.positional.len()
            && is_int(given.positional[at]) && (given.positional.len() > 1 || matches!(p.ty, Type::Ints(false)));
        if var && given.positional[at..].iter().all(|&o| is_int(o)) {
            let ints: SmallVec<[i64; 4]> = given.positional[at..].iter().map(|&o| int(o)).collect();
            at = given.positional.len();
            values.push(Value::Ints(ints));
            continue;
        }
        let o = if at < given.positional.len() && !p.keyword_only {
            at += 1;
            Some(given.positional[at - 1])
        } else {
            let k = given.keywords.iter().find(|k| k.0 == p.name || alias(&k.0) == p.name);
            used += k.is_some() as usize;
            k.map(|k| k.1)
        };
        match o {
            Some(o) => match convert(p, o) {
                Some(v) => values.push(v),
                None => {
                    let kind = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(o)).tp_name) };
                    let kind = kind.to_string_lossy();
                    let kind = kind.rsplit('.').next().unwrap_or("").to_string();
                    return Err(format!(
                        "{name}(): argument '{}' (position {}) must be {}, not {kind}",
                        first_name(p), i + 1, p.type_name()));
                }
            },
            None => match &p.default {
                Some(d) => values.push(d.value()),
                None => return Err(format!("{name}() missing 1 required positional arguments: \"{}\"", first_name(p))),
            },
        }
    }
    if at < given.positional.len() {
        let n = s.params.iter().filter(|p| !p.keyword_only).count() - !self_.is_null() as usize;
        return Err(format!("{name}() takes {n} positional argument{} but {} {} given",
            if n == 1 { "" } else { "s" }, given.positional.len(), if given.positional.len() == 1 { "was" } else { "were" }));
    }
    if used < given.keywords.len() {
        let known = |k: &str| s.params.iter().any(|p| p.name == k || p.name == alias(k));
        let k = given.keywords.iter().find(|k| !known(&k.0)).unwrap_or(&given.keywords[0]);
        return Err(format!("{name}() got an unexpected keyword argument '{}'", k.0));
    }
    Ok(values)
}

fn is_int(o: Obj) -> bool {
    unsafe {
        if ffi::PyBool_Check(o) != 0 { return false; }
        if let Some(t) = tensor_ref(o) {
            return t.ndim() == 0 && !t.dtype().is_differentiable() && t.dtype() != DType::Bool;
        }
        ffi::PyIndex_Check(o) != 0
    }
}

fn int(o: Obj) -> i64 {
    unsafe {
        let i = ffi::PyNumber_Index(o);
        if i.is_null() { return 0; }
        let v = ffi::PyLong_AsLongLong(i);
        ffi::Py_DECREF(i);
        v
    }
}

fn sequence(o: Obj) -> Option<Vec<Obj>> {
    unsafe {
        if ffi::PyTuple_Check(o) != 0 {
            return Some((0..ffi::PyTuple_GET_SIZE(o)).map(|i| ffi::PyTuple_GET_ITEM(o, i)).collect());
        }
        if ffi::PyList_Check(o) != 0 {
            return Some((0..ffi::PyList_GET_SIZE(o)).map(|i| ffi::PyList_GET_ITEM(o, i)).collect());
        }
        None
    }
}

fn convert(p: &Param, o: Obj) -> Option<Value> {
    if o == unsafe { ffi::Py_None() } {
        return if p.optional || matches!(p.default, Some(wengert::schema::Literal::None)) { Some(Value::None) } else { None };
    }
    Some(match p.ty {
        Type::Tensor => Value::Tensor(tensor_ref(o)?.clone()),
        Type::Operand => match tensor_ref(o) {
            Some(t) => Value::Tensor(t.clone()),
            None => Value::Number(scalar_of(o)?.ok()?),
        },
        Type::Tensors => {
            let items = sequence(o)?;
            Value::Tensors(items.into_iter().map(|i| tensor_ref(i).cloned()).collect::<Option<_>>()?)
        }
        Type::Number | Type::Float => match tensor_ref(o) {
            Some(t) if t.ndim() == 0 && !t.requires_grad() => Value::Number(t.item().ok()?),
            Some(_) => return None,
            None => match (scalar_of(o)?.ok()?, p.ty) {
                (Scalar::Bool(_), Type::Float) => return None,
                (s, _) => Value::Number(s),
            },
        },
        Type::Int => if is_int(o) { Value::Int(int(o)) } else { return None },
        Type::Bool => if unsafe { ffi::PyBool_Check(o) } != 0 { Value::Bool(o == unsafe { ffi::Py_True() }) } else { return None },
        Type::Ints(one) => {
            if one && is_int(o) {
                return Some(Value::Ints(SmallVec::from_slice(&[int(o)])));
            }
            let items = sequence(o)?;
            if !items.iter().all(|&i| is_int(i)) { return None; }
            Value::Ints(items.into_iter().map(int).collect())
        }
        Type::DType => Value::DType(dtype_of(o)?),
        Type::Str => {
            let py = unsafe { Python::assume_attached() };
            let b = unsafe { Bound::from_borrowed_ptr(py, o) };
            Value::Str(b.cast::<pyo3::types::PyString>().ok()?.to_string())
        }
    })
}
