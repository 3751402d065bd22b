//! Python's operators: the hottest way into the library.

use crate::errors::{Raised, slot, warn};
use crate::object::{is_exact, known, tensor_ref, wrap};
use pyo3::ffi;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use wengert::op::{Id, by_name, call1};
use wengert::pointwise::{self, Operand};
use wengert::{DType, Scalar, Value};

type Obj = *mut ffi::PyObject;

fn not_implemented() -> Obj {
    // SAFETY: a singleton; a new reference is returned.
    unsafe {
        let o = ffi::Py_NotImplemented();
        ffi::Py_INCREF(o);
        o
    }
}

/// A Python number. Numbers of other libraries count if they are subclasses of Python's.
#[inline]
pub fn scalar_of(o: Obj) -> Option<Result<Scalar, Raised>> {
    // SAFETY: a live object under the GIL.
    unsafe {
        let t = ffi::Py_TYPE(o);
        if t == &raw mut ffi::PyFloat_Type {
            return Some(Ok(Scalar::Float(ffi::PyFloat_AS_DOUBLE(o))));
        }
        if t == &raw mut ffi::PyBool_Type {
            return Some(Ok(Scalar::Bool(o == ffi::Py_True())));
        }
        if ffi::PyLong_Check(o) != 0 {
            let v = ffi::PyLong_AsLongLong(o);
            if v == -1 && !ffi::PyErr_Occurred().is_null() {
                return Some(Err(Raised));
            }
            return Some(Ok(Scalar::Int(v)));
        }
        if ffi::PyFloat_Check(o) != 0 {
            return Some(Ok(Scalar::Float(ffi::PyFloat_AsDouble(o))));
        }
        numpy_scalar(o)
    }
}

/// Scalars of NumPy: they have `__index__` or `__float__`, and no length.
#[cold]
fn numpy_scalar(o: Obj) -> Option<Result<Scalar, Raised>> {
    // SAFETY: a live object under the GIL.
    unsafe {
        let t = ffi::Py_TYPE(o);
        let name = std::ffi::CStr::from_ptr((*t).tp_name).to_str().unwrap_or("");
        if !name.starts_with("numpy.") || name == "numpy.ndarray" {
            return None;
        }
        if name == "numpy.bool" || name == "numpy.bool_" {
            let v = ffi::PyObject_IsTrue(o);
            return Some(if v < 0 { Err(Raised) } else { Ok(Scalar::Bool(v == 1)) });
        }
        if ffi::PyIndex_Check(o) != 0 {
            let i = ffi::PyNumber_Index(o);
            if i.is_null() {
                return Some(Err(Raised));
            }
            let v = ffi::PyLong_AsLongLong(i);
            ffi::Py_DECREF(i);
            let bad = v == -1 && !ffi::PyErr_Occurred().is_null();
            return Some(if bad { Err(Raised) } else { Ok(Scalar::Int(v)) });
        }
        let v = ffi::PyFloat_AsDouble(o);
        let bad = v == -1.0 && !ffi::PyErr_Occurred().is_null();
        Some(if bad { Err(Raised) } else { Ok(Scalar::Float(v)) })
    }
}

/// An operand of an operator, or None if the other side may know better.
#[inline]
fn operand<'a>(o: Obj) -> Result<Option<Operand<'a>>, Raised> {
    if let Some(t) = tensor_ref(o) {
        return Ok(Some(Operand::Tensor(t)));
    }
    Ok(match scalar_of(o) {
        Some(s) => Some(Operand::Number(s?)),
        None => None,
    })
}

/// `a op b`.
pub unsafe extern "C" fn binary<const OP: u16>(a: Obj, b: Obj) -> Obj {
    slot(|| {
        if is_exact(a) && is_exact(b) {
            // SAFETY: both are tensors.
            let (x, y) = unsafe { (known(a), known(b)) };
            return wrap(pointwise::binary(Id(OP), x, y)?);
        }
        let (Some(x), Some(y)) = (operand(a)?, operand(b)?) else { return Ok(not_implemented()) };
        wrap(mixed(Id(OP), x, y)?)
    })
}

/// An operator of which at most one side is a number.
fn mixed(op: Id, x: Operand, y: Operand) -> wengert::Result<wengert::Tensor> {
    let number = matches!(y, Operand::Number(_));
    match (op, x) {
        (Id::ADD | Id::MUL, Operand::Number(_)) => pointwise::call(op, &[y, x]),
        (Id::SUB, Operand::Number(_)) => pointwise::call(Id::RSUB, &[y, x]),
        (Id::DIV, Operand::Number(_)) => {
            let r = pointwise::call(Id::RECIPROCAL, &[y])?;
            pointwise::call(Id::MUL, &[(&r).into(), x])
        }
        (Id::POW, Operand::Number(_)) => pointwise::call(Id::POW_BASE, &[x, y]),
        (Id::REMAINDER, Operand::Number(_)) => pointwise::call(Id::REMAINDER_BASE, &[x, y]),
        (Id::POW, _) if number => pointwise::call(Id::POW_NUMBER, &[x, y]),
        _ => pointwise::call(op, &[x, y]),
    }
}

/// `a op= b`.
pub unsafe extern "C" fn in_place<const OP: u16>(a: Obj, b: Obj) -> Obj {
    slot(|| {
        let (Some(x), Some(y)) = (tensor_ref(a), operand(b)?) else {
            return Ok(not_implemented());
        };
        let number = matches!(y, Operand::Number(_));
        let op = if Id(OP) == Id::POW && number { Id::POW_NUMBER } else { Id(OP) };
        pointwise::in_place(op, &[x.into(), y])?;
        // SAFETY: a live object.
        unsafe { ffi::Py_INCREF(a) };
        Ok(a)
    })
}

