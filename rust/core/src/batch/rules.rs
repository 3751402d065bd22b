//! How a call of batched tensors is made of one call of the wholes.

use super::{loops, rewritten, spread, whole_at, wrapped};
use crate::op::{self, Block, Outputs, call1};
use crate::ops::{Id, strided};
use crate::pointwise::{self, Operand};
use crate::schema::{Param, Type};
use crate::shape::{infer_shape, wrap_dim};
use crate::{Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

/// Operations that treat all leading dimensions alike.
const ANYWHERE: &[Id] = &[
    Id::ROUND_DECIMALS,
    Id::ALIAS,
    Id::CLONE,
    Id::CLONE_ROWS,
    Id::TO_COPY,
    Id::TRIL,
    Id::TRIU,
    Id::SVD_PARTS,
    Id::FILL,
];

/// Operations of each element that are no pointwise blocks.
const ELEMENTWISE: &[Id] = &[Id::ADDCMUL, Id::ADDCDIV, Id::MASKED_FILL, Id::ISCLOSE];

/// `beta * self + alpha * product` and its product.
const PLUS_PRODUCT: &[(Id, Id)] = &[
    (Id::ADDMM_ORDERED, Id::MATMUL),
    (Id::ADDMV, Id::MATMUL),
    (Id::BADDBMM, Id::MATMUL),
    (Id::ADDR, Id::OUTER),
];

/// Matrix products, whose wholes broadcast as `matmul` does.
const PRODUCTS: &[Id] = &[Id::MM_ORDERED, Id::BMM];

/// Parameters that name dimensions.
const DIMS: &[&str] =
    &["dim", "dims", "dim0", "dim1", "dim2", "source", "destination", "dimension"];

/// Operations that put a tensor of other dimensions into the first.
const SCATTERS: &[Id] = &[Id::SELECT_SCATTER, Id::SLICE_SCATTER, Id::DIAGONAL_SCATTER];

/// Losses of each element with a reduction, argument 2.
const LOSSES: &[Id] = &[
    Id::SQUARED_LOSS,
    Id::SMOOTH_LOSS,
    Id::HUBER_REDUCED,
    Id::BINARY_LOSS,
    Id::LOGITS,
    Id::LOGITS_POSITIVE,
    Id::SOFT_MARGIN,
];

/// Operations whose `index` is a vector, whatever it selects from.
const VECTOR_INDEX: &[Id] = &[
    Id::INDEX_SELECT,
    Id::INDEX_SELECT_SPREAD,
    Id::INDEX_ADD,
    Id::INDEX_COPY,
    Id::INDEX_FILL,
    Id::INDEX_REDUCE,
];

/// Operations whose `dims` are no dimensions.
const NO_DIMS: &[Id] = &[Id::TILE, Id::REPEAT];

/// A call batched at a level.
pub(super) struct Call<'a> {
    pub id: Id,
    pub args: &'a [Value],
    pub level: usize,
    /// The size of the batch.
    pub size: usize,
}

/// Makes a call whose arguments are batched at `level`, the highest.
pub(crate) fn call(id: Id, args: &[Value], level: usize) -> Result<Outputs> {
    let size = size_in(args, level);
    let call = Call { id, args, level, size };
    let out = match id.block() {
        Block::Pointwise(_) => call.pointwise()?,
        Block::Structured(_) => match call.rule()? {
            Some(out) => out,
            None => match rewritten::outputs(&call)? {
                Some(out) => out,
                None => call.one_by_one()?,
            },
        },
    };
    wrapped(out, level)
}

fn size_in(args: &[Value], level: usize) -> usize {
    let size = |t: &Tensor| whole_at(t, level).map(|w| w.shape()[0]);
    let found = args.iter().find_map(|a| match a {
        Value::Tensor(t) => size(t),
        Value::Tensors(list) => list.iter().find_map(size),
        Value::Indices(list) => list.iter().flatten().find_map(size),
        _ => None,
    });
    found.unwrap_or(1)
}

