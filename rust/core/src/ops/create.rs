//! Fresh tensors from numbers, and numbers from tensors.

use crate::mode::grad_enabled;
use crate::record::{edge_of, no_derivative};
use crate::shape::{Layout, broadcast, check_output, contiguous_strides};
use crate::tensor::checked_bytes;
use crate::{DType, Result, Scalar, Storage, Tensor, bail, lazy, pointwise, views};
use wengert_kernels::Element;
use wengert_kernels::pointwise::fill;

impl Tensor {
    /// Every element the same.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn full(shape: &[usize], value: Scalar, dtype: DType) -> Result<Tensor> {
        let t = Tensor::empty(shape, dtype)?;
        // SAFETY: fresh, row-major memory of `numel` elements.
        unsafe { fill(dtype.size(), t.ready_ptr(), &value.bytes(dtype), t.numel()) };
        Ok(t)
    }

    /// Every element 0.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Tensor> {
        let t = Tensor::empty(shape, dtype)?;
        // SAFETY: fresh memory; all-zero bytes are zero in every dtype.
        unsafe { std::ptr::write_bytes(t.ready_ptr(), 0, t.numel() * dtype.size()) };
        Ok(t)
    }

    /// A vector of the given numbers.
    ///
    /// # Panics
    /// When the memory cannot be had.
    pub fn from_slice<T: Element>(values: &[T]) -> Tensor {
        let t = Tensor::empty(&[values.len()], T::DTYPE).expect("memory for a slice's copy");
        // SAFETY: fresh memory of the slice's length and type.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), t.ready_ptr().cast(), values.len())
        };
        t
    }

    /// A tensor with a copy of the bytes of its elements.
    ///
    /// # Errors
    /// ValueError if the layout is not row-major, or the number of bytes is another.
    pub fn from_bytes(layout: Layout, dtype: DType, bytes: &[u8]) -> Result<Tensor> {
        let t = Tensor::empty(&layout.shape, dtype)?;
        if bytes.len() != t.numel() * dtype.size() || *t.layout() != layout {
            bail!(Value, "expected {} bytes, got {}", t.numel() * dtype.size(), bytes.len());
        }
        // SAFETY: fresh memory of as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), t.ready_ptr(), bytes.len()) };
        Ok(t)
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// TypeError if `T` is not the tensor's element type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            bail!(Type, "expected elements of {}, got {}", self.dtype().name(), T::DTYPE.name());
        }
        let rows = Tensor::empty(self.shape(), self.dtype())?;
        pointwise::copy(self, &rows)?;
        // SAFETY: row-major, `numel` initialised elements of type T.
        Ok(unsafe { std::slice::from_raw_parts(rows.ptr()?.cast::<T>(), self.numel()) }.to_vec())
    }

    /// The value of a one-element tensor.
    ///
    /// # Errors
    /// RuntimeError if it has another number of elements.
    pub fn item(&self) -> Result<Scalar> {
        if crate::batch::is_batched(self) {
            bail!(
                Runtime,
                "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please try to rewrite what you're doing with other operations. If error is occurring somewhere inside PyTorch internals, please file a bug report."
            );
        }
        if self.numel() != 1 {
            bail!(Runtime, "a Tensor with {} elements cannot be converted to Scalar", self.numel());
        }
        self.ptr()?;
        // SAFETY: the first element exists, and nothing is pending.
        Ok(unsafe { self.read(0) })
    }

    /// The element at an index, one number per dimension.
    ///
    /// # Errors
    /// RuntimeError when evaluating needs memory that cannot be had.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn get(&self, index: &[usize]) -> Result<Scalar> {
        assert_eq!(index.len(), self.ndim(), "one number per dimension");
        let mut at = 0;
        for ((&i, &n), &s) in index.iter().zip(self.shape()).zip(self.strides()) {
            assert!(i < n, "index {i} out of range {n}");
            at += i as isize * s;
        }
        self.ptr()?;
        // SAFETY: inside, by the assertions.
        Ok(unsafe { self.read(at) })
    }

    /// Calls `f` with each element in row-major order.
    ///
    /// # Errors
    /// RuntimeError when evaluating needs memory that cannot be had.
    pub fn for_each(&self, mut f: impl FnMut(Scalar)) -> Result<()> {
        self.ptr()?;
        let steps = contiguous_strides(self.shape());
        for i in 0..self.numel() {
            let (mut at, mut rest) = (0, i);
            for (&step, &stride) in steps.iter().zip(self.strides()) {
                at += (rest / step as usize) as isize * stride;
                rest %= step as usize;
            }
            // SAFETY: the index of element i, inside the shape.
            f(unsafe { self.read(at) });
        }
        Ok(())
    }

    /// Ones on the diagonal, zeros elsewhere.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn eye(rows: usize, columns: usize, dtype: DType) -> Result<Tensor> {
        let t = Tensor::zeros(&[rows, columns], dtype)?;
        let mut l = Layout::contiguous(&[rows.min(columns)]);
        l.strides[0] = columns as isize + 1;
        let diagonal = t.alias(Layout::new(l.shape, l.strides, 0));
        pointwise::copy(&Tensor::full(&[], Scalar::Int(1), dtype)?, &diagonal)?;
        Ok(t)
    }

    /// A vector whose element i is `f(i)`.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn build(n: usize, dtype: DType, mut f: impl FnMut(usize) -> Scalar) -> Result<Tensor> {
        let t = Tensor::empty(&[n], dtype)?;
        let (p, size) = (t.ready_ptr(), dtype.size());
        for i in 0..n {
            // SAFETY: element i of n; an element has `size` of the 16 bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(f(i).bytes(dtype).as_ptr(), p.add(i * size), size)
            };
        }
        Ok(t)
    }

    /// A tensor over someone else's memory, without a copy. `keep` owns the memory.
    ///
    /// # Safety
    /// `ptr` is valid for reads and writes of every element of `layout` (whose offset is 0 or
    /// positive and counts from `ptr`) until `keep` is dropped.
    pub unsafe fn from_foreign(
        ptr: *mut u8,
        layout: Layout,
        dtype: DType,
        keep: Box<dyn std::any::Any>,
    ) -> Tensor {
        let end = layout.extent().map_or(0, |(_, hi)| hi as usize + 1);
        // SAFETY: the caller's promise.
        let storage = unsafe { Storage::foreign(ptr, end * dtype.size(), keep) };
        Tensor::from_parts(storage, layout, dtype)
    }

    /// Writes one number everywhere, counting it as an in-place write (not recorded).
    ///
    /// # Errors
    /// RuntimeError when evaluating needs memory that cannot be had.
    pub fn fill_raw(&self, value: Scalar) -> Result<()> {
        lazy::before_write(self.storage())?;
        pointwise::copy(&Tensor::full(&[], value, self.dtype())?, self)?;
        self.bump_version();
        Ok(())
    }

    /// Copies values, converting and broadcasting, as an in-place write that is not recorded.
    ///
    /// # Errors
    /// RuntimeError if the shape of `from` does not broadcast to this one's.
    pub fn copy_raw(&self, from: &Tensor) -> Result<()> {
        check_output(self.shape(), &broadcast(self.shape(), from.shape())?)?;
        from.ptr()?;
        lazy::before_write(self.storage())?;
        let same = from.storage().same(self.storage()) && from.layout() != self.layout();
        let fresh = if same { Some(super::view::contiguous_clone(&from.detach())?) } else { None };
        pointwise::copy(fresh.as_ref().unwrap_or(from), self)?;
        self.bump_version();
        Ok(())
    }

    /// Changes the shape in place, to row-major; the storage grows if it has to, and new elements
    /// are uninitialised.
    ///
    /// # Errors
    /// PyTorch's, for tensors that require a gradient and for memory that cannot grow.
    pub fn resize_(&self, shape: &[usize]) -> Result<()> {
        if self.requires_grad() {
            bail!(Runtime, "cannot resize variables that require grad");
        }
        self.check_writable()?;
        if self.shape() != shape {
            self.take_shape(shape)?;
            self.bump_version();
        }
        Ok(())
    }

    /// As [`Tensor::resize_`], for a tensor that is written to next.
    pub(crate) fn take_shape(&self, shape: &[usize]) -> Result<()> {
        if self.shape() != shape {
            let bytes = checked_bytes(shape, self.dtype())?;
            self.ptr()?;
            lazy::before_write(self.storage())?;
            let offset = self.layout().offset;
            if bytes > 0 {
                self.storage().grow(bytes + offset as usize * self.dtype().size())?;
            }
            self.set_memory(&self.alias(Layout::contiguous(shape).at(offset)))?;
        }
        Ok(())
    }

    /// Takes over the memory and the layout of another tensor, as an in-place change.
    ///
    /// # Errors
    /// RuntimeError for another dtype, and PyTorch's refusals of in-place writes.
    pub fn set_(&self, source: &Tensor) -> Result<()> {
        if self.dtype() != source.dtype() {
            bail!(
                Runtime,
                "Could not set tensor of type {} to a tensor of type {}",
                source.dtype().cpp_name(),
                self.dtype().cpp_name()
            );
        }
        let recorded = grad_enabled() && (self.requires_grad() || source.requires_grad());
        views::check_in_place(self, recorded)?;
        self.check_writable()?;
        let edges = [edge_of(self)?, edge_of(source)?];
        source.ptr()?;
        self.set_memory(source)?;
        self.bump_version();
        if recorded {
            self.set_node(Some(no_derivative("set_", edges)), 0);
        }
        Ok(())
    }

    /// Marks a leaf as one that gradients are computed for.
    ///
    /// # Errors
    /// RuntimeError for dtypes that cannot carry gradients, and for switching off on a non-leaf.
    pub fn requires_grad_(&self, on: bool) -> Result<Tensor> {
        if !on && !self.is_leaf() {
            bail!(
                Runtime,
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            );
        }
        if on && !self.dtype().is_differentiable() {
            bail!(Runtime, "only Tensors of floating point dtype can require gradients");
        }
        if on {
            self.check_may_require_grad()?;
        }
        // History belongs to the tensors inside.
        let mut inner = crate::batch::outermost(self);
        while let Some((_, t)) = inner {
            t.set_leaf_grad(on);
            inner = crate::batch::outermost(&t);
        }
        self.set_leaf_grad(on);
        Ok(self.clone())
    }
}

impl Tensor {
    /// Uninitialised, of the shape and (if it is dense) the memory order of another.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn empty_like(t: &Tensor, dtype: DType) -> Result<Tensor> {
        let strides = pointwise::out_strides(t.shape(), &[t.into()]);
        Tensor::empty_strided(t.layout().shape.clone(), strides, dtype)
    }

    /// A row-major copy without history.
    ///
    /// # Errors
    /// RuntimeError when the memory cannot be had.
    pub fn fresh_copy(&self, dtype: DType) -> Result<Tensor> {
        let out = Tensor::empty(self.shape(), dtype)?;
        pointwise::copy(self, &out)?;
        Ok(out)
    }

    /// Forgets the writes that were part of making the tensor.
    pub fn reset_version(&self) {
        self.storage().reset_version();
    }
}
