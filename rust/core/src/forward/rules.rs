//! The tangent of a call's result, from those of its inputs.

use super::{Below, Tangents, give, mirror, tangent, visible, written};
use crate::engine::{self, Options};
use crate::formula::{Vjp, X, bit};
use crate::mode::{Guard, Mode, grad_enabled};
use crate::op::{Cx, Op, Outputs, Structured, call, call1};
use crate::ops::Id;
use crate::pointwise::Operand;
use crate::tape::{Info, Meta};
use crate::vjp::{self, Val};
use crate::{Result, Tensor, Value};
use smallvec::SmallVec;

/// Operations that are linear in each of their tensors by itself.
const MULTILINEAR: &[Id] = &[Id::MM_ORDERED, Id::BMM, Id::MV, Id::DOT, Id::VDOT];

/// Operations whose Jacobian is symmetric: the backward rule is the forward rule.
const SYMMETRIC: &[Id] = &[Id::SOFTMAX_ROWS];

/// The tangents of tensors at a level.
pub(super) fn of<'a>(
    tensors: impl Iterator<Item = Option<&'a Tensor>>,
    level: usize,
) -> Result<Tangents> {
    tensors
        .map(|t| match t {
            Some(t) if t.dtype().is_differentiable() => tangent(t, level),
            _ => Ok(None),
        })
        .collect()
}

/// The sum of the tangents that the inputs of a pointwise call contribute to its result. None if
/// the operation is not differentiable.
fn diagonal(
    op: &Op,
    args: &[Operand],
    tangents: &Tangents,
    out: &Tensor,
) -> Result<Option<Tensor>> {
    if matches!(op.block.vjp(), Vjp::None) || !out.dtype().is_differentiable() {
        return Ok(None);
    }
    let info = Info {
        inputs: args.iter().map(|a| crate::record::meta_of(a.tensor())).collect(),
        outputs: std::iter::once(Meta::from(out)).collect(),
        ..Info::default()
    };
    let value = |x: X| {
        Ok(match x {
            X::In(i) => match args[i as usize] {
                Operand::Tensor(t) => Val::Tensor(t.clone()),
                Operand::Number(s) => Val::Number(s),
            },
            _ => Val::Tensor(out.clone()),
        })
    };
    let mut sum: Option<Tensor> = None;
    for (i, t) in tangents.iter().enumerate() {
        let Some(t) = t else { continue };
        let cx = Cx::of(op.id, &info, bit(i), 1);
        let t = t.to(out.dtype())?;
        let t = if op.formula.pointwise { t } else { t.expand(out.shape())? };
        let grads = vjp::run(&op.formula, &cx, &[Some(t)], args.len(), &value)?;
        if let Some(part) = grads.into_iter().nth(i).flatten() {
            sum = Some(match sum {
                Some(s) => s.add(&part)?,
                None => part,
            });
        }
    }
    match sum {
        Some(s) => Ok(Some(s)),
        None => Ok(Some(Tensor::zeros(out.shape(), out.dtype())?)),
    }
}

/// Gives the result of a pointwise call its tangents.
#[cold]
pub(crate) fn pointwise(id: Id, args: &[Operand], out: &Tensor) -> Result<()> {
    for level in visible() {
        let tangents = of(args.iter().map(Operand::tensor), level)?;
        if tangents.iter().all(Option::is_none) {
            continue;
        }
        let _below = Below::new(level);
        if let Some(t) = diagonal(id.op(), args, &tangents, out)? {
            give(out, level, t, &tangents, false)?;
        }
    }
    mirror(out);
    Ok(())
}

/// As [`pointwise`] for a call that wrote its result to `x`, which was `old` before.
#[cold]
pub(crate) fn in_place(id: Id, args: &[Operand], old: &Tensor, x: &Tensor) -> Result<()> {
    let mut args: SmallVec<[Operand; 3]> = SmallVec::from_slice(args);
    args[0] = Operand::Tensor(old);
    for level in visible() {
        let tangents = of(args.iter().map(Operand::tensor), level)?;
        if tangents.iter().all(Option::is_none) {
            continue;
        }
        let _below = Below::new(level);
        let new = diagonal(id.op(), &args, &tangents, x)?;
        written(x, level, new.map(|t| t.to(x.dtype())).transpose()?)?;
    }
    mirror(x);
    Ok(())
}

/// A structured call: its arguments, its tensors slot by slot, and its results.
struct Call<'a> {
    id: Id,
    args: &'a [Value],
    slots: &'a [Option<&'a Tensor>],
    outputs: &'a Outputs,
}

/// Gives the results of a structured call their tangents.
#[cold]
pub(crate) fn structured(
    id: Id,
    s: &Structured,
    args: &[Value],
    slots: &[Option<&Tensor>],
    outputs: &Outputs,
) -> Result<()> {
    if matches!(s.vjp, Vjp::None) {
        return Ok(());
    }
    let call = Call { id, args, slots, outputs };
    for level in visible() {
        let tangents = of(slots.iter().copied(), level)?;
        if tangents.iter().all(Option::is_none) {
            continue;
        }
        let _below = Below::new(level);
        let results = call.tangents(s.vjp, &tangents)?;
        for (out, t) in outputs.iter().zip(results) {
            if let Some(t) = t
                && out.dtype().is_differentiable()
            {
                give(out, level, t, &tangents, call.is_view(out))?;
            }
        }
    }
    outputs.iter().for_each(mirror);
    Ok(())
}