/// The whole with dimensions of size 1 after the batch, so that examples have `ndim` dimensions.
pub(super) fn aligned(whole: &Tensor, ndim: usize) -> Result<Tensor> {
    let mut shape: SmallVec<[usize; 6]> = smallvec![whole.shape()[0]];
    shape.resize(1 + (ndim + 1).saturating_sub(whole.ndim()), 1);
    shape.extend_from_slice(&whole.shape()[1..]);
    whole.reshape(&shape)
}

/// The arguments of a pointwise call on wholes.
fn wholes(args: &[Value], level: usize) -> Result<Vec<Value>> {
    let ndim = |a: &Value| if let Value::Tensor(t) = a { t.ndim() } else { 0 };
    let most = args.iter().map(ndim).max().unwrap_or(0);
    let one = |a: &Value| match a {
        Value::Tensor(t) => match whole_at(t, level) {
            Some(whole) => aligned(&whole, most).map(Value::Tensor),
            None => Ok(a.clone()),
        },
        _ => Ok(a.clone()),
    };
    args.iter().map(one).collect()
}

impl Call<'_> {
    fn pointwise(&self) -> Result<Outputs> {
        op::call(self.id, &wholes(self.args, self.level)?)
    }

    pub fn tensor(&self, i: usize) -> Option<&Tensor> {
        match self.args.get(i) {
            Some(Value::Tensor(t)) => Some(t),
            _ => None,
        }
    }

    /// The whole of argument `i`, repeated if it is not batched.
    pub fn whole(&self, i: usize) -> Result<Tensor> {
        match self.tensor(i) {
            Some(t) => spread(t, self.level, self.size),
            None => bail!(Type, "argument {i} must be a Tensor"),
        }
    }

    /// Argument `i` as it is seen by an operation that broadcasts leading dimensions.
    fn broadcast(&self, i: usize) -> Result<Tensor> {
        match self.tensor(i) {
            Some(t) => Ok(whole_at(t, self.level).unwrap_or_else(|| t.clone())),
            None => bail!(Type, "argument {i} must be a Tensor"),
        }
    }

    pub fn ints(&self, i: usize) -> &[i64] {
        match self.args.get(i) {
            Some(Value::Ints(v)) => v,
            _ => &[],
        }
    }

    /// The result by a rule, or None if there is none.
    fn rule(&self) -> Result<Option<Outputs>> {
        let one = |t: Tensor| Ok(Some(smallvec![t]));
        let Some(first) = self.tensor(0) else { return self.shifted() };
        if let Some((_, product)) = PLUS_PRODUCT.iter().find(|p| p.0 == self.id) {
            return self.plus_product(*product).map(Some);
        }
        match self.id {
            id if ANYWHERE.contains(&id) => {
                let mut args = self.args.to_vec();
                args[0] = self.whole(0)?.into();
                let mut out = op::call(id, &args)?;
                // What was not asked for is one empty tensor.
                for t in &mut out {
                    if t.shape().first() != Some(&self.size) {
                        *t = Tensor::empty(&[self.size, 0], t.dtype())?;
                    }
                }
                Ok(Some(out))
            }
            id if PRODUCTS.contains(&id) => one(self.matmul(self.broadcast(0)?, 1)?),
            // One matrix for all vectors: they are the rows of another.
            Id::MV if whole_at(first, self.level).is_none() => {
                one(call1(Id::MATMUL, &[self.whole(1)?.into(), first.t()?.into()])?)
            }
            Id::MV => {
                let columns = self.whole(1)?.unsqueeze(-1)?;
                let out = call1(Id::MATMUL, &[self.broadcast(0)?.into(), columns.into()])?;
                one(call1(Id::SQUEEZE_DIM, &[out.into(), (-1).into()])?)
            }
            Id::DOT | Id::VDOT => one(self.whole(0)?.mul(&self.whole(1)?)?.sum(&[1], false)?),
            Id::SUM | Id::MEAN | Id::NANSUM | Id::ANY | Id::ALL => self.folded(),
            Id::MAX => one(self.extremum(Id::AMAX)?),
            Id::MIN => one(self.extremum(Id::AMIN)?),
            Id::PROD => {
                let rows = self.whole(0)?.reshape(&[self.size, first.numel()])?;
                let dtype = self.args[1].clone();
                op::call(Id::PROD_DIM, &[rows.into(), 1.into(), false.into(), dtype]).map(Some)
            }
            Id::REPEAT => {
                let mut repeats: SmallVec<[i64; 4]> = smallvec![1];
                repeats.extend_from_slice(self.ints(1));
                let whole = aligned(&self.whole(0)?, self.ints(1).len())?;
                op::call(self.id, &[whole.into(), Value::Ints(repeats)]).map(Some)
            }
            Id::INDEX => self.indexed(),
            Id::EMBED | Id::PART | Id::WITH_PART => {
                let mut args = strided::batched(self.id, self.args, first.shape(), self.size)?;
                args[0] = self.whole(0)?.into();
                if self.id == Id::WITH_PART {
                    args[1] = self.whole(1)?.into();
                }
                op::call(self.id, &args).map(Some)
            }
            Id::VIEW_PART => self.view_part().map(Some),
            Id::MASKED_FILL_TENSOR => {
                // `masked_fill` itself wants a value without dimensions.
                let [_, mask, Value::Tensor(value)] = self.args else { return Ok(None) };
                let value = value.to(first.dtype())?;
                let out = call1(Id::WHERE, &[mask.clone(), value.into(), first.into()])?;
                one(spread(&out, self.level, self.size)?)
            }
            id if ELEMENTWISE.contains(&id) => self.pointwise().map(Some),
            id if LOSSES.contains(&id) => one(self.loss()?),
            Id::VIEW | Id::RESHAPE_ALIAS | Id::UNSAFE_VIEW => {
                let wanted = infer_shape(self.ints(1), first.numel())?;
                let shape: SmallVec<[usize; 6]> =
                    std::iter::once(self.size).chain(wanted.iter().copied()).collect();
                // The memory order of the whole may be another than what the caller counts on.
                one(self.whole(0)?.reshape(&shape)?)
            }
            Id::EXPAND => one(self.expand()?),
            Id::T => one(match first.ndim() {
                2 => self.whole(0)?.transpose(1, 2)?,
                _ => self.whole(0)?,
            }),
            Id::PERMUTE => {
                let mut dims: SmallVec<[i64; 4]> = smallvec![0];
                for &d in self.ints(1) {
                    dims.push(wrap_dim(d, first.ndim())? as i64 + 1);
                }
                op::call(self.id, &[self.whole(0)?.into(), Value::Ints(dims)]).map(Some)
            }
            Id::SQUEEZE | Id::SQUEEZED => {
                let kept = first.shape().iter().copied().filter(|&n| n != 1);
                let shape: SmallVec<[usize; 6]> = std::iter::once(self.size).chain(kept).collect();
                one(self.whole(0)?.reshape(&shape)?)
            }
            _ => self.shifted(),
        }
    }

    /// A full extremum.
    fn extremum(&self, id: Id) -> Result<Tensor> {
        let rows =
            self.whole(0)?.reshape(&[self.size, self.whole(0)?.numel() / self.size.max(1)])?;
        let y = call1(id, &[rows.detach().into(), Value::Ints(smallvec![1]), true.into()])?;
        rewritten::shared(&rows, &y)
    }

    /// A view of a part of each example, or a copy where the whole has other strides.
    fn view_part(&self) -> Result<Outputs> {
        let whole = self.whole(0)?;
        let [_, size, stride, offset, base] = self.args else {
            bail!(Type, "{} takes a layout", self.id.name())
        };
        let strides = whole.strides().iter().map(|&s| s as i64);
        if !matches!(base, Value::Ints(b) if strides.clone().skip(1).eq(b.iter().copied())) {
            let args = [whole.into(), base.clone(), size.clone(), stride.clone(), offset.clone()];
            let shape = self.tensor(0).map_or(&[][..], Tensor::shape);
            let mut all = strided::batched(Id::PART, &args, shape, self.size)?;
            all[0] = args[0].clone();
            return op::call(Id::PART, &all);
        }
        let step = whole.strides()[0] as i64;
        let after = |first: i64, i: usize| {
            let mut list: SmallVec<[i64; 4]> = smallvec![first];
            list.extend_from_slice(self.ints(i));
            Value::Ints(list)
        };
        let (size, stride) = (after(self.size as i64, 1), after(step, 2));
        op::call(self.id, &[whole.into(), size, stride, offset.clone(), after(step, 4)])
    }

    /// Indices that are the same for all examples; where the indexed dimensions lie apart, they
    /// would come before the batch.
    fn indexed(&self) -> Result<Option<Outputs>> {
        let Value::Indices(list) = &self.args[1] else { return Ok(None) };
        let batched = list.iter().flatten().any(|t| whole_at(t, self.level).is_some());
        let given = list.iter().skip_while(|t| t.is_none());
        let apart = given.skip_while(|t| t.is_some()).any(Option::is_some);
        if batched || apart {
            return Ok(None);
        }
        let mut all = vec![None];
        all.extend(list.iter().cloned());
        op::call(self.id, &[self.whole(0)?.into(), Value::Indices(all)]).map(Some)
    }

    fn plus_product(&self, product: Id) -> Result<Outputs> {
        let [this, a, b, beta, alpha, ..] = self.args else {
            bail!(Type, "{} takes three tensors", self.id.name())
        };
        let times = |t: Value, by: &Value| call1(Id::MUL, &[t, by.clone()]);
        let mut sum = times(call1(product, &[a.clone(), b.clone()])?.into(), alpha)?;
        if !matches!(beta, Value::Number(n) if n.to_f64() == 0.0) {
            sum = times(this.clone(), beta)?.add(&sum)?;
        }
        Ok(smallvec![spread(&sum, self.level, self.size)?])
    }

    fn matmul(&self, a: Tensor, other: usize) -> Result<Tensor> {
        call1(Id::MATMUL, &[a.into(), self.broadcast(other)?.into()])
    }

    /// A sum or mean over all dimensions but the batch.
    fn folded(&self) -> Result<Option<Outputs>> {
        let whole = self.whole(0)?;
        let dims: SmallVec<[i64; 4]> = (1..whole.ndim() as i64).collect();
        let flat = if dims.is_empty() { whole.unsqueeze(-1)? } else { whole };
        let dims = Value::Ints(if dims.is_empty() { smallvec![1] } else { dims });
        let id = match self.id {
            Id::SUM => Id::SUM_DIM,
            Id::MEAN => Id::MEAN_DIM,
            Id::NANSUM => Id::NANSUM_DIM,
            Id::ANY => Id::ANY_DIMS,
            _ => Id::ALL_DIMS,
        };
        let mut args = vec![flat.into(), dims, false.into()];
        args.extend(self.args.get(1).cloned());
        op::call(id, &args).map(Some)
    }

    /// A loss of each element, reduced within the examples.
    fn loss(&self) -> Result<Tensor> {
        let mut args = wholes(self.args, self.level)?;
        args[0] = self.whole(0)?.into();
        args[1] = self.whole(1)?.into();
        let how = std::mem::replace(&mut args[2], 0.into());
        let each = call1(self.id, &args)?;
        let dims: SmallVec<[i64; 4]> = (1..each.ndim() as i64).collect();
        match how {
            Value::Int(0) => Ok(each),
            _ if dims.is_empty() => Ok(each),
            Value::Int(1) => {
                let along = Value::Ints(dims);
                call1(Id::MEAN_DIM, &[each.into(), along, false.into(), Value::None])
            }
            _ => each.sum(&dims, false),
        }
    }

    fn expand(&self) -> Result<Tensor> {
        let whole = aligned(&self.whole(0)?, self.ints(1).len())?;
        let mut shape: SmallVec<[i64; 4]> = smallvec![self.size as i64];
        shape.extend_from_slice(self.ints(1));
        call1(Id::EXPAND, &[whole.into(), Value::Ints(shape), false.into()])
    }

    /// The same call with its dimensions counted past the batch, for operations whose only
    /// arguments that depend on the shape are dimensions.
    fn shifted(&self) -> Result<Option<Outputs>> {
        let schema = &self.id.op().schema;
        let names_dims = |p: &Param| p.ty != Type::Tensor && DIMS.contains(&&*p.name);
        if NO_DIMS.contains(&self.id) || !schema.params.iter().any(names_dims) {
            return Ok(None);
        }
        let Some(ndim) = self.common_ndim() else { return Ok(None) };
        let extra = matches!(self.id, Id::UNSQUEEZE | Id::STACK | Id::DIAG_EMBED) as usize;
        if ndim + extra == 0 {
            return Ok(None);
        }
        let shift = |d: i64| wrap_dim(d, ndim + extra).map(|d| d as i64 + 1);
        let vector = VECTOR_INDEX.contains(&self.id);
        let mut args = Vec::new();
        for (p, a) in schema.params.iter().zip(self.args) {
            let names_dims = names_dims(p);
            args.push(match a {
                Value::Tensor(t) if vector && p.name == "index" => {
                    if whole_at(t, self.level).is_some() {
                        return Ok(None);
                    }
                    a.clone()
                }
                Value::Tensor(t) => spread(t, self.level, self.size)?.into(),
                Value::Tensors(list) => {
                    let all = list.iter().map(|t| spread(t, self.level, self.size));
                    Value::Tensors(all.collect::<Result<_>>()?)
                }
                Value::Int(d) if names_dims => shift(*d)?.into(),
                Value::Ints(v) if names_dims && !v.is_empty() => {
                    Value::Ints(v.iter().map(|&d| shift(d)).collect::<Result<_>>()?)
                }
                Value::None | Value::Ints(_) if names_dims => {
                    // All dimensions: those of the example. A roll without any flattens.
                    if !matches!(p.ty, Type::Ints(_)) || self.id == Id::ROLL {
                        return Ok(None);
                    }
                    Value::Ints((1..=ndim as i64).collect())
                }
                Value::Ints(shape) if p.name == "shape" => {
                    let whole = std::iter::once(self.size as i64).chain(shape.iter().copied());
                    Value::Ints(whole.collect())
                }
                other => other.clone(),
            });
        }
        op::call(self.id, &args).map(Some)
    }

    /// How many dimensions the examples have, if all agree.
    fn common_ndim(&self) -> Option<usize> {
        let mut found = None;
        let mut agree = |t: &Tensor| {
            let same = found.is_none_or(|n| n == t.ndim());
            found = Some(t.ndim());
            same
        };
        if SCATTERS.contains(&self.id) {
            return self.tensor(0).map(Tensor::ndim);
        }
        let vector = VECTOR_INDEX.contains(&self.id);
        let all = self.id.op().schema.params.iter().zip(self.args).all(|(p, a)| match a {
            Value::Tensor(_) if vector && p.name == "index" => true,
            Value::Tensor(t) => agree(t),
            Value::Tensors(list) => list.iter().all(&mut agree),
            _ => true,
        });
        if all { found } else { None }
    }

    /// The call for each example, the results stacked.
    fn one_by_one(&self) -> Result<Outputs> {
        loops(|l| l.push(self.id));
        if self.size == 0 {
            bail!(Runtime, "vmap: {} of a batch of size 0 is not supported", self.id.name());
        }
        let mut rows: Vec<Outputs> = Vec::new();
        for k in 0..self.size as i64 {
            let pick = |t: &Tensor| match whole_at(t, self.level) {
                Some(whole) => whole.select(0, k),
                None => Ok(t.clone()),
            };
            let one = |a: &Value| {
                Ok(match a {
                    Value::Tensor(t) => pick(t)?.into(),
                    Value::Tensors(list) => {
                        Value::Tensors(list.iter().map(pick).collect::<Result<_>>()?)
                    }
                    Value::Indices(list) => {
                        let all = list.iter().map(|t| t.as_ref().map(pick).transpose());
                        Value::Indices(all.collect::<Result<_>>()?)
                    }
                    other => other.clone(),
                })
            };
            let args: Vec<Value> = self.args.iter().map(one).collect::<Result<_>>()?;
            rows.push(op::call(self.id, &args)?);
        }
        let column = |i: usize| {
            let parts: Vec<Tensor> = rows.iter().filter_map(|r| r.get(i).cloned()).collect();
            call1(Id::STACK, &[parts.into(), 0.into()])
        };
        (0..rows[0].len()).map(column).collect()
    }
}

