//! Conversion between dtypes.

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::{DType, Result, Tensor, Value, pointwise};
use smallvec::smallvec;

pub(crate) const TO_COPY: Structured = Structured {
    schema: "_to_copy(Tensor self, ScalarType dtype) -> Tensor",
    aliases: &[],
    doc: "A copy in another dtype, in the same memory order.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        let strides = pointwise::out_strides(t.shape(), &[t.into()]);
        let out = Tensor::empty_strided(t.layout().shape.clone(), strides, a.dtype(1)?)?;
        pointwise::copy(t, &out)?;
        Ok(smallvec![out])
    },
    vjp: Vjp::Many(|| {
        let back = |cx: &Cx, g: &[&Tensor]| to_dtype(g[0], cx.input(0).dtype);
        vec![X::verb("to", back, &[X::Grad(0)])]
    }),
    node: "ToCopyBackward0()",
};

/// The tensor itself if it has the dtype, else a recorded copy.
pub(crate) fn to_dtype(t: &Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype {
        return Ok(t.clone());
    }
    call1(Id::TO_COPY, &[t.into(), Value::DType(dtype)])
}

impl Tensor {
    /// The tensor itself if it has the dtype, else a copy; gradients flow through it.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn to(&self, dtype: DType) -> Result<Tensor> {
        to_dtype(self, dtype)
    }
}
