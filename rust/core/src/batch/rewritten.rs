//! Calls that are batched as other calls: what is written here is written for one example, and the
//! operations that it is made of have rules of their own.

use super::rules::Call;
use super::{at, spread, whole_at};
use crate::op::{Outputs, call, call1};
use crate::ops::Id;
use crate::shape::wrap_dim;
use crate::{DType, Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

/// Operations whose results have a shape that depends on values, and PyTorch's names of them.
const DYNAMIC: &[(Id, &str)] = &[
    (Id::NONZERO, "nonzero"),
    (Id::NONZERO_TUPLE, "nonzero"),
    (Id::WHERE_ONE, "where"),
    (Id::UNIQUE, "_unique2"),
    (Id::UNIQUE_DIM, "unique_dim"),
    (Id::UNIQUE_CONSECUTIVE, "unique_consecutive"),
    (Id::UNIQUE_CONSECUTIVE_DIM, "unique_dim_consecutive"),
];

/// Searches in sorted rows; where the row is argument 1 or 0, and the values are the other.
const SEARCHES: &[Id] =
    &[Id::SEARCHSORTED, Id::SEARCHSORTED_NUMBER, Id::BUCKETIZE, Id::BUCKETIZE_NUMBER];

/// The results of a call, its batch first, or None if it is not rewritten.
pub(super) fn outputs(c: &Call) -> Result<Option<Outputs>> {
    if matches!(c.args, [_, Value::Tensor(m)] if c.id == Id::MASKED_SELECT && at(m, c.level)) {
        bail!(
            Runtime,
            "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this because for each batch this would return a differently shaped Tensor. Please file an issue at https://github.com/pytorch/pytorch/issues if you need this feature."
        );
    }
    if let Some((_, name)) = DYNAMIC.iter().find(|d| d.0 == c.id) {
        bail!(
            Runtime,
            "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over aten::{name}. Please file an issue at https://github.com/pytorch/pytorch/issues if you need this feature."
        );
    }
    if matches!(c.id, Id::INDEX | Id::INDEX_PUT) {
        return indexed(c).map(|t| Some(smallvec![t]));
    }
    if matches!(c.id, Id::NLL | Id::NLL_2D) {
        return classes(c);
    }
    if SEARCHES.contains(&c.id) {
        return searched(c).map(|t| t.map(|t| smallvec![t]));
    }
    match example(c)? {
        Some(t) => Ok(Some(smallvec![spread(&t, c.level, c.size)?])),
        None => Ok(None),
    }
}

/// The result for one example.
fn example(c: &Call) -> Result<Option<Tensor>> {
    let Some(x) = c.tensor(0) else { return Ok(None) };
    let arg = |i: usize| c.args.get(i).unwrap_or(&Value::None);
    Ok(Some(match (c.id, arg(1), arg(2)) {
        (Id::MASKED_SELECT, Value::Tensor(mask), _) => {
            let shape = crate::shape::broadcast(x.shape(), mask.shape())?;
            let mask = Some(mask.expand(&shape)?);
            call1(Id::INDEX, &[x.expand(&shape)?.into(), Value::Indices(vec![mask])])?
        }
        (Id::TAKE, Value::Tensor(index), _) => taken(x, index)?,
        (Id::MASKED_SCATTER, Value::Tensor(mask), Value::Tensor(source)) => {
            filled(x, mask, source)?
        }
        (Id::PUT, Value::Tensor(index), Value::Tensor(source)) => {
            let add = matches!(c.args.get(3), Some(Value::Bool(true)));
            let (index, source) = (positive(index, x.numel())?, flat(source)?);
            let id = if add { Id::SCATTER_ADD } else { Id::SCATTER };
            let out = call1(id, &[flat(x)?.into(), 0.into(), index.into(), source.into()])?;
            out.reshape(x.shape())?
        }
        (Id::ADDBMM, Value::Tensor(m), Value::Tensor(n)) => {
            let product = call1(Id::BMM, &[m.into(), n.into()])?.sum(&[0], false)?;
            let scaled = call1(Id::MUL, &[product.into(), c.args[4].clone()])?;
            match &c.args[3] {
                Value::Number(beta) if beta.to_f64() == 0.0 => scaled,
                beta => call1(Id::MUL, &[x.into(), beta.clone()])?.add(&scaled)?,
            }
        }
        (Id::COUNT_NONZERO, Value::None, _) => {
            call1(Id::COUNT_NONZERO, &[flat(x)?.into(), 0.into()])?
        }
        (_, Value::Int(dim), Value::Tensor(index)) => return along(c, x, *dim, index),
        _ => return whole_of_one(c, x),
    }))
}

/// Operations of all elements of one tensor.
fn whole_of_one(c: &Call, x: &Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match c.id {
        Id::TRACE => {
            let places = [x.into(), 0.into(), 0.into(), 1.into()];
            call1(Id::DIAGONAL, &places)?.sum(&[0], false)?
        }
        Id::FILL_TENSOR | Id::FILL_TENSOR_IN_PLACE => {
            let Some(value) = c.tensor(1) else { return Ok(None) };
            call1(Id::CLONE, &[value.to(x.dtype())?.expand(x.shape())?.into()])?
        }
        Id::MEDIAN => middle(x, Id::MEDIAN_DIM)?,
        Id::NANMEDIAN => middle(x, Id::NANMEDIAN_DIM)?,
        Id::ARGMAX | Id::ARGMIN if matches!(c.args[1], Value::None) => {
            let i = call1(c.id, &[flat(x)?.into(), 0.into(), false.into()])?;
            match c.args[2] {
                Value::Bool(true) => i.reshape(&vec![1; x.ndim()])?,
                _ => i,
            }
        }
        Id::COUNT_NONZERO if matches!(c.args[1], Value::None) => {
            call1(c.id, &[flat(x)?.into(), 0.into()])?
        }
        _ => return Ok(None),
    }))
}