/// A pointwise call that writes into its first argument.
pub(crate) fn in_place(id: Id, args: &[Operand], level: usize) -> Result<Tensor> {
    write(Some(id), args, level, |args| pointwise::in_place(id, args))
}

/// `x[...] = value`.
pub(crate) fn assign(x: &Tensor, value: Operand, level: usize) -> Result<Tensor> {
    write(None, &[Operand::Tensor(x), value], level, |args| match args {
        [Operand::Tensor(x), value] => pointwise::assign(x, *value),
        _ => bail!(Type, "nothing to write to"),
    })
}

fn write(
    id: Option<Id>,
    args: &[Operand],
    level: usize,
    run: impl FnOnce(&[Operand]) -> Result<Tensor>,
) -> Result<Tensor> {
    let Some(Operand::Tensor(x)) = args.first() else { bail!(Type, "nothing to write to") };
    // What is not batched has no room for the examples. For sums PyTorch says that shapes differ.
    if whole_at(x, level).is_none() && !matches!(id, Some(Id::ADD | Id::SUB)) {
        no_room("inplace arithmetic", "in a vmap")?;
    }
    let whole = whole_at(x, level).unwrap_or_else(|| (*x).clone());
    let values: Vec<Value> = args
        .iter()
        .map(|a| match a {
            Operand::Tensor(t) => Value::from(*t),
            Operand::Number(n) => Value::Number(*n),
        })
        .collect();
    let mut wholes = wholes(&values, level)?;
    // Not a copy: the write must reach it.
    wholes[0] = (&whole).into();
    let operands: SmallVec<[Operand; 3]> =
        wholes.iter().map(Operand::from_value).collect::<Result<_>>()?;
    run(&operands)?;
    x.set_leaf_grad(whole.requires_grad());
    Ok((*x).clone())
}

