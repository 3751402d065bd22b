//! The op table. Adding an operation is one block in one of these files, and its name below.

pub(crate) mod convert;
pub mod create;
pub(crate) mod join;
pub(crate) mod loss;
pub(crate) mod pointwise;
pub(crate) mod product;
pub mod reduce;
pub(crate) mod softmax;
pub(crate) mod strided;
pub(crate) mod view;

use crate::op::Block;

/// Which operation; an index into the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Id(pub u16);

macro_rules! table {
    ($($kind:ident $($module:ident)::+ : $($name:ident)+;)*) => {
        $(use $($module)::+::{$($name),+};)*

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Index { $($($name,)+)* }

        #[allow(dead_code)]
        impl Id { $($(pub const $name: Id = Id(Index::$name as u16);)+)* }

        /// All blocks, in the order of the ids.
        pub(crate) static BLOCKS: &[Block] = &[$($(Block::$kind(&$name),)+)*];
    };
}

table! {
    Pointwise pointwise::arithmetic: ADD ADD_ALPHA SUB SUB_ALPHA RSUB MUL DIV DIV_FLOOR DIV_TRUNC
        REMAINDER FMOD NEG ABS SIGN SQUARE RECIPROCAL COPY;
    Pointwise pointwise::power: POW_NUMBER POW POW_BASE SQRT RSQRT EXP EXP2 EXPM1 LOG LOG2 LOG10
        LOG1P;
    Pointwise pointwise::trigonometry: SIN COS TAN ASIN ACOS ATAN ATAN2 SINH COSH TANH ASINH ACOSH
        ATANH;
    Pointwise pointwise::activation: SIGMOID RELU GELU GELU_TANH SILU SOFTPLUS ERF ERFC;
    Pointwise pointwise::rounding: FLOOR CEIL ROUND TRUNC FRAC;
    Pointwise pointwise::compare: EQ NE LT LE GT GE MAXIMUM MINIMUM CLAMP CLAMP_TENSOR CLAMP_MIN
        CLAMP_MAX CLAMP_MIN_TENSOR CLAMP_MAX_TENSOR WHERE;
    Pointwise pointwise::logic: LOGICAL_NOT LOGICAL_AND LOGICAL_OR LOGICAL_XOR BITWISE_AND
        BITWISE_OR BITWISE_XOR BITWISE_NOT SHIFT_LEFT SHIFT_RIGHT ISNAN ISINF ISFINITE;
    Structured view: ALIAS VIEW RESHAPE TRANSPOSE T PERMUTE EXPAND SQUEEZE SQUEEZE_DIM SQUEEZE_DIMS
        UNSQUEEZE FLATTEN SELECT SLICE NARROW UNBIND SPLIT SPLIT_SIZES CHUNK CLONE CLONE_ROWS CONTIGUOUS;
    Structured strided: AS_STRIDED EMBED PART WITH_PART;
    Structured convert: TO_COPY;
    Structured reduce: SUM SUM_DIM MEAN MEAN_DIM;
    Structured join: CAT STACK;
}