impl Call<'_> {
    fn tangents(&self, vjp: Vjp, tangents: &Tangents) -> Result<Vec<Option<Tensor>>> {
        if self.linear(vjp) {
            let out = call(self.id, &self.args_with(tangents)?)?;
            return Ok(out.into_iter().map(Some).collect());
        }
        if MULTILINEAR.contains(&self.id) {
            let mut sum: Option<Tensor> = None;
            for (i, t) in tangents.iter().enumerate() {
                let Some(t) = t else { continue };
                let mut args = self.args.to_vec();
                args[i] = t.into();
                let part = call1(self.id, &args)?;
                sum = Some(if let Some(s) = sum { s.add(&part)? } else { part });
            }
            return Ok(vec![sum]);
        }
        if SYMMETRIC.contains(&self.id) {
            let wanted = bit(0);
            return Ok(self.vjp(&tangents[..1], wanted)?.into_vec());
        }
        self.transposed(tangents)
    }

    fn is_view(&self, out: &Tensor) -> bool {
        let shares = |t: &&Tensor| t.storage().same(out.storage());
        out.base().is_some() && self.slots.first().copied().flatten().as_ref().is_some_and(shares)
    }

    /// True if the results are linear in all tensors together. A rule that reads no value and no
    /// constant (a zero, for a step function) belongs to an affine operation, whose constant part
    /// can only come from a number among the arguments.
    fn linear(&self, vjp: Vjp) -> bool {
        let formula = &self.id.op().formula;
        let affine = match vjp {
            Vjp::Each(_) | Vjp::Outputs(_) => true,
            _ => {
                let constant = |x: &X| matches!(x, X::Lit(_));
                let constants = formula.steps.iter().any(|s| s.args.iter().any(constant));
                self.slots.len() == 1 && formula.saves(u32::MAX) == 0 && !constants
            }
        };
        let view = self.outputs.iter().any(|t| self.is_view(t));
        view || (affine && !self.args.iter().any(|a| matches!(a, Value::Number(_))))
    }

    /// The arguments with each tensor replaced by its tangent, or zeros.
    fn args_with(&self, tangents: &Tangents) -> Result<Vec<Value>> {
        let mut next = tangents.iter();
        let mut swap = |t: &Tensor| match next.next() {
            Some(Some(t)) => Ok(t.clone()),
            _ => Tensor::zeros(t.shape(), t.dtype()),
        };
        let replace = |a: &Value| {
            Ok(match a {
                Value::Tensor(t) => Value::Tensor(swap(t)?),
                Value::Tensors(list) => {
                    Value::Tensors(list.iter().map(&mut swap).collect::<Result<_>>()?)
                }
                other => other.clone(),
            })
        };
        self.args.iter().map(replace).collect()
    }

    /// The backward rule on gradients of the results.
    fn vjp(&self, grads: &[Option<Tensor>], wanted: u32) -> Result<vjp::Grads> {
        let info = Info {
            args: self.args.iter().map(crate::record::without_tensor).collect(),
            inputs: self.slots.iter().map(|t| crate::record::meta_of(*t)).collect(),
            outputs: self.outputs.iter().map(Meta::from).collect(),
            ..Info::default()
        };
        let value = |x: X| {
            Ok(match x {
                X::In(i) => match self.slots.get(i as usize) {
                    Some(Some(t)) => Val::Tensor((*t).clone()),
                    _ => Val::Missing,
                },
                X::Rest(from) => {
                    let rest = self.slots.iter().skip(from as usize).copied().flatten();
                    Val::Tensors(rest.cloned().collect())
                }
                X::Out(k) => Val::Tensor(self.outputs[k as usize].clone()),
                _ => Val::Missing,
            })
        };
        let cx = Cx::of(self.id, &info, wanted, vjp::given(grads));
        vjp::rule(self.id.op(), &cx, grads, self.slots.len(), &value)
    }

    /// The transpose of the backward rule, applied to the tangents. The rule is linear in the
    /// dummy, but may be written with logarithms of it: so it is one, not zero.
    fn transposed(&self, tangents: &Tangents) -> Result<Vec<Option<Tensor>>> {
        let create_graph = grad_enabled();
        let _on = Guard::with(Mode::RECORDING);
        let dummy = |t: &Tensor| match t.dtype().is_differentiable() {
            true => Tensor::full(t.shape(), 1.0.into(), t.dtype())?.requires_grad_(true).map(Some),
            false => Ok(None),
        };
        let v: Vec<Option<Tensor>> = self.outputs.iter().map(dummy).collect::<Result<_>>()?;
        let has = |(i, t): (usize, &Option<Tensor>)| if t.is_some() { bit(i) } else { 0 };
        let wanted = tangents.iter().enumerate().map(has).fold(0, |a, b| a | b);
        let (mut roots, mut cotangents) = (Vec::new(), Vec::new());
        for (g, t) in self.vjp(&v, wanted)?.into_iter().zip(tangents) {
            if let (Some(g), Some(t)) = (g, t)
                && g.requires_grad()
            {
                roots.push(g);
                cotangents.push(Some(t.clone()));
            }
        }
        let given: Vec<Tensor> = v.iter().flatten().cloned().collect();
        let options = Options { create_graph, retain_graph: create_graph, ..Options::default() };
        let mut found = if roots.is_empty() {
            vec![None; given.len()].into_iter()
        } else {
            engine::grad(&roots, &given, &cotangents, options)?.into_iter()
        };
        let result = |v: &Option<Tensor>| match v {
            None => Ok(None),
            Some(v) => match found.next().flatten() {
                Some(t) => Ok(Some(t)),
                None => Tensor::zeros(v.shape(), v.dtype()).map(Some),
            },
        };
        v.iter().map(result).collect()
    }
}
