//! Derivatives as data.
//!
//! A derivative rule is ordinary Rust over [`X`], a small `Copy` type whose arithmetic does not
//! compute but writes instructions down. Tracing a rule once gives a [`Formula`], from which follow
//! what a node saves (the values the formula reads), how to evaluate it in one pass over memory,
//! how to run it as recorded tensor operations, and how to print it.

use crate::op::{Cx, Id};
use crate::{Result, Tensor};
use smallvec::{SmallVec, smallvec};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value inside a derivative rule: an input, an output, a gradient, a number, or an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum X {
    /// Input number n of the operation.
    In(u8),
    /// Input number n and all after it: indices.
    Rest(u8),
    /// Output number n.
    Out(u8),
    /// Gradient of output number n.
    Grad(u8),
    Lit(f64),
    /// Argument number n of the call, a number; not in pointwise operations, whose numbers are
    /// inputs.
    Arg(u8),
    /// Result of instruction number n.
    Step(u16),
    /// No gradient: the input is not differentiable.
    None,
}

/// A tensor function used inside rules where arithmetic is not enough. It is made of
/// differentiable operations, or is one.
pub type Verb = fn(&Cx, &[&Tensor]) -> Result<Tensor>;

/// What an instruction does.
#[derive(Clone, Copy)]
pub enum Action {
    Pointwise(Id),
    Verb(&'static str, Verb),
}

/// One instruction of a formula.
#[derive(Clone)]
pub struct Instr {
    pub action: Action,
    pub args: SmallVec<[X; 3]>,
}

/// A derivative rule as data.
#[derive(Clone, Default)]
pub struct Formula {
    pub steps: Vec<Instr>,
    /// The gradient of each input.
    pub grads: SmallVec<[X; 3]>,
    /// For each input's gradient, the values it reads: bit i for input i, bit 8 + k for output k.
    pub reads: SmallVec<[u16; 3]>,
    /// What is saved whichever gradients are wanted, as PyTorch does: outputs, and inputs that
    /// several gradients read.
    pub always: u16,
    /// How many inputs the node has edges for: those up to the last that can have a gradient. All,
    /// if there is none, or the rule is no formula.
    pub tracked: usize,
    /// For each input's gradient, the instructions it needs.
    pub needs: SmallVec<[u64; 3]>,
    /// True if every instruction is pointwise, so the whole can run in one pass.
    pub pointwise: bool,
}

/// A derivative rule: how the gradients of the inputs follow from those of the outputs.
#[derive(Clone, Copy)]
pub enum Vjp {
    /// The operation is not differentiable, or its result is piecewise constant in all inputs.
    None,
    /// Made of differentiable operations; records nothing itself.
    Composed,
    /// `|x, y, g|`: one input, one output.
    One(fn(X, X, X) -> X),
    /// `|a, b, y, g|`
    Two(fn(X, X, X, X) -> (X, X)),
    /// `|a, b, c, y, g|`
    #[allow(clippy::type_complexity)]
    Three(fn(X, X, X, X, X) -> (X, X, X)),
    /// Any number of inputs or outputs, reached by number: `|x, y, g|` are constructors.
    Many(fn() -> Vec<X>),
    /// Inputs in a list: the gradient of input i, which reads nothing saved.
    Each(fn(&Cx, &Tensor, usize) -> Result<Tensor>),
    /// One input, outputs in a list: the gradient from those of the outputs, nothing saved.
    Outputs(fn(&Cx, &[Option<Tensor>]) -> Result<Tensor>),
}

thread_local! {
    static STEPS: RefCell<Vec<Instr>> = const { RefCell::new(Vec::new()) };
}

impl X {
    /// Writes an instruction down.
    pub fn step(action: Action, args: &[X]) -> X {
        STEPS.with_borrow_mut(|s| {
            s.push(Instr { action, args: SmallVec::from_slice(args) });
            X::Step(s.len() as u16 - 1)
        })
    }

    /// Applies a pointwise operation of the table.
    pub fn op(id: Id, args: &[X]) -> X {
        X::step(Action::Pointwise(id), args)
    }

    /// Applies a tensor function.
    pub fn verb(name: &'static str, f: Verb, args: &[X]) -> X {
        X::step(Action::Verb(name, f), args)
    }

    /// `self`; `x` is saved with it because PyTorch saves it, though nothing reads it.
    pub fn saving(self, x: X) -> X {
        X::verb("saving", |_, v| Ok(v[0].clone()), &[self, x])
    }

    /// `self` where `mask` is true, zero elsewhere (also where `self` is not finite).
    pub fn when(self, mask: X) -> X {
        X::op(Id::WHERE, &[mask, self, X::Lit(0.0)])
    }

    /// `self`, made to depend on `x`, with the derivative zero: PyTorch's second gradients of such
    /// rules are zeros and not missing.
    pub fn beside(self, x: X) -> X {
        X::op(Id::BESIDE, &[self, x])
    }

