//! The op table. Adding an operation is one block in one of these files, and its name below.

pub(crate) mod composed;
pub(crate) mod convert;
pub mod create;
pub(crate) mod draws;
pub(crate) mod index;
pub(crate) mod join;
pub(crate) mod loss;
pub(crate) mod nn;
pub(crate) mod order;
pub(crate) mod pointwise;
pub(crate) mod product;
pub mod ranges;
pub(crate) mod rearrange;
pub mod reduce;
pub(crate) mod reshaping;
pub(crate) mod scan;
pub(crate) mod slice;
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
    Pointwise pointwise::arithmetic: ADD ADD_ALPHA SUB SUB_ALPHA RSUB RSUB_TENSOR RSUB_NUMBER MUL
        DIV DIV_FLOOR DIV_FLOOR_MODE DIV_TRUNC DIV_TRUE_MODE REMAINDER REMAINDER_NUMBER
        REMAINDER_BASE FMOD FMOD_NUMBER NEG ABS SIGN SQUARE RECIPROCAL COPY;
    Pointwise pointwise::power: CUBE INVERSE_SQUARE POW POW_BASE POW_NUMBER SQRT RSQRT EXP EXP2
        EXPM1 LOG LOG2 LOG10 LOG1P;
    Pointwise pointwise::trigonometry: SIN COS TAN ASIN ACOS ATAN ATAN2 SINH COSH TANH ASINH ACOSH
        ATANH;
    Pointwise pointwise::activation: SIGMOID RELU GELU GELU_TANH SILU SOFTPLUS ERF ERFC;
    Pointwise pointwise::rounding: FLOOR CEIL ROUND TRUNC FRAC;
    Pointwise pointwise::compare: EQ NE LT LE GT GE EQ_TENSOR NE_TENSOR LT_TENSOR LE_TENSOR
        GT_TENSOR GE_TENSOR MAXIMUM MINIMUM FMAX FMIN CLAMP CLAMP_TENSOR CLAMP_MIN_TENSOR CLAMP_MIN
        CLAMP_MAX_TENSOR CLAMP_MAX CLAMP_LOW CLAMP_HIGH CLAMP_LOW_TENSOR CLAMP_HIGH_TENSOR WHERE;
    Pointwise pointwise::logic: LOGICAL_NOT LOGICAL_AND LOGICAL_OR LOGICAL_XOR BITWISE_AND
        BITWISE_OR BITWISE_XOR BITWISE_NOT SHIFT_LEFT SHIFT_RIGHT ISNAN ISINF ISFINITE;
    Structured view: ALIAS VIEW RESHAPE TRANSPOSE T PERMUTE EXPAND SQUEEZE SQUEEZE_DIM SQUEEZE_DIMS
        UNSQUEEZE FLATTEN CLONE CLONE_ROWS CONTIGUOUS;
    Structured slice: SELECT SLICE NARROW UNBIND SPLIT SPLIT_SIZES CHUNK;
    Structured strided: AS_STRIDED EMBED PART WITH_PART;
    Structured convert: TO_COPY;
    Structured draws: BERNOULLI POISSON;
    Structured reduce: SUM SUM_DIM SUM_TO_SIZE MEAN MEAN_DIM NANMEAN;
    Structured reduce::extremum: MAX MAX_OTHER MAX_DIM MIN MIN_OTHER MIN_DIM AMAX AMIN ARGMAX ARGMIN
        AMINMAX;
    Structured reduce::moments: VAR VAR_ALL VAR_DIM VAR_CORRECTION STD STD_ALL STD_DIM
        STD_CORRECTION VAR_MEAN VAR_MEAN_ALL VAR_MEAN_DIM VAR_MEAN_CORRECTION STD_MEAN STD_MEAN_ALL
        STD_MEAN_DIM STD_MEAN_CORRECTION;
    Structured reduce::norm: LOGSUMEXP VECTOR_NORM VECTOR_NORM_0 LINALG_VECTOR_NORM NORM NORM_NAME;
    Structured reduce::linalg: MATRIX_NORM MATRIX_NORM_NAME LINALG_NORM LINALG_NORM_NAME;
    Structured reduce::product: PROD PROD_DIM NANSUM NANSUM_DIM;
    Structured reduce::truth: ANY ANY_DIM ANY_DIMS ALL ALL_DIM ALL_DIMS COUNT_NONZERO
        COUNT_NONZERO_DIMS;
    Structured scan: CUMSUM CUMPROD RECURRENCE CUMMAX CUMMIN LOGCUMSUMEXP;
    Structured rearrange: FLIP ROLL TRIL TRIU REPEAT TILE;
    Structured reshaping: DIAGONAL MOVEDIM MOVEDIMS EXPAND_AS VIEW_AS RESHAPE_AS UNFLATTEN RAVEL;
    Structured index: INDEX INDEX_SPREAD INDEX_PUT;
    Structured index::vector: INDEX_SELECT INDEX_SELECT_SPREAD INDEX_ADD INDEX_COPY
        INDEX_FILL_TENSOR INDEX_FILL;
    Structured index::scatter: GATHER SPREAD TAKE_ALONG_DIM SCATTER SCATTER_VALUE SCATTER_HOW
        SCATTER_VALUE_HOW SCATTER_ADD;
    Structured index::reduce: SCATTER_REDUCE INDEX_REDUCE;
    Structured index::flat: TAKE PUT MASKED_SELECT MASKED_SCATTER;
    Structured order: SORT SORT_STABLE MSORT ARGSORT ARGSORT_STABLE TOPK KTHVALUE MEDIAN MEDIAN_DIM
        NANMEDIAN NANMEDIAN_DIM MODE;
    Structured order::search: SEARCHSORTED SEARCHSORTED_NUMBER BUCKETIZE BUCKETIZE_NUMBER BINCOUNT
        HISTC;
    Structured order::unique: UNIQUE UNIQUE_DIM UNIQUE_CONSECUTIVE UNIQUE_CONSECUTIVE_DIM;
    Structured index::places: NONZERO NONZERO_TUPLE WHERE_ONE;
    Structured composed: CLAMP_TENSORS CLAMP_NUMBERS DIV_MODE ROUND_DECIMALS MASKED_FILL_TENSOR
        MASKED_FILL LERP_TENSORS LERP_NUMBER ADDCMUL ADDCDIV ISCLOSE ALLCLOSE EQUAL
        POSITIVE FLOAT_POWER FLOAT_POWER_BASE FLOAT_POWER_NUMBER;
    Pointwise pointwise::blend: LERP LERP_TENSOR LOGADDEXP LOGADDEXP2 XLOGY XLOGY_SELF XLOGY_OTHER
        HYPOT SINC DEG2RAD RAD2DEG;
    Pointwise pointwise::rectifier: LEAKY_RELU ELU SELU CELU HARDTANH MISH HARDSWISH HARDSIGMOID
        LOGSIGMOID HARDSHRINK SOFTSHRINK THRESHOLD;
    Structured nn: RELU_NN SILU_NN GELU_NN LEAKY_RELU_NN ELU_NN SELU_NN CELU_NN HARDTANH_NN RELU6_NN
        MISH_NN HARDSWISH_NN HARDSIGMOID_NN LOGSIGMOID_NN HARDSHRINK_NN SOFTSHRINK_NN THRESHOLD_NN
        SOFTSIGN_NN TANHSHRINK_NN;
    Structured loss::elementwise: MSE_LOSS SQUARED_LOSS L1_LOSS SMOOTH_L1_LOSS SMOOTH_LOSS
        HUBER_LOSS HUBER_REDUCED;
    Pointwise loss::elementwise: HUBER SMOOTH_SLOPE;
    Structured loss::binary: BINARY_CROSS_ENTROPY BINARY_LOSS BINARY_LOGITS LOGITS LOGITS_POSITIVE
        SOFT_MARGIN_LOSS SOFT_MARGIN MULTILABEL_SOFT_MARGIN_LOSS;
    Structured loss::likelihood: KL_DIV POISSON_NLL_LOSS GAUSSIAN_NLL_LOSS;
    Structured loss::classes: NLL_LOSS NLL NLL_2D NLL_BACK CROSS_ENTROPY ONE_HOT;
    Structured loss::distance: COSINE_SIMILARITY PAIRWISE_DISTANCE MARGIN_RANKING_LOSS
        HINGE_EMBEDDING_LOSS COSINE_EMBEDDING_LOSS TRIPLET_MARGIN_LOSS;
    Structured join: CAT STACK HSTACK VSTACK DSTACK COLUMN_STACK;
    Structured product: MATMUL MM MM_ORDERED BMM MV DOT VDOT OUTER ADDMM ADDMM_ORDERED ADDMV ADDR
        BADDBMM ADDBMM
        LINEAR BILINEAR UNSAFE_VIEW SQUEEZED INNER TENSORDOT KRON EINSUM;
    Structured softmax: SOFTMAX LOG_SOFTMAX SOFTMAX_NN LOG_SOFTMAX_NN SOFTMIN SOFTMAX_ROWS
        LOG_SOFTMAX_ROWS SOFTMAX_BACK LOG_SOFTMAX_BACK;
}
