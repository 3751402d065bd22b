//! Objects that fit, turned into values.

use super::obj::{Items, NotIndex, Number, Obj};
use super::{Frame, Values};
use crate::errors::{Raised, set_error};
use pyo3::ffi;
use smallvec::{SmallVec, smallvec};
use std::ffi::CStr;
use wengert::error::Kind;
use wengert::schema::{Param, Schema, Type};
use wengert::{Error, Scalar, Tensor, Value};

/// Sets a Python exception.
#[cold]
pub(super) fn raise(kind: Kind, message: String) -> Raised {
    set_error(&Error::new(kind, message));
    Raised
}

/// Appends the value of parameter `i`.
#[inline]
pub(super) fn push(
    param: &Param,
    i: usize,
    given: Obj,
    schema: &Schema,
    frame: &Frame,
    values: &mut Values,
) -> Result<(), Raised> {
    if given.is_none() {
        values.push(Value::None);
        return Ok(());
    }
    // Appended in each arm: moving a value through an Option costs as much as making it.
    match param.ty {
        Type::Operand if given.is_plain_number() => values.push(Value::Number(number(given)?)),
        Type::Tensor | Type::Operand => match given.tensor() {
            Some(tensor) => values.push(Value::from(tensor)),
            None if param.ty == Type::Operand => values.push(Value::Number(number(given)?)),
            None => return Err(unfit(param, frame)),
        },
        Type::Tensors => {
            let items = given.items().ok_or_else(|| unfit(param, frame))?;
            let this = frame.this_index(schema);
            let argument = i - this.is_some_and(|this| this < i) as usize;
            values.push(Value::Tensors(tensors(items, argument)?));
        }
        Type::Indices => {
            let items = given.items().ok_or_else(|| unfit(param, frame))?;
            let list = tensors(items, i - 1)?;
            values.push(Value::Indices(list.into_iter().map(Some).collect()));
        }
        Type::Number => values.push(Value::Number(number(given)?)),
        Type::Int => values.push(Value::Int(int(given)?)),
        Type::Float => values.push(Value::Number(Scalar::Float(float(given)?))),
        Type::Bool => values.push(Value::Bool(given.truth()?)),
        Type::Ints(_) => match given.items() {
            Some(items) => push_ints(items, param, frame, values)?,
            None => values.push(Value::Ints(smallvec![int(given)?])),
        },
        Type::DType => match given.dtype().ok_or_else(|| unfit(param, frame))? {
            d if d.is_complex() => return Err(no_complex()),
            d => values.push(Value::DType(d)),
        },
        Type::Str => {
            values.push(Value::Str(given.text().ok_or_else(|| unfit(param, frame))?.into()));
        }
    }
    Ok(())
}

/// Not an argument of this type after all: a method called on something else, a str that is not
/// Unicode.
#[cold]
fn unfit(param: &Param, frame: &Frame) -> Raised {
    let (name, ty) = (frame.shown_name(param), param.type_name());
    raise(Kind::Type, format!("{}(): argument '{name}' must be {ty}", frame.name))
}

#[inline]
fn number(given: Obj) -> Result<Scalar, Raised> {
    match given.number() {
        Some(Number::Float) => given.double().map(Scalar::Float),
        Some(Number::Bool) => given.truth().map(Scalar::Bool),
        Some(Number::Int) => match given.index() {
            Ok(v) => Ok(Scalar::Int(v)),
            Err(NotIndex::TooSmall) => Err(overflow(c"can't convert negative int to unsigned")),
            Err(NotIndex::Raised) => Err(Raised),
            Err(NotIndex::TooLarge) => Err(overflow(c"int too big to convert")),
            Err(NotIndex::Type) => Err(not_a_number()),
        },
        Some(Number::Complex) => Err(no_complex()),
        None => item(given),
    }
}

/// The number in a 0-d tensor.
fn item(given: Obj) -> Result<Scalar, Raised> {
    let tensor = given.tensor().ok_or_else(not_a_number)?;
    if tensor.dtype().is_complex() {
        return Err(no_complex());
    }
    tensor.item().map_err(|e| {
        set_error(&e);
        Raised
    })
}

/// For an object whose answer changes between the test and the conversion.
#[cold]
fn not_a_number() -> Raised {
    raise(Kind::Type, "expected a number".into())
}

#[cold]
fn no_complex() -> Raised {
    raise(Kind::NotImplemented, "complex numbers are not supported".into())
}

#[cold]
fn overflow(message: &CStr) -> Raised {
    // SAFETY: the interpreter's lock is held; the text ends in 0.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_OverflowError, message.as_ptr()) };
    Raised
}

/// Unlike [`number`], takes ints beyond 64 bits.
fn float(given: Obj) -> Result<f64, Raised> {
    match given.number() {
        Some(Number::Int | Number::Float) => given.double(),
        _ => number(given).map(Scalar::to_f64),
    }
}

#[inline]
fn int(given: Obj) -> Result<i64, Raised> {
    given.index().map_err(|error| match error {
        NotIndex::Raised => Raised,
        NotIndex::Type => raise(Kind::Type, "expected an int".into()),
        NotIndex::TooLarge | NotIndex::TooSmall => raise(Kind::Value, TOO_LARGE.into()),
    })
}

const TOO_LARGE: &str = "Overflow when unpacking long long";

/// Appends a list of ints.
#[inline]
pub(super) fn push_ints(
    items: Items,
    param: &Param,
    frame: &Frame,
    values: &mut Values,
) -> Result<(), Raised> {
    let mut out: SmallVec<[i64; 4]> = SmallVec::new();
    // Asks for each item anew: an `__index__` may change the list.
    while let Some(item) = items.get(out.len()) {
        let item = item.keep();
        match item.0.index() {
            Ok(v) => out.push(v),
            Err(NotIndex::Raised) => return Err(Raised),
            Err(error) => return Err(bad_item(error, item.0, out.len(), param, frame)),
        }
    }
    values.push(Value::Ints(out));
    Ok(())
}

#[cold]
fn bad_item(error: NotIndex, item: Obj, at: usize, param: &Param, frame: &Frame) -> Raised {
    let why = match error {
        NotIndex::Type => format!("type must be tuple of ints,but got {}", item.class_name()),
        _ => TOO_LARGE.into(),
    };
    let message = format!(
        "{}(): argument '{}' failed to unpack the object at pos {} with error \"{why}\"",
        frame.name,
        frame.shown_name(param),
        at + 1,
    );
    raise(Kind::Type, message)
}

fn tensors(items: Items, argument: usize) -> Result<Vec<Tensor>, Raised> {
    let mut out = Vec::with_capacity(items.len());
    while let Some(item) = items.get(out.len()) {
        let Some(tensor) = item.tensor() else {
            let (at, class) = (out.len(), item.class_name());
            let message =
                format!("expected Tensor as element {at} in argument {argument}, but got {class}");
            return Err(raise(Kind::Type, message));
        };
        out.push(tensor.clone());
    }
    Ok(out)
}