    /// `self` where `mask` is true, `other` elsewhere.
    pub fn when_else(self, mask: X, other: X) -> X {
        X::op(Id::WHERE, &[mask, self, other])
    }
}

macro_rules! verbs_of_x {
    ($($name:ident $id:ident ($($arg:ident),*)),* $(,)?) => {
        impl X {
            $(#[allow(clippy::should_implement_trait)]
            pub fn $name(self $(, $arg: impl Into<X>)*) -> X {
                X::op(Id::$id, &[self $(, $arg.into())*])
            })*
        }
    };
}

verbs_of_x! {
    exp EXP(), log LOG(), sqrt SQRT(), rsqrt RSQRT(), sin SIN(), cos COS(), tan TAN(), tanh TANH(),
    erf ERF(), sinh SINH(), cosh COSH(), sigmoid SIGMOID(), abs ABS(), sgn SIGN(), pow POW(b),
        square SQUARE(),
    gt GT(b), ge GE(b), lt LT(b), le LE(b), eq EQ(b), ne NE(b), and LOGICAL_AND(b),
        or LOGICAL_OR(b),
    recip RECIPROCAL(), floor FLOOR(), trunc_div DIV_TRUNC(b), floor_div DIV_FLOOR_MODE(b),
    is_nan ISNAN(), not LOGICAL_NOT(),
}

impl From<f64> for X {
    fn from(v: f64) -> X {
        X::Lit(v)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $id:ident),*) => { $(
        impl $trait for X {
            type Output = X;
            fn $method(self, b: X) -> X { X::op(Id::$id, &[self, b]) }
        }
        impl $trait<f64> for X {
            type Output = X;
            fn $method(self, b: f64) -> X { X::op(Id::$id, &[self, X::Lit(b)]) }
        }
        impl $trait<X> for f64 {
            type Output = X;
            fn $method(self, b: X) -> X { X::op(Id::$id, &[X::Lit(self), b]) }
        }
    )* };
}
arithmetic!(Add add ADD, Sub sub SUB, Mul mul MUL, Div div DIV);

impl Neg for X {
    type Output = X;
    fn neg(self) -> X {
        X::op(Id::NEG, &[self])
    }
}

/// The bit of input `i` in a set of inputs. From the 32nd on (members of long lists) they share one.
#[inline(always)]
pub(crate) const fn bit(i: usize) -> u32 {
    1 << if i < 31 { i } else { 31 }
}

impl Formula {
    /// Traces a rule.
    pub fn trace(vjp: Vjp) -> Formula {
        STEPS.with_borrow_mut(Vec::clear);
        let (y, g) = (X::Out(0), X::Grad(0));
        let [a, b, c] = [X::In(0), X::In(1), X::In(2)];
        let grads: SmallVec<[X; 3]> = match vjp {
            Vjp::None | Vjp::Composed | Vjp::Each(_) | Vjp::Outputs(_) => {
                return Formula { tracked: usize::MAX, ..Formula::default() };
            }
            Vjp::One(f) => smallvec![f(a, y, g)],
            Vjp::Two(f) => {
                let r = f(a, b, y, g);
                smallvec![r.0, r.1]
            }
            Vjp::Three(f) => {
                let r = f(a, b, c, y, g);
                smallvec![r.0, r.1, r.2]
            }
            Vjp::Many(f) => f().into_iter().collect(),
        };
        let steps = STEPS.take();
        let needs: SmallVec<[u64; 3]> = grads.iter().map(|&x| closure(&steps, x)).collect();
        let reads: SmallVec<[u16; 3]> =
            grads.iter().zip(&needs).map(|(&x, &n)| reads(&steps, x, n)).collect();
        let pointwise = steps.iter().all(|s| matches!(s.action, Action::Pointwise(_)));
        let (mut once, mut always) = (0, 0);
        for r in &reads {
            always |= (once & r) | (r & 0xff00);
            once |= r;
        }
        let tracked = grads.iter().rposition(|&g| g != X::None).map_or(usize::MAX, |last| last + 1);
        Formula { steps, grads, reads, always, tracked, needs, pointwise }
    }

    /// The gradient of input `i`.
    pub fn grad_of(&self, i: usize) -> X {
        self.grads.get(i).copied().unwrap_or(X::None)
    }

    /// True for an input that has an edge but never a gradient, such as a mask before other inputs:
    /// PyTorch's nodes have no edge for it.
    pub fn is_gap(&self, i: usize) -> bool {
        self.grads.get(i) == Some(&X::None) && self.tracked != usize::MAX
    }

    /// The inputs that are saved, in the order in which PyTorch packs them: as the gradients, one
    /// after the other, read them.
    pub(crate) fn packing_order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        for &r in &self.reads {
            let new = (0..8).filter(|i| r >> i & 1 != 0 && !order.contains(i));
            let new: Vec<usize> = new.collect();
            order.extend(new);
        }
        order
    }

    /// What has to be saved so that the gradients of the inputs in `wanted` (a bit set) can be
    /// computed.
    #[inline]
    pub fn saves(&self, wanted: u32) -> u16 {
        let mut mask = self.always;
        for (i, &r) in self.reads.iter().enumerate() {
            if wanted & bit(i) != 0 {
                mask |= r;
            }
        }
        mask
    }

    /// The instructions needed for the gradients of the inputs in `wanted`.
    pub fn steps_for(&self, wanted: u32) -> u64 {
        (0..self.needs.len()).filter(|&i| wanted & bit(i) != 0).fold(0, |m, i| m | self.needs[i])
    }
}

fn closure(steps: &[Instr], x: X) -> u64 {
    debug_assert!(steps.len() <= 64, "a formula has at most 64 steps");
    let X::Step(last) = x else { return 0 };
    let mut set = 1u64 << last;
    for i in (0..=last as usize).rev() {
        if set & (1 << i) != 0 {
            for a in &steps[i].args {
                if let X::Step(s) = a {
                    set |= 1 << s;
                }
            }
        }
    }
    set
}

fn reads(steps: &[Instr], x: X, needs: u64) -> u16 {
    let bit = |x: &X| match x {
        X::In(i) => 1u16 << i,
        X::Rest(i) => (0xff << i) & 0xff,
        X::Out(k) => 256 << k,
        _ => 0,
    };
    let used = steps.iter().enumerate().filter(|(i, _)| needs & (1 << i) != 0);
    used.flat_map(|(_, s)| s.args.iter()).fold(bit(&x), |m, a| m | bit(a))
}