fn flat(t: &Tensor) -> Result<Tensor> {
    t.reshape(&[t.numel()])
}

/// Indices into `n` elements, in a row, none of them negative.
fn positive(index: &Tensor, n: usize) -> Result<Tensor> {
    let index = flat(&index.to(DType::I64)?)?;
    let negative = call1(Id::LT, &[(&index).into(), 0.0.into()])?;
    let moved = call1(Id::ADD, &[(&index).into(), Value::Number((n as i64).into())])?;
    call1(Id::WHERE, &[negative.into(), moved.into(), index.into()])
}

fn taken(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    let rows = positive(index, x.numel())?;
    let out = call1(Id::GATHER, &[flat(x)?.into(), 0.into(), rows.into(), false.into()])?;
    out.reshape(index.shape())
}

/// `masked_scatter`: each true gets the element of `source` that its number among the trues names.
fn filled(x: &Tensor, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
    let mask = mask.expand(x.shape())?;
    let count = call1(Id::CUMSUM, &[flat(&mask)?.into(), 0.into(), Value::None])?;
    let number = call1(Id::SUB, &[count.into(), Value::Number(1.into())])?;
    let number = call1(Id::CLAMP_LOW, &[number.into(), Value::Number(0.into())])?;
    let values = call1(Id::GATHER, &[flat(source)?.into(), 0.into(), number.into(), false.into()])?;
    call1(Id::WHERE, &[mask.into(), values.reshape(x.shape())?.into(), x.into()])
}

/// The middle element.
fn middle(x: &Tensor, id: Id) -> Result<Tensor> {
    let row = flat(x)?;
    let y = call1_of(id, &[row.detach().into(), 0.into(), true.into()])?;
    let one = |t: &Tensor| t.reshape(&[1, t.numel()]);
    shared(&one(&row)?, &one(&y)?)?.reshape(&[])
}

/// `y`, an element of each row of `x`, with a history: elements that are equal to it share its
/// gradient.
pub(super) fn shared(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let row = |t: &Tensor| call1(Id::SQUEEZE_DIM, &[t.into(), 1.into()]);
    if !x.requires_grad() && !crate::forward::active() {
        return row(y);
    }
    let (plain, zero) = (x.detach(), Tensor::zeros(&[], x.dtype())?);
    let with = |id: Id, a: &Tensor, b: &Tensor| call1(id, &[a.into(), b.into()]);
    let nan = |t: &Tensor| call1(Id::ISNAN, &[t.into()]);
    let both = with(Id::LOGICAL_AND, &nan(&plain)?, &nan(y)?)?;
    let equal = with(Id::LOGICAL_OR, &with(Id::EQ, &plain, y)?, &both)?;
    let count = equal.to(x.dtype())?.sum(&[1], true)?;
    let mean = |t: &Tensor| {
        let kept = call1(Id::WHERE, &[(&equal).into(), t.into(), (&zero).into()])?;
        kept.sum(&[1], true)?.div(&count)
    };
    // The mean of equal numbers may differ from them in the last bit, so what is added is zero.
    let exact = y.add(&mean(&x.sub(&plain)?)?)?;
    let finite = call1(Id::ISFINITE, &[y.into()])?;
    row(&call1(Id::WHERE, &[finite.into(), exact.into(), mean(x)?.into()])?)
}

