//! The op table: what an operation is, and the list of all of them.

use crate::formula::{Formula, Vjp, bit};
use crate::schema::{Param, Schema, Type};
use crate::tape::{Info, Meta};
use crate::value::Args;
use crate::{Error, Result, Tensor, Value, batch};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::OnceLock;
use wengert_kernels::pointwise::Kernels;

pub use crate::ops::Id;
pub use crate::record::{check_out, out_anywhere, write_out};

/// The tensors an operation returns.
pub type Outputs = SmallVec<[Tensor; 1]>;

/// An operation that treats each element by itself.
///
/// All fields are the operation's contract; leaving one out does not compile.
#[derive(Clone, Copy)]
pub struct Pointwise {
    /// PyTorch's signature. Tensor and number parameters are the inputs, in order.
    pub schema: &'static str,
    /// Other names PyTorch gives it.
    pub aliases: &'static [&'static str],
    pub doc: &'static str,
    pub forms: Forms,
    pub dtype: Rule,
    pub forward: Kernels,
    pub vjp: Vjp,
    /// PyTorch's name of the node (`TanhBackward0`); in brackets, which numbers its object shows
    /// where these are not the arguments: `SumBackward1(dim, keepdim, self_sym_sizes)`.
    pub node: &'static str,
    /// Where each input is drawn from when the operation is tested.
    pub samples: &'static [Range],
}

/// Any other operation.
#[derive(Clone, Copy)]
pub struct Structured {
    pub schema: &'static str,
    pub aliases: &'static [&'static str],
    pub doc: &'static str,
    pub forms: Forms,
    pub forward: fn(Args) -> Result<Outputs>,
    pub vjp: Vjp,
    /// As in [`Pointwise`]: `MaxBackward1`.
    pub node: &'static str,
}

/// Under which forms Python sees an operation; a set of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Forms(pub u8);

impl Forms {
    pub const FUNCTION: Forms = Forms(1);
    pub const METHOD: Forms = Forms(2);
    /// `name_`, which writes into its first argument.
    pub const IN_PLACE: Forms = Forms(4);
    /// In `torch.nn.functional`.
    pub const NN: Forms = Forms(8);
    /// In `torch.linalg`, without the `linalg_` of its schema.
    pub const LINALG: Forms = Forms(16);
    /// `name_`, which changes only the layout of its first argument.
    pub const LAYOUT: Forms = Forms(4 | 32);
    /// Not visible by itself.
    pub const HIDDEN: Forms = Forms(0);
    pub const BOTH: Forms = Forms(3);
    pub const ALL: Forms = Forms(7);

    pub const fn and(self, other: Forms) -> Forms {
        Forms(self.0 | other.0)
    }

    pub const fn has(self, other: Forms) -> bool {
        self.0 & other.0 != 0
    }
}

/// How the dtype of the result follows from the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The promoted dtype of all inputs.
    Promote,
    /// The same, but no input may be bool.
    PromoteNoBool,
    /// The promoted dtype of the first two inputs, neither of which may be bool if there is no
    /// kernel for it; the third is a factor of the second.
    Alpha,
    /// The promoted dtype of all inputs; bool becomes int64.
    Whole,
    /// The same; integers become the default float.
    Float,
    /// Computed in the promoted dtype, result bool.
    Compare,
    /// Computed on truth values, result bool.
    Truth,
    /// The first input is a bool mask; the others promote.
    Mask,
    /// The dtype of the first input; the others are converted to it.
    First,
}

/// An interval test values are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Range(pub f64, pub f64);

/// One entry of the table.
#[derive(Clone, Copy)]
pub enum Block {
    Pointwise(&'static Pointwise),
    Structured(&'static Structured),
}

/// What is derived from a block.
pub struct Op {
    pub id: Id,
    pub block: Block,
    pub schema: Schema,
    pub formula: Formula,
    /// The inputs that the rule reads and that are tensors: bit i for input i. A number in such a
    /// place is freed as a tensor would be.
    pub(crate) reads: u32,
    /// PyTorch's name of the node.
    pub node: &'static str,
    /// What the object of the node shows besides tensors, if that is not the arguments.
    pub shows: Option<&'static str>,
}

impl Block {
    pub fn schema(&self) -> &'static str {
        match self {
            Block::Pointwise(p) => p.schema,
            Block::Structured(s) => s.schema,
        }
    }

    pub fn doc(&self) -> &'static str {
        match self {
            Block::Pointwise(p) => p.doc,
            Block::Structured(s) => s.doc,
        }
    }

    pub fn vjp(&self) -> Vjp {
        match self {
            Block::Pointwise(p) => p.vjp,
            Block::Structured(s) => s.vjp,
        }
    }

    pub fn forms(&self) -> Forms {
        match self {
            Block::Pointwise(p) => p.forms,
            Block::Structured(s) => s.forms,
        }
    }

