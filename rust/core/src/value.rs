//! Arguments of operations.

use crate::{DType, Result, Scalar, Tensor, bail};
use smallvec::SmallVec;

/// One argument of a call, as the signature types it.
#[derive(Clone)]
pub enum Value {
    /// An optional argument that was not given.
    None,
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    /// Indices, one for each leading dimension (a mask covers several); None for all of one.
    Indices(Vec<Option<Tensor>>),
    Number(Scalar),
    Int(i64),
    Bool(bool),
    Ints(SmallVec<[i64; 4]>),
    DType(DType),
    Str(String),
}

/// Arguments of one call, in the order of the signature.
#[derive(Clone, Copy)]
pub struct Args<'a>(pub &'a [Value]);

macro_rules! getters {
    ($($name:ident $opt:ident: $variant:pat => $value:expr, $t:ty, $what:literal;)*) => { $(
        pub fn $name(&self, i: usize) -> Result<$t> {
            match self.get(i) { $variant => Ok($value), _ => self.wrong(i, $what) }
        }
        /// As the one above; None where the argument was left out.
        pub fn $opt(&self, i: usize) -> Result<Option<$t>> {
            if matches!(self.get(i), Value::None) { Ok(None) } else { self.$name(i).map(Some) }
        }
    )* };
}

impl<'a> Args<'a> {
    pub fn get(&self, i: usize) -> &'a Value {
        self.0.get(i).unwrap_or(&Value::None)
    }

    fn wrong<T>(&self, i: usize, what: &str) -> Result<T> {
        bail!(Type, "argument {i} must be {what}")
    }

    getters! {
        tensor opt_tensor: Value::Tensor(t) => t, &'a Tensor, "a Tensor";
        tensors opt_tensors: Value::Tensors(t) => t, &'a [Tensor], "a list of Tensors";
        indices opt_indices: Value::Indices(t) => t, &'a [Option<Tensor>], "a list of Tensors";
        number opt_number: Value::Number(s) => *s, Scalar, "a number";
        int opt_int: Value::Int(v) => *v, i64, "an int";
        bool opt_bool: Value::Bool(v) => *v, bool, "a bool";
        ints opt_ints: Value::Ints(v) => v, &'a [i64], "a tuple of ints";
        dtype opt_dtype: Value::DType(d) => *d, DType, "a dtype";
        str opt_str: Value::Str(s) => s, &'a str, "a str";
    }
}

impl From<&Tensor> for Value {
    fn from(t: &Tensor) -> Value {
        Value::Tensor(t.clone())
    }
}
impl From<Tensor> for Value {
    fn from(t: Tensor) -> Value {
        Value::Tensor(t)
    }
}
impl From<Option<&Tensor>> for Value {
    fn from(t: Option<&Tensor>) -> Value {
        t.map_or(Value::None, Value::from)
    }
}
impl From<Scalar> for Value {
    fn from(s: Scalar) -> Value {
        Value::Number(s)
    }
}
impl From<f64> for Value {
    fn from(s: f64) -> Value {
        Value::Number(Scalar::Float(s))
    }
}
impl From<i64> for Value {
    fn from(v: i64) -> Value {
        Value::Int(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Value {
        Value::Bool(v)
    }
}
impl From<&[i64]> for Value {
    fn from(v: &[i64]) -> Value {
        Value::Ints(SmallVec::from_slice(v))
    }
}
impl From<DType> for Value {
    fn from(d: DType) -> Value {
        Value::DType(d)
    }
}
impl From<Option<DType>> for Value {
    fn from(d: Option<DType>) -> Value {
        d.map_or(Value::None, Value::DType)
    }
}
impl From<Vec<Tensor>> for Value {
    fn from(v: Vec<Tensor>) -> Value {
        Value::Tensors(v)
    }
}