/// PyTorch's refusal of a write of many examples to what is one for all.
fn no_room(what: &str, place: &str) -> Result<()> {
    bail!(
        Runtime,
        "vmap: {what}(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over {place}. Please try to use out-of-place operators instead of {what}. If said operator is being called inside the PyTorch framework, please file a bug report instead."
    )
}

/// Operations whose refusal names no level.
const NO_LEVEL: &[&str] = &["fill", "index_add", "index_put", "index_fill", "index_copy"];

/// A structured call that writes its result into its first argument.
pub(crate) fn structured_in_place(id: Id, args: &[Value], level: usize) -> Result<Tensor> {
    if matches!(args.first(), Some(Value::Tensor(x)) if whole_at(x, level).is_none()) {
        match id.name() {
            "masked_fill" => no_room("inplace arithmetic", "in a vmap")?,
            name if NO_LEVEL.contains(&name) => no_room(&format!("{name}_"), "in a vmap")?,
            name => no_room(&format!("aten::{name}_"), &format!("at level {}", level + 1))?,
        }
    }
    let out = call(id, args, level)?;
    match (args.first(), out.first()) {
        (Some(Value::Tensor(x)), Some(out)) => assign(x, Operand::Tensor(out), level),
        _ => bail!(Type, "nothing to write to"),
    }
}