    pub fn aliases(&self) -> &'static [&'static str] {
        match self {
            Block::Pointwise(p) => p.aliases,
            Block::Structured(s) => s.aliases,
        }
    }
}

/// All operations, in the order of their ids.
#[inline]
pub fn all() -> &'static [Op] {
    static OPS: OnceLock<Vec<Op>> = OnceLock::new();
    OPS.get_or_init(|| crate::ops::BLOCKS.iter().enumerate().map(|(i, b)| derive(i, *b)).collect())
}

fn derive(index: usize, block: Block) -> Op {
    let schema = Schema::parse(block.schema());
    let formula = Formula::trace(block.vjp());
    let tensor = |p: &Param| matches!(p.ty, Type::Tensor | Type::Operand);
    let tensors = schema.params.iter().enumerate().filter(|(_, p)| tensor(p));
    let reads = formula.saves(u32::MAX) as u32 & 255 & tensors.fold(0, |m, (i, _)| m | bit(i));
    let text = match block {
        Block::Pointwise(p) => p.node,
        Block::Structured(s) => s.node,
    };
    let (node, shows) = match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        Some((name, shows)) => (name, Some(shows)),
        None => (text, None),
    };
    Op { id: Id(index as u16), block, schema, formula, reads, node, shows }
}

/// The operations of a name, in the order of the table (the order overloads are tried in).
pub fn by_name(name: &str) -> &'static [Id] {
    static NAMES: OnceLock<HashMap<&'static str, Vec<Id>>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let mut map: HashMap<&'static str, Vec<Id>> = HashMap::new();
        for op in all() {
            let names = std::iter::once(op.schema.name.as_str());
            for name in names.chain(op.block.aliases().iter().copied()) {
                map.entry(name).or_default().push(op.id);
            }
        }
        map
    });
    names.get(name).map_or(&[], Vec::as_slice)
}

impl Id {
    #[inline]
    pub fn op(self) -> &'static Op {
        &all()[self.0 as usize]
    }

    #[inline(always)]
    pub fn block(self) -> Block {
        crate::ops::BLOCKS[self.0 as usize]
    }

    pub fn name(self) -> &'static str {
        &self.op().schema.name
    }

    pub fn node_name(self) -> &'static str {
        self.op().node
    }
}

/// What a rule can ask of the call it differentiates.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    pub id: Id,
    pub args: Args<'a>,
    pub inputs: &'a [Meta],
    pub outputs: &'a [Meta],
    /// Which inputs need a gradient.
    pub wanted: u32,
    /// Which outputs have a gradient; zeros stand for the others.
    pub given: u32,
}

impl<'a> Cx<'a> {
    pub fn of(id: Id, info: &'a Info, wanted: u32, given: u32) -> Cx<'a> {
        let (inputs, outputs) = (&info.inputs, &info.outputs);
        Cx { id, args: Args(&info.args), inputs, outputs, wanted, given }
    }

    /// Shape and dtype of input `i`.
    pub fn input(&self, i: usize) -> &'a Meta {
        &self.inputs[i]
    }
}

/// Calls an operation by id, recording it if needed.
pub fn call(id: Id, args: &[Value]) -> Result<Outputs> {
    if batch::active()
        && !matches!(id.block().vjp(), Vjp::Composed)
        && let Some(level) = batch::level_of(args)
    {
        return batch::call(id, args, level);
    }
    match id.block() {
        Block::Pointwise(_) => {
            let operands: SmallVec<[crate::pointwise::Operand; 3]> =
                args.iter().map(crate::pointwise::Operand::from_value).collect::<Result<_>>()?;
            Ok(smallvec::smallvec![crate::pointwise::call(id, &operands)?])
        }
        Block::Structured(s) => crate::record::structured(id, s, args),
    }
}

/// Calls an operation that returns one tensor.
pub fn call1(id: Id, args: &[Value]) -> Result<Tensor> {
    let mut out = call(id, args)?;
    out.pop().ok_or_else(|| no_output(id))
}

/// Calls the in-place form of an operation: the result goes into the first argument.
///
/// # Errors
/// PyTorch's, for results of another shape or of a dtype that does not fit, and for writes that
/// autograd forbids.
pub fn call_in_place(id: Id, args: &[Value]) -> Result<Tensor> {
    if let Block::Structured(s) = id.block() {
        if batch::active()
            && let Some(level) = batch::level_of(args)
        {
            return batch::structured_in_place(id, args, level);
        }
        return if s.forms.has(Forms(32)) {
            crate::views::relayout(id, s, args)
        } else {
            crate::record::structured_in_place(id, args)
        };
    }
    let operands: SmallVec<[crate::pointwise::Operand; 3]> =
        args.iter().map(crate::pointwise::Operand::from_value).collect::<Result<_>>()?;
    crate::pointwise::in_place(id, &operands)
}

fn no_output(id: Id) -> Error {
    crate::err!(Runtime, "{} returned nothing", id.name())
}
