//! Type promotion, as PyTorch's `result_type`: dimensioned tensors decide first, then 0-d tensors,
//! then Python numbers, each only if it is of a higher category (bool < integer < float < complex).

use crate::sync::guarded;
use crate::{DType, Result, Scalar, Tensor, bail};

guarded!(default_cell: DType = DType::F32);

/// The dtype of `torch.tensor(1.5)`.
#[inline]
pub fn default_dtype() -> DType {
    default_cell(|d| *d)
}

/// Changes the default dtype.
///
/// # Errors
/// TypeError if it is not a floating dtype.
pub fn set_default_dtype(d: DType) -> Result<()> {
    if !d.is_float() {
        bail!(Type, "only floating-point types are supported as the default type");
    }
    default_cell(|slot| *slot = d);
    Ok(())
}

/// The smallest dtype that holds both.
pub fn promote(a: DType, b: DType) -> DType {
    use DType::*;
    if a == b {
        return a;
    }
    let (lo, hi) = if a < b { (a, b) } else { (b, a) };
    match (lo, hi) {
        (U8, I8) => I16,
        (F16, BF16) => F32,
        (F16 | BF16 | F32, F64) => F64,
        (F64, C64) => C128,
        (_, C64) => C64,
        (U8, U16 | U32 | U64) | (Bool, _) => hi,
        // The wide unsigned types promote with nothing signed; PyTorch refuses, we widen.
        (l, U16 | U32 | U64) if l.is_int() => I64,
        _ => hi,
    }
}

fn category(d: DType) -> u8 {
    match d {
        DType::Bool => 0,
        d if d.is_int() => 1,
        d if d.is_float() => 2,
        _ => 3,
    }
}

/// Collects operands and gives the dtype of their result.
#[derive(Clone, Copy, Default)]
pub struct Promotion {
    dims: Option<DType>,
    zeros: Option<DType>,
    numbers: Option<DType>,
}

impl Promotion {
    #[inline]
    pub fn tensor(&mut self, t: &Tensor) {
        if t.is_wrapped() {
            return self.number_of(t.dtype());
        }
        let slot = if t.ndim() == 0 { &mut self.zeros } else { &mut self.dims };
        *slot = Some(slot.map_or(t.dtype(), |d| promote(d, t.dtype())));
    }

    pub fn number(&mut self, s: Scalar) {
        self.number_of(s.dtype());
    }

    fn number_of(&mut self, d: DType) {
        let d = match d {
            d if d.is_float() => default_dtype(),
            d => d,
        };
        self.numbers = Some(self.numbers.map_or(d, |n| promote(n, d)));
    }

    #[inline]
    pub fn result(&self) -> DType {
        let dims = combine(self.dims, self.zeros);
        combine(dims, self.numbers).unwrap_or(DType::F32)
    }
}

/// `lower` counts only if its category is higher.
fn combine(higher: Option<DType>, lower: Option<DType>) -> Option<DType> {
    match (higher, lower) {
        (Some(h), Some(l)) if category(l) > category(h) => Some(promote(h, l)),
        (Some(h), _) => Some(h),
        (None, l) => l,
    }
}

/// The dtype PyTorch's `torch.result_type` gives for two tensors.
pub fn result_type(tensors: &[&Tensor]) -> DType {
    let mut p = Promotion::default();
    tensors.iter().for_each(|t| p.tensor(t));
    p.result()
}

/// True if a result of dtype `from` may be written in place into `to`.
pub fn can_cast(from: DType, to: DType) -> bool {
    category(from) <= category(to)
}
