//! Deferred pointwise work: large results stay expressions until somebody reads them.
//!
//! A chain of pointwise operations then runs in one pass over memory, with a sum as its last step
//! if one follows. What a user can observe does not change: errors are raised at the call, each
//! step rounds to its dtype, and a write to an input first evaluates what reads it.

use crate::op::Id;
use crate::op::Rule;
use crate::pointwise::{Builder, Operand, Plan, arg_dtype, block, out_strides};
use crate::shape::{Layout, Shape, contiguous_strides};
use crate::sync::guarded;
use crate::{DType, Result, Scalar, Storage, Tensor, bail, saved};
use smallvec::SmallVec;

/// Results of fewer elements are computed at once.
pub(crate) const MIN: usize = 1 << 15;
/// Operations and inputs an expression may have; bounds registers and repeated work.
const MAX_SIZE: usize = 28;

guarded!(enabled: bool = true);
// Ids of all pending storages.
guarded!(pub(crate) alive: Vec<usize> = Vec::new());

/// True if large pointwise results may stay deferred.
pub fn fusion_enabled() -> bool {
    enabled(|e| *e)
}

/// Switches deferring on or off; returns what it was. Results are the same, bit for bit.
pub fn set_fusion(on: bool) -> bool {
    enabled(|e| std::mem::replace(e, on))
}

/// One deferred operation.
pub(crate) struct Pending {
    id: Id,
    args: SmallVec<[Arg; 3]>,
    compute: DType,
    out: DType,
    shape: Shape,
    size: usize,
}

enum Arg {
    Tensor(Tensor),
    Number(Scalar),
}

impl Pending {
    /// True if `t` is all of this expression, in the index space `shape`.
    fn whole(&self, t: &Tensor, shape: &[usize]) -> bool {
        self.shape.as_slice() == shape && t.shape() == shape && t.layout().offset == 0
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        for a in &self.args {
            if let Arg::Tensor(t) = a {
                t.storage().add_reader(-1);
            }
        }
    }
}

/// The deferred result of a call, or None if it should run now.
pub(crate) fn defer(id: Id, plan: &Plan, args: &[Operand]) -> Result<Option<Tensor>> {
    let numel: usize = plan.shape.iter().product();
    if numel < MIN || !fusion_enabled() || !eligible(plan, args) {
        return Ok(None);
    }
    let mut size = 1;
    let mut kept = SmallVec::new();
    for a in args {
        kept.push(match a {
            Operand::Number(n) => {
                size += 1;
                Arg::Number(*n)
            }
            Operand::Tensor(t) => {
                size += match t.storage().pending() {
                    Some(p) if size + p.size <= MAX_SIZE && p.whole(t, &plan.shape) => p.size,
                    Some(_) => {
                        force(t.storage())?;
                        1
                    }
                    None => 1,
                };
                Arg::Tensor(t.detach())
            }
        });
    }
    for a in &kept {
        if let Arg::Tensor(t) = a {
            t.storage().add_reader(1);
        }
    }
    let bytes = numel * plan.out.size();
    let (compute, out) = (plan.compute, plan.out);
    let pending = Pending { id, args: kept, compute, out, shape: plan.shape.clone(), size };
    let storage = Storage::deferred(bytes, Box::new(pending));
    Ok(Some(Tensor::from_parts(storage, Layout::contiguous(&plan.shape), out)))
}

/// Floats of one precision whose result is row-major and whose memory nobody else can write.
fn eligible(plan: &Plan, args: &[Operand]) -> bool {
    let float = |d| matches!(d, DType::F32 | DType::F64);
    float(plan.compute)
        && (plan.out == plan.compute || plan.out == DType::Bool)
        && args.iter().filter_map(Operand::tensor).all(|t| {
            !t.storage().exported()
                && (t.dtype() == plan.compute || t.dtype() == DType::Bool)
                && (!t.storage().is_pending() || t.is_contiguous())
        })
        && out_strides(&plan.shape, args) == contiguous_strides(&plan.shape)
}

/// Turns expressions into one program; a value that several of them use is computed once.
struct Fuser {
    builder: Builder,
    /// Leaves in the order of their registers.
    leaves: Vec<(Storage, Layout, u16)>,
    done: Vec<(Storage, u16)>,
}

impl Fuser {
    fn new() -> Fuser {
        Fuser { builder: Builder::new(), leaves: Vec::new(), done: Vec::new() }
    }