/// The first result.
fn call1_of(id: Id, args: &[Value]) -> Result<Tensor> {
    Ok(call(id, args)?.swap_remove(0))
}

/// Operations along `dim` with an index of their own for each example: those of `gather` and
/// `scatter`, with the index repeated along the other dimensions.
fn along(c: &Call, x: &Tensor, dim: i64, index: &Tensor) -> Result<Option<Tensor>> {
    if x.ndim() == 0 {
        return Ok(None);
    }
    let d = wrap_dim(dim, x.ndim())?;
    let mut shape: SmallVec<[usize; 6]> = smallvec![1; x.ndim()];
    shape[d] = index.numel();
    let column = index.reshape(&shape)?;
    let mut shape = x.layout().shape.clone();
    shape[d] = index.numel();
    let index: Value = column.expand(&shape)?.into();
    let mut args = vec![x.into(), dim.into(), index];
    let id = match (c.id, c.args.get(3)) {
        (Id::INDEX_SELECT, _) => {
            args.push(false.into());
            Id::GATHER
        }
        (Id::INDEX_ADD, Some(source)) => {
            args.push(call1(Id::MUL, &[source.clone(), c.args[4].clone()])?.into());
            Id::SCATTER_ADD
        }
        (Id::INDEX_COPY, Some(source)) => {
            args.push(source.clone());
            Id::SCATTER
        }
        (Id::INDEX_FILL, Some(value)) => {
            args.push(value.clone());
            Id::SCATTER_VALUE
        }
        (Id::INDEX_FILL_TENSOR, Some(Value::Tensor(value))) => {
            args.push(value.to(x.dtype())?.expand(&shape)?.into());
            Id::SCATTER
        }
        (Id::INDEX_REDUCE, Some(source)) => {
            args.extend([source.clone(), c.args[4].clone(), c.args[5].clone()]);
            Id::SCATTER_REDUCE
        }
        _ => return Ok(None),
    };
    call1(id, &args).map(Some)
}

/// Places in sorted rows: rows of a batch are searched for rows of values.
fn searched(c: &Call) -> Result<Option<Tensor>> {
    let buckets = matches!(c.id, Id::BUCKETIZE | Id::BUCKETIZE_NUMBER);
    let (row, at) = if buckets { (1, 0) } else { (0, 1) };
    let Some(sorted) = c.tensor(row) else { return Ok(None) };
    let own = whole_at(sorted, c.level).is_some();
    if buckets && !own {
        let mut args = c.args.to_vec();
        args[0] = c.whole(0)?.into();
        return call1(c.id, &args).map(Some);
    }
    let shape: SmallVec<[usize; 6]> = match c.tensor(at) {
        Some(values) => std::iter::once(c.size).chain(values.shape().iter().copied()).collect(),
        None => smallvec![c.size],
    };
    let values = match &c.args[at] {
        Value::Number(n) => {
            let of = crate::promote::default_dtype();
            let dtype = if matches!(n, crate::Scalar::Float(_)) { of } else { DType::I64 };
            Tensor::full(&[c.size, 1], *n, dtype)?
        }
        _ if sorted.ndim() == 1 => {
            let count = shape[1..].iter().product();
            c.whole(at)?.reshape(&[c.size, count])?
        }
        _ => c.whole(at)?,
    };
    let (row, flag) = (c.whole(row)?.into(), |i: usize| c.args[i].clone());
    let mut args = vec![row, values.into(), flag(2), flag(3)];
    if buckets {
        args.extend([Value::None, Value::None]);
    } else {
        args.push(flag(4));
        args.push(if c.tensor(5).is_some() { c.whole(5)?.into() } else { Value::None });
    }
    call1(Id::SEARCHSORTED, &args)?.reshape(&shape).map(Some)
}

