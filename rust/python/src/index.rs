//! `x[...]` and `x[...] = v`: first what views can do, then tensors of indices and masks.

mod items;

use crate::errors::{Raised, slot};
use crate::number::scalar_of;
use crate::object::{known, tensor_ref, wrap};
use items::{Item, items};
use pyo3::ffi;
use std::ffi::{CStr, c_int};
use wengert::op::{Id, call_in_place, call1};
use wengert::pointwise::{self, Operand};
use wengert::{DType, Tensor, Value, err};

type Obj = *mut ffi::PyObject;

/// The view that basic items select, and the indices of its dimensions that are left to do.
/// Slices of all indices are left out, unless one is `alone`.
fn view(t: &Tensor, items: &[Item], alone: bool) -> wengert::Result<(Tensor, Vec<Option<Tensor>>)> {
    let used: usize = items.iter().map(Item::dims).sum();
    if let (0, [Item::Int(i)]) = (t.ndim(), items) {
        return Err(match i {
            0 => err!(
                Index,
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            ),
            i => err!(Index, "index {i} is out of bounds for dimension 0 with size 0"),
        });
    }
    if t.ndim() == 0 && matches!(items, [Item::Slice { .. }]) {
        return Err(err!(Index, "slice() cannot be applied to a 0-dim tensor."));
    }
    if used > t.ndim() {
        return Err(err!(Index, "too many indices for tensor of dimension {}", t.ndim()));
    }
    let mut out = t.clone();
    let mut indices = Vec::new();
    // Of the dimensions of `out`: the next to look at, and how many `indices` tells of.
    let (mut dim, mut told) = (0usize, 0usize);
    let mut tell = |index: &Tensor, dim: usize, dims: usize| {
        indices.resize(indices.len() + dim - told, None);
        indices.push(Some(index.clone()));
        told = dim + dims;
    };
    for (position, it) in items.iter().enumerate() {
        match it {
            Item::Int(i) => out = select(&out, dim, *i, position)?,
            Item::Slice { start, stop, step } => {
                let all = start.unwrap_or(0) == 0
                    && stop.is_none_or(|stop| stop >= out.shape()[dim] as i64)
                    && *step == 1;
                if !all || alone {
                    // The node shows the ends that PyTorch fills in.
                    let whole = |end: i64| if *step > 0 { Some(end) } else { None };
                    let (start, stop) = (start.or(whole(0)), stop.or(whole(i64::MAX)));
                    out = out.slice(dim as i64, start, stop, *step)?;
                }
                dim += 1;
            }
            Item::New => {
                out = out.unsqueeze(dim as i64)?;
                dim += 1;
            }
            Item::Ellipsis => dim += t.ndim() - used,
            Item::Truth(b) => {
                out = out.unsqueeze(dim as i64)?;
                tell(&Tensor::zeros(&[usize::from(*b)], DType::I64)?, dim, 1);
                dim += 1;
            }
            Item::Tensor(index) => {
                tell(index, dim, it.dims());
                dim += it.dims();
            }
        }
    }
    Ok((out, indices))
}

/// The slice at an int, which errors name by its position among the items.
fn select(t: &Tensor, dim: usize, i: i64, position: usize) -> wengert::Result<Tensor> {
    let n = t.shape()[dim] as i64;
    if i < -n || i >= n {
        return Err(err!(
            Index,
            "index {i} is out of bounds for dimension {position} with size {n}"
        ));
    }
    t.select(dim as i64, i)
}

pub unsafe extern "C" fn get(o: Obj, index: Obj) -> Obj {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        // SAFETY: a live object.
        let alone = unsafe { ffi::PySlice_Check(index) != 0 };
        let (part, indices) = view(t, &items(index)?, alone)?;
        if !indices.is_empty() {
            return wrap(call1(Id::INDEX, &[part.into(), Value::Indices(indices)])?);
        }
        wrap(if part.same(t) { call1(Id::ALIAS, &[part.into()])? } else { part })
    })
}

pub unsafe extern "C" fn set(o: Obj, index: Obj, value: Obj) -> c_int {
    slot(|| {
        // SAFETY: a slot of the type: `o` is a tensor.
        let t = unsafe { known(o) };
        if value.is_null() {
            return Err(err!(Type, "Tensor does not support deleting items").into());
        }
        let source = match (tensor_ref(value), scalar_of(value)) {
            (Some(v), _) => Operand::Tensor(v),
            (None, Some(s)) => Operand::Number(s?),
            (None, None) => return Err(cannot_assign(t, value)),
        };
        let (part, indices) = view(t, &items(index)?, false)?;
        if indices.is_empty() {
            assign(&part, source)?;
        } else {
            put(&part, indices, source)?;
        }
        Ok(0)
    })
}

#[cold]
fn cannot_assign(t: &Tensor, value: Obj) -> Raised {
    // SAFETY: a live object; the name of a class lives as long as it.
    let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(value)).tp_name) }.to_string_lossy();
    let kind = match t.dtype() {
        DType::U8 => "Byte",
        DType::I8 => "Char",
        d => d.scalar_name(),
    };
    err!(Type, "can't assign a {name} to a torch.{kind}Tensor").into()
}

/// `part[indices] = value`: leading dimensions of size 1 of the value go.
fn put(part: &Tensor, indices: Vec<Option<Tensor>>, value: Operand) -> wengert::Result<()> {
    let value = match value {
        Operand::Number(n) => Tensor::full(&[], n, part.dtype())?,
        Operand::Tensor(v) => {
            let mut v = v.clone();
            while v.shape().first() == Some(&1) {
                v = v.select(0, 0)?;
            }
            v
        }
    };
    let args = [part.into(), Value::Indices(indices), value.into(), false.into()];
    call_in_place(Id::INDEX_PUT, &args).map(drop)
}

/// `part[...] = value`: leading dimensions of size 1 of the value may go.
fn assign(part: &Tensor, value: Operand) -> wengert::Result<()> {
    let mut v = match value {
        Operand::Tensor(v) => v.clone(),
        Operand::Number(n) if part.ndim() != 0 && part.requires_grad() => {
            Tensor::full(&[], n.fitted(part.dtype())?, part.dtype())?
        }
        Operand::Number(_) => return pointwise::assign(part, value).map(drop),
    };
    while v.ndim() > part.ndim() && v.shape()[0] == 1 {
        v = v.select(0, 0)?;
    }
    if v.ndim() == 0 && part.ndim() != 0 {
        return call_in_place(Id::FILL_TENSOR_IN_PLACE, &[part.into(), v.into()]).map(drop);
    }
    pointwise::assign(part, Operand::Tensor(&v.expand(part.shape())?)).map(drop)
}