pub unsafe extern "C" fn power(a: Obj, b: Obj, _modulus: Obj) -> Obj {
    // SAFETY: called by the interpreter with live objects.
    unsafe { binary::<{ Id::POW.0 }>(a, b) }
}

pub unsafe extern "C" fn in_place_power(a: Obj, b: Obj, _modulus: Obj) -> Obj {
    // SAFETY: called by the interpreter with live objects.
    unsafe { in_place::<{ Id::POW.0 }>(a, b) }
}

pub unsafe extern "C" fn unary<const OP: u16>(a: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `a` is a tensor.
        wrap(pointwise::call(Id(OP), &[unsafe { known(a) }.into()])?)
    })
}

pub unsafe extern "C" fn positive(a: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `a` is a tensor.
        wrap(call1(Id::POSITIVE, &[unsafe { known(a) }.into()])?)
    })
}

/// `~a`.
pub unsafe extern "C" fn invert(a: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `a` is a tensor.
        let t = unsafe { known(a) };
        if t.dtype().is_differentiable() {
            let e = wengert::err!(
                Type,
                "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
            );
            return Err(e.into());
        }
        wrap(pointwise::call(Id::BITWISE_NOT, &[t.into()])?)
    })
}

pub unsafe extern "C" fn matmul(a: Obj, b: Obj) -> Obj {
    slot(|| {
        let (Some(x), Some(y)) = (tensor_ref(a), tensor_ref(b)) else {
            return Ok(not_implemented());
        };
        let Some(&id) = by_name("matmul").first() else { return Ok(not_implemented()) };
        wrap(call1(id, &[Value::from(x), Value::from(y)])?)
    })
}

/// `a < b` and the others.
pub unsafe extern "C" fn compare(a: Obj, b: Obj, what: c_int) -> Obj {
    slot(|| {
        let id = match what {
            ffi::Py_LT => Id::LT,
            ffi::Py_LE => Id::LE,
            ffi::Py_EQ => Id::EQ,
            ffi::Py_NE => Id::NE,
            ffi::Py_GT => Id::GT,
            _ => Id::GE,
        };
        let (Some(x), Some(y)) = (operand(a)?, operand(b)?) else { return Ok(not_implemented()) };
        wrap(pointwise::call(id, &[x, y])?)
    })
}

/// `bool(a)`: the truth of a one-element tensor.
pub unsafe extern "C" fn truth(a: Obj) -> c_int {
    slot(|| {
        // SAFETY: a slot of the type: `a` is a tensor.
        let t = unsafe { known(a) };
        if t.numel() != 1 {
            let text = if t.numel() == 0 {
                "Boolean value of Tensor with no values is ambiguous"
            } else {
                "Boolean value of Tensor with more than one value is ambiguous"
            };
            return Err(wengert::err!(Runtime, "{text}").into());
        }
        wengert::batch::check_not_batched(t)?;
        Ok(t.item()?.is_true() as c_int)
    })
}

/// A Python number for a scalar (a new reference).
pub fn python_number(s: Scalar) -> Obj {
    // SAFETY: called under the GIL.
    unsafe {
        match s {
            Scalar::Bool(b) => ffi::PyBool_FromLong(b as _),
            Scalar::Int(i) => ffi::PyLong_FromLongLong(i),
            Scalar::Float(f) => ffi::PyFloat_FromDouble(f),
        }
    }
}

/// The number in a one-element tensor that is converted to a Python number.
fn only(a: Obj) -> Result<Scalar, Raised> {
    // SAFETY: a slot of the type: `a` is a tensor.
    let t = unsafe { known(a) };
    if t.numel() != 1 {
        let text = "only one element tensors can be converted to Python scalars";
        return Err(wengert::err!(Value, "{text}").into());
    }
    Ok(t.item()?)
}

/// PyTorch warns of this once.
static WARNED: AtomicBool = AtomicBool::new(false);

pub unsafe extern "C" fn to_float(a: Obj) -> Obj {
    slot(|| {
        let number = only(a)?.to_f64();
        // SAFETY: a slot of the type: `a` is a tensor.
        if unsafe { known(a) }.requires_grad() && !WARNED.swap(true, Ordering::Relaxed) {
            warn(c"Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\nConsider using tensor.detach() first.")?;
        }
        Ok(python_number(Scalar::Float(number)))
    })
}

pub unsafe extern "C" fn to_int(a: Obj) -> Obj {
    slot(|| match only(a)? {
        // SAFETY: a new float under the GIL; Python raises for NaN and infinities.
        Scalar::Float(f) => unsafe {
            let o = ffi::PyFloat_FromDouble(f);
            let i = ffi::PyNumber_Long(o);
            ffi::Py_DECREF(o);
            Ok(i)
        },
        // SAFETY: a slot of the type: `a` is a tensor.
        s => Ok(python_value(unsafe { known(a) }, Scalar::Int(s.to_i64()))),
    })
}

/// A Python number for an element of a tensor (a new reference).
pub fn python_value(t: &wengert::Tensor, s: Scalar) -> Obj {
    match s {
        // SAFETY: called under the GIL.
        Scalar::Int(i) if t.dtype() == DType::U64 => unsafe {
            ffi::PyLong_FromUnsignedLongLong(i as u64)
        },
        s => python_number(s),
    }
}

pub unsafe extern "C" fn to_index(a: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `a` is a tensor.
        let t = unsafe { known(a) };
        if t.numel() != 1 || t.dtype().is_differentiable() || t.dtype() == DType::Bool {
            let e = wengert::err!(
                Type,
                "only integer tensors of a single element can be converted to an index"
            );
            return Err(e.into());
        }
        Ok(python_value(t, t.item()?))
    })
}