/// Scores of classes: the batch becomes more rows, and what is reduced is reduced afterwards.
fn classes(c: &Call) -> Result<Option<Outputs>> {
    let [Value::Tensor(x), Value::Tensor(target), Value::Int(how), ignore, weight] = c.args else {
        return Ok(None);
    };
    if matches!(weight, Value::Tensor(w) if at(w, c.level)) {
        return Ok(None);
    }
    let rows = |t: &Tensor, whole: Tensor, kept: usize| {
        let mut shape: SmallVec<[usize; 6]> = smallvec![whole.numel() / inner(t, kept)];
        shape.extend_from_slice(&t.shape()[t.ndim() - kept..]);
        whole.reshape(&shape)
    };
    // One row without a number, or many rows.
    let kept = if x.ndim() == 1 { 1 } else { x.ndim() - 1 };
    let (scores, names) = (rows(x, c.whole(0)?, kept)?, rows(target, c.whole(1)?, kept - 1)?);
    let losses = |scores: Tensor| {
        let args = [scores.into(), (&names).into(), 0.into(), ignore.clone(), weight.clone()];
        let each = call1_of(c.id, &args)?;
        let mut shape: SmallVec<[usize; 6]> = smallvec![c.size];
        shape.extend_from_slice(target.shape());
        each.reshape(&shape)
    };
    let each = losses(scores.clone())?;
    let dims: SmallVec<[i64; 4]> = (1..each.ndim() as i64).collect();
    let total = |t: Tensor| if dims.is_empty() { Ok(t) } else { t.sum(&dims, false) };
    let minus = Tensor::full(&[], (-1.0).into(), x.dtype())?.expand(scores.shape())?;
    let weights = total(losses(minus)?)?;
    Ok(Some(match how {
        0 => smallvec![each, Tensor::zeros(&[c.size], x.dtype())?],
        1 => smallvec![total(each)?.div(&weights)?, weights],
        _ => smallvec![total(each)?, weights],
    }))
}

/// How many elements the last `kept` dimensions have, at least one.
fn inner(t: &Tensor, kept: usize) -> usize {
    t.shape()[t.ndim() - kept..].iter().product::<usize>().max(1)
}

/// `x[indices]`, and the writing of values there: the number of the example is one more index.
fn indexed(c: &Call) -> Result<Tensor> {
    let (Some(x), Value::Indices(list)) = (c.tensor(0), &c.args[1]) else {
        bail!(Type, "{} takes a tensor and its indices", c.id.name());
    };
    let list = numbers(c, list)?;
    let given = list.iter().filter(|t| t.is_some()).count();
    let lead = list.iter().take_while(|t| t.is_none()).count();
    let adjacent = list[lead..].iter().take(given).all(Option::is_some);
    let lead = if adjacent { lead } else { 0 };
    let mut common: SmallVec<[usize; 6]> = SmallVec::new();
    for t in list.iter().flatten() {
        common = crate::shape::broadcast(&common, t.shape())?.iter().copied().collect();
    }
    let n = common.len();
    let mut shape: SmallVec<[usize; 6]> = smallvec![1; n + 1];
    shape[0] = c.size;
    let example =
        Tensor::arange(0.into(), (c.size as i64).into(), 1.into(), None)?.reshape(&shape)?;
    let mut all = vec![Some(example)];
    for t in &list {
        all.push(match t {
            Some(t) => Some(match whole_at(t, c.level) {
                Some(whole) => super::rules::aligned(&whole, n)?,
                None => t.clone(),
            }),
            None => None,
        });
    }
    let all = Value::Indices(all);
    // Where dimensions come before the indexed ones, those are moved in front of them.
    let moved = |t: &Tensor, from: usize, to: usize| -> Result<Tensor> {
        if lead == 0 || n == 0 {
            return Ok(t.clone());
        }
        let dims = |at: usize| Value::Ints((0..n).map(|i| (at + i) as i64).collect());
        call1(Id::MOVEDIMS, &[t.into(), dims(from), dims(to)])
    };
    if c.id == Id::INDEX {
        return moved(&call1(Id::INDEX, &[c.whole(0)?.into(), all])?, 1, 1 + lead);
    }
    let mut shape: SmallVec<[usize; 6]> = SmallVec::from_slice(&x.shape()[..lead]);
    shape.extend_from_slice(&common);
    let rest = (lead..x.ndim()).filter(|&d| !matches!(list.get(d), Some(Some(_))));
    shape.extend(rest.map(|d| x.shape()[d]));
    let Some(values) = c.tensor(2) else { bail!(Type, "index_put takes values") };
    let values = spread(&values.expand(&shape)?, c.level, c.size)?;
    let values = moved(&values, 1 + lead, 1)?;
    call1(Id::INDEX_PUT, &[c.whole(0)?.into(), all, values.into(), c.args[3].clone()])
}

/// Indices as numbers: a mask that is the same for all examples becomes the places of its trues.
fn numbers(c: &Call, list: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
    let mut found = Vec::new();
    for t in list {
        match t {
            Some(t) if matches!(t.dtype(), DType::Bool | DType::U8) => {
                if at(t, c.level) {
                    bail!(
                        Runtime,
                        "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a boolean mask."
                    );
                }
                let places = call1(Id::NONZERO, &[t.into()])?;
                for d in 0..t.ndim() as i64 {
                    found.push(Some(places.select(1, d)?));
                }
            }
            t => found.push(t.clone()),
        }
    }
    Ok(found)
}
