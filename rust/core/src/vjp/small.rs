//! Derivatives of few elements: a formula compiled for a dtype and a set of wanted gradients runs
//! in one pass, on the stack.

use super::{Grads, slot};
use crate::formula::{Action, Formula, X, bit};
use crate::op::{Id, Rule};
use crate::pointwise::{Builder, MOST, Rows, as_rows, block};
use crate::shape::{Layout, expandable};
use crate::sync::guarded;
use crate::tape::{Node, Saved};
use crate::{DType, Result, Scalar, Storage, Tensor};
use smallvec::SmallVec;
use wengert_kernels::program::{self, Program};

/// A formula compiled for one dtype and one set of wanted gradients.
struct Compiled {
    program: Program,
    loads: SmallVec<[X; 6]>,
    /// Inputs whose gradient is the value of a register, in order.
    targets: SmallVec<[u8; 3]>,
}

// Never freed: there are as many as pairs of a formula and a set of gradients.
guarded!(compiled: Vec<Option<Option<&'static Compiled>>> = Vec::new());

fn lookup(id: Id, formula: &Formula, dtype: DType, wanted: u32) -> Option<&'static Compiled> {
    let at = (id.0 as usize * 2 + (dtype == DType::F64) as usize) * 8 + (wanted & 7) as usize;
    if let Some(hit) = compiled(|c| c.get(at).copied().flatten()) {
        return hit;
    }
    let made = compile(formula, dtype, wanted).map(|c| &*Box::leak(Box::new(c)));
    compiled(|c| {
        if c.len() <= at {
            c.resize(at + 1, None);
        }
        c[at] = Some(made);
    });
    made
}

fn compile(formula: &Formula, dtype: DType, wanted: u32) -> Option<Compiled> {
    let needed = formula.steps_for(wanted);
    let mut builder = Builder::new();
    builder.program.element = dtype.size();
    let mut loads: SmallVec<[X; 6]> = SmallVec::new();
    let mut load = |x: X, b: &mut Builder| {
        if !matches!(x, X::Step(_) | X::None) && !loads.contains(&x) {
            loads.push(x);
            b.program.inputs += 1;
            b.program.registers += 1;
        }
    };
    for (i, s) in formula.steps.iter().enumerate() {
        if needed & (1 << i) != 0 {
            s.args.iter().for_each(|&a| load(a, &mut builder));
        }
    }
    let mut targets = SmallVec::new();
    for i in 0..formula.grads.len() {
        if wanted & bit(i) != 0 {
            load(formula.grads[i], &mut builder);
        }
    }
    let mut regs = vec![0u16; formula.steps.len()];
    let mut types = vec![dtype; formula.steps.len()];
    for (i, s) in formula.steps.iter().enumerate() {
        if needed & (1 << i) == 0 {
            continue;
        }
        let Action::Pointwise(id) = s.action else { return None };
        if id == Id::BESIDE {
            // Only a recorded run sees what it is for.
            let X::Step(n) = s.args[0] else { return None };
            (regs[i], types[i]) = (regs[n as usize], types[n as usize]);
            continue;
        }
        let p = block(id);
        p.forward.get(if p.dtype == Rule::Truth { DType::Bool } else { dtype })?;
        let compute = if p.dtype == Rule::Truth { DType::Bool } else { dtype };
        let mut args: SmallVec<[u16; 3]> = SmallVec::new();
        for (k, &a) in s.args.iter().enumerate() {
            let (reg, has) = match a {
                X::Step(n) => (regs[n as usize], types[n as usize]),
                x => (loads.iter().position(|&l| l == x)? as u16, dtype),
            };
            args.push(builder.convert(reg, has, crate::pointwise::arg_dtype(p.dtype, k, compute)));
        }
        regs[i] = builder.op(p, compute, &args);
        types[i] = if matches!(p.dtype, Rule::Compare | Rule::Truth) { DType::Bool } else { dtype };
    }
    for (i, &g) in formula.grads.iter().enumerate() {
        if wanted & bit(i) == 0 {
            continue;
        }
        let reg = match g {
            X::Step(n) if types[n as usize] == dtype => regs[n as usize],
            X::Step(_) => return None,
            X::None | X::Grad(_) => continue,
            x => loads.iter().position(|&l| l == x)? as u16,
        };
        builder.program.results.push(reg);
        targets.push(i as u8);
    }
    if builder.program.registers > 32 {
        return None;
    }
    Some(Compiled { program: builder.program, loads, targets })
}

/// One pass for few elements, if all that takes part is of one dtype, and broadcasts to `g`.
pub(super) fn apply(
    node: &Node,
    formula: &Formula,
    g: &Tensor,
    wanted: u32,
) -> Result<Option<Grads>> {
    let n = g.numel();
    let dtype = g.dtype();
    if n > MOST || !matches!(dtype, DType::F32 | DType::F64) {
        return Ok(None);
    }
    let Some(c) = lookup(node.op(), formula, dtype, wanted) else { return Ok(None) };
    let mut inputs: SmallVec<[program::Small; 6]> = SmallVec::new();
    let mut rooms = [const { Rows::new() }; 4];
    let mut rooms = rooms.iter_mut();
    for &x in &c.loads {
        inputs.push(match x {
            X::Grad(_) => {
                let Some(room) = rooms.next() else { return Ok(None) };
                program::Small::Memory(as_rows(g, g.shape(), room)?)
            }
            X::Lit(v) => program::Small::Number(Scalar::Float(v).bytes(dtype)),
            x => match slot(node, x).and_then(|i| node.saved().get(i)) {
                Some(Saved::Number(s)) => program::Small::Number(s.bytes(dtype)),
                Some(Saved::Input(t, _) | Saved::Output(t, ..))
                    if t.dtype() == dtype && expandable(t.shape(), g.shape()) =>
                {
                    let Some(room) = rooms.next() else { return Ok(None) };
                    program::Small::Memory(as_rows(t, g.shape(), room)?)
                }
                _ => return Ok(None),
            },
        });
    }
    let mut out = Grads::new();
    (0..node.edges().len()).for_each(|_| out.push(None));
    let mut outputs: SmallVec<[*mut u8; 3]> = SmallVec::new();
    for &i in &c.targets {
        let storage = Storage::new(n * dtype.size())?;
        let t = Tensor::from_parts(storage, Layout::contiguous(g.shape()), dtype);
        outputs.push(t.ready_ptr());
        out[i as usize] = Some(t);
    }
    // SAFETY: every pointer holds `n` elements of `dtype` in a row, the node keeps the inputs alive,
    // and the outputs are fresh.
    unsafe { program::run_small(&c.program, n, dtype.size(), &inputs, &outputs) };
    for (i, &x) in formula.grads.iter().enumerate() {
        if wanted & bit(i) != 0 && matches!(x, X::Grad(_)) {
            out[i] = Some(g.clone());
        }
    }
    Ok(Some(out))
}
