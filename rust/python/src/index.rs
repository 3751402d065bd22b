//! `x[...]` and `x[...] = v`: ints, slices, `None` and `...`, as views.

use crate::errors::{Raised, slot};
use crate::methods::type_name;
use crate::number::scalar_of;
use crate::object::{known, tensor_ref, wrap};
use pyo3::ffi;
use std::ffi::c_int;
use std::ptr::null_mut;
use wengert::op::{Id, call1};
use wengert::pointwise::{self, Operand};
use wengert::{DType, Tensor, err};

type Obj = *mut ffi::PyObject;

/// One item of an index.
enum Item {
    Int(i64),
    Slice { start: Option<i64>, stop: Option<i64>, step: i64 },
    New,
    Ellipsis,
}

fn int_of(o: Obj) -> Result<i64, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        let i = ffi::PyNumber_Index(o);
        if i.is_null() {
            return Err(Raised);
        }
        let v = ffi::PyLong_AsLongLong(i);
        ffi::Py_DECREF(i);
        if v == -1 && !ffi::PyErr_Occurred().is_null() { Err(Raised) } else { Ok(v) }
    }
}

/// An end of a slice: an int too large for 64 bits counts as the largest.
unsafe fn clamped(o: Obj) -> Result<i64, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        let v = ffi::PyNumber_AsSsize_t(o, null_mut());
        if v == -1 && !ffi::PyErr_Occurred().is_null() { Err(Raised) } else { Ok(v as i64) }
    }
}

/// An item of an index, or None if it needs advanced indexing.
fn item(o: Obj) -> Result<Option<Item>, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        if ffi::PyLong_CheckExact(o) != 0 {
            return Ok(Some(Item::Int(int_of(o)?)));
        }
        if ffi::PySlice_Check(o) != 0 {
            let s = o.cast::<ffi::PySliceObject>();
            let part = |p: Obj| -> Result<Option<i64>, Raised> {
                if p == ffi::Py_None() {
                    return Ok(None);
                }
                if ffi::PyIndex_Check(p) == 0 {
                    let text = "slice indices must be integers or None or have an __index__ method";
                    return Err(err!(Type, "{text}").into());
                }
                clamped(p).map(Some)
            };
            let step = part((*s).step)?.unwrap_or(1);
            return Ok(Some(Item::Slice {
                start: part((*s).start)?,
                stop: part((*s).stop)?,
                step,
            }));
        }
        if o == ffi::Py_None() {
            return Ok(Some(Item::New));
        }
        if o == ffi::Py_Ellipsis() {
            return Ok(Some(Item::Ellipsis));
        }
        if let Some(t) = tensor_ref(o) {
            let int = t.ndim() == 0 && !t.dtype().is_differentiable() && t.dtype() != DType::Bool;
            return Ok(if int { Some(Item::Int(t.item()?.to_i64())) } else { None });
        }
        if ffi::PyBool_Check(o) == 0 && ffi::PyList_Check(o) == 0 && ffi::PyIndex_Check(o) != 0 {
            return Ok(Some(Item::Int(int_of(o)?)));
        }
    }
    Ok(None)
}

/// The items of an index; None if some item needs advanced indexing.
fn items(index: Obj) -> Result<Option<Vec<Item>>, Raised> {
    // SAFETY: a live object under the GIL.
    unsafe {
        if ffi::PyTuple_Check(index) == 0 {
            return Ok(item(index)?.map(|i| vec![i]));
        }
        let n = ffi::PyTuple_GET_SIZE(index);
        let mut out = Vec::with_capacity(n as usize);
        for i in 0..n {
            match item(ffi::PyTuple_GET_ITEM(index, i))? {
                Some(it) => out.push(it),
                None => return Ok(None),
            }
        }
        Ok(Some(out))
    }
}

/// The view that basic items select.
fn view(t: &Tensor, items: &[Item]) -> wengert::Result<Tensor> {
    let used = items.iter().filter(|i| matches!(i, Item::Int(_) | Item::Slice { .. })).count();
    if let (0, [Item::Slice { .. }]) = (t.ndim(), items) {
        return Err(err!(Index, "slice() cannot be applied to a 0-dim tensor."));
    }
    if let (0, [Item::Int(_)]) = (t.ndim(), items) {
        return Err(err!(
            Index,
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
        ));
    }
    if used > t.ndim() {
        return Err(err!(Index, "too many indices for tensor of dimension {}", t.ndim()));
    }
    let mut out = t.clone();
    // The dimension of `out`, and the ints before: errors count those as dimensions.
    let (mut dim, mut gone) = (0i64, 0);
    for it in items {
        match it {
            Item::Int(i) => {
                let n = out.shape()[dim as usize] as i64;
                if *i < -n || *i >= n {
                    return Err(err!(
                        Index,
                        "index {i} is out of bounds for dimension {} with size {n}",
                        dim + gone
                    ));
                }
                out = out.select(dim, *i)?;
                gone += 1;
            }
            Item::Slice { start, stop, step } => {
                if start.is_some() || stop.is_some() || *step != 1 {
                    out = out.slice(dim, *start, *stop, *step)?;
                }
                dim += 1;
            }
            Item::New => {
                out = out.unsqueeze(dim)?;
                dim += 1;
            }
            Item::Ellipsis => dim += (t.ndim() - used) as i64,
        }
    }
    if out.same(t) { call1(Id::ALIAS, &[t.into()]) } else { Ok(out) }
}

pub unsafe extern "C" fn get(o: Obj, index: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        match items(index)? {
            Some(items) => wrap(view(t, &items)?),
            None => advanced("_getitem", o, index, null_mut()),
        }
    })
}

pub unsafe extern "C" fn set(o: Obj, index: Obj, value: Obj) -> c_int {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        if value.is_null() {
            return Err(err!(Type, "Tensor does not support deleting items").into());
        }
        let Some(items) = items(index)? else {
            let none = advanced("_setitem", o, index, value)?;
            // SAFETY: a new reference.
            unsafe { ffi::Py_DECREF(none) };
            return Ok(0);
        };
        let part = view(t, &items)?;
        let source = match (tensor_ref(value), scalar_of(value)) {
            (Some(v), _) => Operand::Tensor(v),
            (None, Some(s)) => Operand::Number(s?),
            (None, None) => {
                let (kind, class) = (type_name(value), t.dtype().tensor_name());
                return Err(err!(Type, "can't assign a {kind} to a {class}").into());
            }
        };
        assign(&part, source)?;
        Ok(0)
    })
}

/// `part[...] = value`: leading dimensions of size 1 of the value may go.
fn assign(part: &Tensor, value: Operand) -> wengert::Result<()> {
    let Operand::Tensor(v) = value else {
        return pointwise::assign(part, value).map(drop);
    };
    let mut v = v.clone();
    while v.ndim() > part.ndim() && v.shape()[0] == 1 {
        v = v.select(0, 0)?;
    }
    pointwise::assign(part, Operand::Tensor(&v.expand(part.shape())?)).map(drop)
}

/// Indices with tensors, lists or masks.
fn advanced(name: &str, o: Obj, index: Obj, value: Obj) -> Result<Obj, Raised> {
    if value.is_null() {
        crate::call_python("wengert._tensor", name, &[o, index])
    } else {
        crate::call_python("wengert._tensor", name, &[o, index, value])
    }
}
