//! A single number outside any tensor.

use crate::{DType, Result, bail};

/// A Python-like number: weak in type promotion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Scalar {
    /// The value in double precision.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => b as u8 as f64,
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
        }
    }

    /// The value truncated to an integer.
    #[inline]
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => b as i64,
            Scalar::Int(i) => i,
            Scalar::Float(f) => f as i64,
        }
    }

    /// The dtype `torch.tensor` would give it: bool, int64 or float64 (standing for the default).
    #[inline]
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => DType::F64,
        }
    }

    /// True for `True`, and for a number other than zero.
    pub fn is_true(self) -> bool {
        self.to_f64() != 0.0
    }

    /// The value itself, if a dtype can hold it; a float is cut to an integer, a negative number
    /// may wrap round in an unsigned one, as in PyTorch.
    ///
    /// # Errors
    /// RuntimeError if it lies outside.
    pub fn fitted(self, dtype: DType) -> Result<Scalar> {
        let (x, bits) = (self.to_f64(), dtype.size() as i32 * 8);
        let fits = match dtype {
            DType::F32 => !x.is_finite() || x.abs() <= f64::from(f32::MAX),
            d if d.is_int() => {
                let top = 2f64.powi(if d.is_signed() { bits - 1 } else { bits });
                let exact = matches!(self, Scalar::Int(_)) && bits == 64;
                exact || (x.trunc() < top && x.trunc() >= -top)
            }
            _ => true,
        };
        if !fits {
            let name = match dtype {
                DType::F32 => "float",
                DType::I32 => "int",
                DType::U8 => "uint8_t",
                DType::I8 => "int8_t",
                DType::I16 => "int16_t",
                DType::U16 => "uint16_t",
                DType::U32 => "uint32_t",
                DType::U64 => "uint64_t",
                _ => "int64_t",
            };
            bail!(Runtime, "value cannot be converted to type {name} without overflow");
        }
        Ok(if dtype.is_int() { Scalar::Int(self.to_i64()) } else { self })
    }

    /// The bytes of this value as an element of `dtype`, converted as PyTorch converts.
    #[inline]
    pub fn bytes(self, dtype: DType) -> [u8; 16] {
        let mut out = [0; 16];
        macro_rules! put {
            ($v:expr) => {{
                let b = $v.to_le_bytes();
                out[..b.len()].copy_from_slice(&b);
            }};
        }
        match dtype {
            DType::F32 => put!((self.to_f64() as f32)),
            DType::F64 | DType::C128 => put!(self.to_f64()),
            DType::C64 => put!((self.to_f64() as f32)),
            DType::F16 => put!(half::f16::from_f64(self.to_f64())),
            DType::BF16 => put!(half::bf16::from_f32(self.to_f64() as f32)),
            DType::Bool => out[0] = self.is_true() as u8,
            DType::U8 | DType::I8 => put!((self.to_i64() as u8)),
            DType::I16 | DType::U16 => put!((self.to_i64() as u16)),
            DType::I32 | DType::U32 => put!((self.to_i64() as u32)),
            DType::I64 | DType::U64 => put!(self.to_i64()),
        }
        out
    }
}

impl From<f64> for Scalar {
    fn from(v: f64) -> Scalar {
        Scalar::Float(v)
    }
}
impl From<i64> for Scalar {
    fn from(v: i64) -> Scalar {
        Scalar::Int(v)
    }
}
impl From<bool> for Scalar {
    fn from(v: bool) -> Scalar {
        Scalar::Bool(v)
    }
}
impl From<i32> for Scalar {
    fn from(v: i32) -> Scalar {
        Scalar::Int(v as i64)
    }
}