    /// Adds the inputs of an expression; all come before the first step.
    fn load(&mut self, storage: &Storage, shape: &[usize], numbers: &mut Vec<u16>) -> Result<()> {
        if self.done.iter().any(|d| d.0.same(storage)) {
            return Ok(());
        }
        let Some(p) = storage.pending() else { return Ok(()) };
        self.done.push((storage.clone(), u16::MAX));
        for a in &p.args {
            match a {
                Arg::Number(n) => {
                    numbers.push(self.builder.input(&Operand::Number(*n), p.compute, shape)?)
                }
                Arg::Tensor(t) if t.storage().is_pending() => {
                    self.load(t.storage(), shape, numbers)?
                }
                Arg::Tensor(t) => {
                    let known =
                        |l: &(Storage, Layout, u16)| l.0.same(t.storage()) && l.1 == *t.layout();
                    if !self.leaves.iter().any(known) {
                        let reg = self.builder.input(&Operand::Tensor(t), t.dtype(), shape)?;
                        self.leaves.push((t.storage().clone(), t.layout().clone(), reg));
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the steps of an expression, and returns the register of its value. `numbers` are the
    /// registers of the number arguments in the order `load` met them.
    fn emit(&mut self, storage: &Storage, numbers: &mut std::slice::Iter<u16>) -> u16 {
        let at = self.done.iter().position(|d| d.0.same(storage)).unwrap_or(0);
        if self.done[at].1 != u16::MAX {
            return self.done[at].1;
        }
        let Some(p) = storage.pending() else { return 0 };
        let rule = block(p.id).dtype;
        let mut regs: SmallVec<[u16; 3]> = SmallVec::new();
        for (i, a) in p.args.iter().enumerate() {
            let want = arg_dtype(rule, i, p.compute);
            let (reg, has) = match a {
                Arg::Number(_) => (numbers.next().copied().unwrap_or(0), p.compute),
                Arg::Tensor(t) if t.storage().is_pending() => {
                    (self.emit(t.storage(), numbers), t.dtype())
                }
                Arg::Tensor(t) => {
                    let leaf =
                        self.leaves.iter().find(|l| l.0.same(t.storage()) && l.1 == *t.layout());
                    (leaf.map_or(0, |l| l.2), t.dtype())
                }
            };
            regs.push(self.builder.convert(reg, has, want));
        }
        let result = self.builder.op(block(p.id), p.compute, &regs);
        let truth = matches!(rule, Rule::Compare | Rule::Truth);
        let made = if truth { DType::Bool } else { p.compute };
        let result = self.builder.convert(result, made, p.out);
        self.done[at].1 = result;
        result
    }
}

/// Evaluates a pending storage.
#[cold]
pub(crate) fn force(storage: &Storage) -> Result<()> {
    if storage.pending().is_none() {
        bail!(Runtime, "Cannot access data pointer of Tensor that doesn't have storage");
    }
    force_all(std::slice::from_ref(storage))
}

/// Evaluates pending storages, those of one shape together in one pass.
pub(crate) fn force_all(storages: &[Storage]) -> Result<()> {
    let mut rest: Vec<Storage> = storages.iter().filter(|s| s.is_pending()).cloned().collect();
    while let Some(first) = rest.first() {
        let Some(p) = first.pending() else {
            rest.remove(0);
            continue;
        };
        let (shape, mut size) = (p.shape.clone(), 0);
        let group: Vec<Storage> = rest
            .extract_if(.., |s| {
                s.pending().is_some_and(|p| {
                    let ok = p.shape == shape && (size == 0 || size + p.size <= MAX_SIZE);
                    size += if ok { p.size } else { 0 };
                    ok
                })
            })
            .collect();
        run_group(&group, &shape)?;
    }
    Ok(())
}

fn run_group(group: &[Storage], shape: &[usize]) -> Result<()> {
    let mut fuser = Fuser::new();
    let mut numbers = Vec::new();
    for s in group {
        fuser.load(s, shape, &mut numbers)?;
    }
    let mut numbers = numbers.iter();
    let mut results: Vec<(u16, DType)> = Vec::new();
    for s in group {
        let dtype = s.pending().map_or(DType::F32, |p| p.out);
        results.push((fuser.emit(s, &mut numbers), dtype));
    }
    // Expressions are dropped only after the pass that reads their inputs.
    let mut spent = Vec::new();
    for s in group {
        spent.push(s.fulfil()?);
    }
    let outputs: Vec<Tensor> = group
        .iter()
        .zip(&results)
        .map(|(s, r)| Tensor::from_parts(s.clone(), Layout::contiguous(shape), r.1))
        .collect();
    let outs: Vec<(u16, &Tensor)> = results.iter().map(|r| r.0).zip(&outputs).collect();
    fuser.builder.run(shape, &outs)
}

/// The sum over all elements of a pending tensor, in the same pass that evaluates it.
pub(crate) fn sum(t: &Tensor) -> Result<Option<Tensor>> {
    let Some(p) = t.storage().pending() else { return Ok(None) };
    if p.out != t.dtype() || !t.is_contiguous() || p.out == DType::Bool {
        return Ok(None);
    }
    let shape = p.shape.clone();
    if t.numel() != shape.iter().product::<usize>() {
        return Ok(None);
    }
    let mut fuser = Fuser::new();
    let mut numbers = Vec::new();
    fuser.load(t.storage(), &shape, &mut numbers)?;
    let reg = fuser.emit(t.storage(), &mut numbers.iter());
    let out = Tensor::empty(&[], t.dtype())?;
    fuser.builder.run_sum(&shape, reg, &out)?;
    Ok(Some(out))
}

/// To be called before memory is written to: evaluates it, and all that still has to read it.
#[inline]
pub(crate) fn before_write(storage: &Storage) -> Result<()> {
    if storage.is_pending() {
        force(storage)?;
    }
    if storage.readers() > 0 {
        flush()?;
    }
    saved::before_write(storage)
}

/// Evaluates everything that is pending.
pub fn flush() -> Result<()> {
    let ids = alive(|a| a.clone());
    // SAFETY: an id is on the list exactly while its storage is alive.
    let all: Vec<Storage> = ids.into_iter().map(|id| unsafe { Storage::from_id(id) }).collect();
    force_all(&all)
}
