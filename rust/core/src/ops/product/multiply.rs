//! From tensors to the matrix kernels. The only place that knows them.

use crate::ops::convert::to_dtype;
use crate::{DType, Element, Result, Scalar, Tensor, bail, pointwise};
use wengert_kernels::gemm::{self, GemmElement};

/// What is to be computed: `alpha * (a @ b) + beta * added`.
pub(super) struct Product<'a> {
    /// PyTorch's name of the kernel, for the refusal of a dtype.
    pub kernel: &'static str,
    pub a: &'a Tensor,
    pub b: &'a Tensor,
    /// Factor of the product, and the tensor to add with its factor.
    pub alpha: Scalar,
    pub added: Option<(&'a Tensor, Scalar)>,
}

/// Three sizes and strides, in elements: batch, rows, columns.
struct Dims {
    sizes: [usize; 3],
    strides: [isize; 3],
}

/// A tensor of at most three dimensions as a batch of matrices; `place` says at which of the three
/// its own dimensions stand.
fn dims(t: &Tensor, place: &[usize]) -> Dims {
    let mut d = Dims { sizes: [1; 3], strides: [0; 3] };
    for (i, &p) in place.iter().enumerate() {
        d.sizes[p] = t.shape()[i];
        d.strides[p] = t.strides()[i];
    }
    d
}

impl<'a> Product<'a> {
    /// `a @ b` alone.
    pub fn new(kernel: &'static str, a: &'a Tensor, b: &'a Tensor) -> Product<'a> {
        Product { kernel, a, b, alpha: Scalar::Int(1), added: None }
    }

    /// Computes into a fresh row-major tensor of `shape`. A vector on the left is a row, on the
    /// right a column.
    ///
    /// # Errors
    /// NotImplementedError for a dtype without a kernel. The caller has checked shapes and dtypes.
    pub fn run(&self, shape: &[usize]) -> Result<Tensor> {
        let d = self.a.dtype();
        if matches!(d, DType::F16 | DType::BF16) {
            let wide = |t: &Tensor| to_dtype(t, DType::F32);
            let (a, b) = (wide(self.a)?, wide(self.b)?);
            let c = self.added.map(|(t, beta)| Ok((wide(t)?, beta))).transpose()?;
            let added = c.as_ref().map(|(t, beta)| (t, *beta));
            return to_dtype(&Product { a: &a, b: &b, added, ..*self }.run(shape)?, d);
        }
        let kernel = match d {
            DType::F32 => run::<f32>,
            DType::F64 => run::<f64>,
            DType::U8 => run::<u8>,
            DType::I8 => run::<i8>,
            DType::I16 => run::<i16>,
            DType::I32 => run::<i32>,
            DType::I64 => run::<i64>,
            _ => bail!(
                NotImplemented,
                "\"{}\" not implemented for '{}'",
                self.kernel,
                d.scalar_name()
            ),
        };
        let out = Tensor::empty(shape, d)?;
        let mut beta = Scalar::Int(0);
        if let Some((t, factor)) = self.added {
            beta = factor;
            // A factor of 0 keeps NaN out: the tensor is then not read.
            if factor.is_true() {
                pointwise::copy(t, &out)?;
            }
        }
        kernel(self, beta, &out)?;
        Ok(out)
    }

    fn left(&self) -> Dims {
        dims(self.a, [&[2][..], &[1, 2], &[0, 1, 2]][self.a.ndim() - 1])
    }

    fn right(&self) -> Dims {
        dims(self.b, [&[1][..], &[1, 2], &[0, 1, 2]][self.b.ndim() - 1])
    }
}

/// The value as an element.
fn number<T: Element>(s: Scalar) -> T {
    let bytes = s.bytes(T::DTYPE);
    // SAFETY: `bytes` starts with a valid element of T's dtype.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

fn run<T: GemmElement + Element>(p: &Product, beta: Scalar, out: &Tensor) -> Result<()> {
    let (a, b) = (p.left(), p.right());
    let ([batch, m, k], n) = (a.sizes, b.sizes[2]);
    if out.numel() == 0 {
        return Ok(());
    }
    let (alpha, beta) = (number::<T>(p.alpha), number::<T>(beta));
    let (x, y, c) = (p.a.ptr()?.cast::<T>(), p.b.ptr()?.cast::<T>(), out.ptr()?.cast::<T>());
    let rows = [(m * n) as isize, n as isize, 1];
    // SAFETY: the layouts of live tensors whose shapes fit (the caller has checked), and a fresh
    // row-major result of batch * m * n elements, initialised unless beta is 0.
    unsafe {
        if p.a.ndim() == 1 && p.b.ndim() == 1 {
            *c = gemm::dot(k, x, a.strides[2], y, b.strides[1]);
        } else {
            gemm::batched(batch, m, n, k, alpha, x, a.strides, y, b.strides, beta, c, rows);
        }
    }
    Ok(())
}
