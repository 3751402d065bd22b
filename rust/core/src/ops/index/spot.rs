//! Where indices point: from index tensors to offsets, and the kernels on them.

use crate::shape::{Shape, Strides, broadcast, broadcast_strides, contiguous_strides, show};
use crate::{DType, Error, Result, Storage, Tensor, bail, err, lazy, pointwise};
use smallvec::{SmallVec, smallvec};
use wengert_kernels::places::{self, Combine, Dim, Index, Outside, Places, Trues};

/// Indices along one dimension.
struct Along {
    /// int64, broadcast to the common shape.
    index: Tensor,
    size: usize,
    step: isize,
    /// Whether -1 is the last.
    negative: bool,
}

/// The part of a tensor that indices point at: of the shape `outer + common + inner`.
pub(crate) struct Spot {
    along: SmallVec<[Along; 2]>,
    /// Offsets known already: those of a mask.
    known: Option<Offsets>,
    /// The shape of the indices together.
    common: Shape,
    /// Steps of the tensor itself along the common shape (`gather`), or empty.
    base: Strides,
    /// Sizes and strides of the dimensions that are not indexed, before and after.
    outer: SmallVec<[(usize, isize); 4]>,
    inner: SmallVec<[(usize, isize); 4]>,
}

/// How a part is written.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Put,
    Combine(Combine),
}

type Dims = SmallVec<[(usize, isize); 4]>;

fn dims_of(t: &Tensor, range: std::ops::Range<usize>) -> Dims {
    range.map(|d| (t.shape()[d], t.strides()[d])).collect()
}

/// PyTorch's sentence about an index out of range.
pub(crate) fn out_of_bounds(bad: Outside, size: usize) -> Error {
    err!(Index, "index {} is out of bounds for dimension {} with size {size}", bad.value, bad.index)
}

/// The bytes of a row-major mask.
fn bytes(mask: &Tensor) -> Result<&[u8]> {
    let from = mask.ptr()?;
    if mask.numel() == 0 {
        return Ok(&[]);
    }
    // SAFETY: a live row-major tensor of one byte per element, not written while this is read.
    Ok(unsafe { std::slice::from_raw_parts(from, mask.numel()) })
}

/// Indices of the trues of a mask of at least one dimension, one row for each dimension.
pub(crate) fn places_of(mask: &Tensor) -> Result<Tensor> {
    let rows = mask.contiguous()?;
    let trues = Trues::of(bytes(&rows)?);
    let out = Tensor::empty(&[rows.ndim(), trues.count()], DType::I64)?;
    // SAFETY: fresh memory for all of them.
    unsafe { trues.places(rows.shape(), out.ptr()?.cast()) };
    Ok(out)
}

/// A list of offsets, in memory that is used again.
#[derive(Clone)]
struct Offsets(Storage, usize);

impl Offsets {
    /// Room for `n`, to be written before it is read.
    fn room(n: usize) -> Result<Offsets> {
        Ok(Offsets(Storage::new(n * size_of::<isize>())?, n))
    }

    fn ptr(&self) -> *mut isize {
        self.0.raw().cast()
    }

    fn as_slice(&self) -> &[isize] {
        if self.1 == 0 {
            return &[];
        }
        // SAFETY: memory of its own, written when it was made.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.1) }
    }
}

/// True for tensors that say of each element whether it is meant.
pub(crate) fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

fn check_mask(t: &Tensor, mask: &Tensor, first: usize) -> Result<()> {
    for (j, &n) in mask.shape().iter().enumerate() {
        if t.shape().get(first + j) != Some(&n) {
            bail!(
                Index,
                "The shape of the mask {} at index {j} does not match the shape of the indexed tensor {} at index {}",
                show(mask.shape()),
                show(t.shape()),
                first + j
            );
        }
    }
    Ok(())
}

/// The index of each dimension, masks turned into one index for each of theirs.
fn spread_masks(t: &Tensor, indices: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
    let mut out: Vec<Option<Tensor>> = Vec::with_capacity(t.ndim());
    for index in indices {
        match index {
            None => out.push(None),
            Some(m) if is_mask(m) => {
                check_mask(t, m, out.len())?;
                if m.ndim() == 0 {
                    bail!(Index, "a mask needs at least one dimension");
                }
                let places = places_of(m)?;
                for d in 0..m.ndim() {
                    out.push(Some(places.select(0, d as i64)?));
                }
            }
            Some(i) if matches!(i.dtype(), DType::I64 | DType::I32) => {
                out.push(Some(i.detach().to(DType::I64)?));
            }
            Some(_) => {
                bail!(Index, "tensors used as indices must be long, int, byte or bool tensors")
            }
        }
    }
    if out.len() > t.ndim() {
        bail!(Index, "too many indices for tensor of dimension {} (got {})", t.ndim(), out.len());
    }
    Ok(out)
}

/// The common shape of index tensors.
fn common_shape(given: &[&Tensor]) -> Result<Shape> {
    let mut common = Shape::new();
    for t in given {
        common = broadcast(&common, t.shape()).map_err(|_| {
            let shapes: Vec<String> = given.iter().map(|t| show(t.shape())).collect();
            err!(
                Index,
                "shape mismatch: indexing tensors could not be broadcast together with shapes {}",
                shapes.join(", ")
            )
        })?;
    }
    Ok(common)
}

impl Spot {
    /// What `t[indices]` points at: index number d is that of dimension d.
    ///
    /// # Errors
    /// IndexError for masks and indices that do not fit `t` or each other; indices out of range are
    /// found later.
    pub fn new(t: &Tensor, indices: &[Option<Tensor>]) -> Result<Spot> {
        if let Some(spot) = Spot::of_mask(t, indices)? {
            return Ok(spot);
        }
        let indices = spread_masks(t, indices)?;
        let dims: SmallVec<[usize; 4]> =
            (0..indices.len()).filter(|&d| indices[d].is_some()).collect();
        let given: SmallVec<[&Tensor; 4]> = indices.iter().flatten().collect();
        let (Some(&first), Some(&last)) = (dims.first(), dims.last()) else {
            bail!(Index, "at least one index must be provided");
        };
        let common = common_shape(&given)?;
        if !common.contains(&0) && dims.iter().any(|&d| t.shape()[d] == 0) {
            bail!(Index, "index is out of bounds for dimension with size 0");
        }
        let along = dims.iter().zip(given).map(|(&d, i)| {
            let (size, step) = (t.shape()[d], t.strides()[d]);
            Ok(Along { index: widened(i, &common)?, size, step, negative: true })
        });
        let along = along.collect::<Result<_>>()?;
        // Indices apart from each other: their dimensions come first.
        let adjacent = last - first + 1 == dims.len();
        let outer = if adjacent { first } else { 0 };
        let rest = (outer..t.ndim()).filter(|d| !dims.contains(d));
        Ok(Spot {
            along,
            known: None,
            common,
            base: Strides::new(),
            outer: dims_of(t, 0..outer),
            inner: rest.map(|d| (t.shape()[d], t.strides()[d])).collect(),
        })
    }

    /// A single mask needs no indices: the offsets of its trues are found at once.
    fn of_mask(t: &Tensor, indices: &[Option<Tensor>]) -> Result<Option<Spot>> {
        let first = indices.iter().take_while(|i| i.is_none()).count();
        let Some([Some(mask)]) = indices.get(first..).map(|rest| &rest[..rest.len().min(2)]) else {
            return Ok(None);
        };
        if indices.len() > first + 1 || !is_mask(mask) || mask.ndim() == 0 {
            return Ok(None);
        }
        check_mask(t, mask, first)?;
        let rows = mask.contiguous()?;
        let after = first + mask.ndim();
        let trues = Trues::of(bytes(&rows)?);
        let known = Offsets::room(trues.count())?;
        // SAFETY: room for all of them.
        unsafe { trues.offsets(rows.shape(), &t.strides()[first..after], known.ptr()) };
        Ok(Some(Spot {
            along: SmallVec::new(),
            common: smallvec![known.1],
            known: Some(known),
            base: Strides::new(),
            outer: dims_of(t, 0..first),
            inner: dims_of(t, after..t.ndim()),
        }))
    }

    /// What a vector of indices along dimension `d` points at; `t` is not 0-d.
    pub fn slices(t: &Tensor, d: usize, index: &Tensor, negative: bool) -> Result<Spot> {
        let index = index.detach().to(DType::I64)?.reshape(&[index.numel()])?;
        let common = Shape::from_slice(index.shape());
        let (size, step) = (t.shape()[d], t.strides()[d]);
        Ok(Spot {
            along: smallvec![Along { index, size, step, negative }],
            known: None,
            common,
            base: Strides::new(),
            outer: dims_of(t, 0..d),
            inner: dims_of(t, d + 1..t.ndim()),
        })
    }

    /// The elements of `t` at the places of `index`, each moved along `d` to its index; both have
    /// the same number of dimensions, not 0. Where the index stands still (`expand`), whole runs
    /// are meant.
    pub fn moved(t: &Tensor, d: usize, index: &Tensor) -> Result<Spot> {
        let index = index.detach().to(DType::I64)?;
        let still = |k: &usize| *k != d && (index.strides()[*k] == 0 || index.shape()[*k] == 1);
        let n = t.ndim();
        let first = (0..n).take_while(still).count();
        let last = n - (first..n).rev().take_while(still).count();
        let walk = |r: std::ops::Range<usize>| -> Dims {
            r.map(|k| (index.shape()[k], t.strides()[k])).collect()
        };
        let mut base = Strides::from_slice(&t.strides()[first..last]);
        base[d - first] = 0;
        let mut layout = index.layout().clone();
        layout.shape = Shape::from_slice(&index.shape()[first..last]);
        layout.strides = Strides::from_slice(&index.strides()[first..last]);
        let layout = crate::shape::Layout::new(layout.shape, layout.strides, layout.offset);
        let common = layout.shape.clone();
        index.ptr()?;
        let index = index.alias(layout);
        let (size, step) = (t.shape()[d], t.strides()[d]);
        Ok(Spot {
            along: smallvec![Along { index, size, step, negative: false }],
            known: None,
            common,
            base,
            outer: walk(0..first),
            inner: walk(last..n),
        })
    }

    /// The elements of `t` that `index` counts in row-major order.
    pub fn counted(
        t: &Tensor,
        index: &Tensor,
        outside: &dyn Fn(Outside, usize) -> Error,
    ) -> Result<Spot> {
        let index = index.detach().to(DType::I64)?;
        let common = Shape::from_slice(index.shape());
        let along = Along { index, size: t.numel(), step: 1, negative: true };
        let mut spot = Spot {
            along: smallvec![along],
            known: None,
            common,
            base: Strides::new(),
            outer: SmallVec::new(),
            inner: SmallVec::new(),
        };
        if !t.is_contiguous() && t.numel() > 0 {
            let counted = spot.offsets(&[], outside)?;
            let (known, rows) = (Offsets::room(counted.1)?, contiguous_strides(t.shape()));
            for (k, &i) in counted.as_slice().iter().enumerate() {
                let (mut rest, mut offset) = (i, 0);
                for (&r, &s) in rows.iter().zip(t.strides()) {
                    offset += rest / r * s;
                    rest %= r;
                }
                // SAFETY: room for as many.
                unsafe { known.ptr().add(k).write(offset) };
            }
            spot.known = Some(known);
        }
        Ok(spot)
    }

    /// The shape of the part.
    pub fn shape(&self) -> Shape {
        let outer = self.outer.iter().map(|d| d.0);
        let inner = self.inner.iter().map(|d| d.0);
        outer.chain(self.common.iter().copied()).chain(inner).collect()
    }

    fn numel(&self) -> usize {
        self.shape().iter().product()
    }

    /// Strides of a fresh result: those of the tensor and of the indices decide the order.
    fn strides(&self) -> Strides {
        let zeros = |n: usize| std::iter::repeat_n(0isize, n);
        let (before, after) = (self.outer.len(), self.inner.len());
        let outer = self.outer.iter().map(|d| d.1).chain(zeros(self.common.len()));
        let mut operands = vec![outer.chain(self.inner.iter().map(|d| d.1)).collect::<Strides>()];
        for a in &self.along {
            let own = a.index.strides().iter().copied();
            operands.push(zeros(before).chain(own).chain(zeros(after)).collect());
        }
        pointwise::strides_like(&self.shape(), &operands)
    }

    /// Checks the indices and finds the offsets of their places, in row-major order of the common
    /// shape with its dimensions in this order (all of them as they are if `order` is empty).
    fn offsets(
        &self,
        order: &[usize],
        outside: &dyn Fn(Outside, usize) -> Error,
    ) -> Result<Offsets> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let turned = |all: &[isize]| -> Strides {
            if order.is_empty() { all.into() } else { order.iter().map(|&d| all[d]).collect() }
        };
        let mut shape = self.common.clone();
        order.iter().enumerate().for_each(|(k, &d)| shape[k] = self.common[d]);
        let offsets = Offsets::room(shape.iter().product())?;
        let base = if self.base.is_empty() { Strides::new() } else { turned(&self.base) };
        let strides: SmallVec<[Strides; 2]> =
            self.along.iter().map(|a| turned(a.index.strides())).collect();
        let mut indices: SmallVec<[Index; 2]> = SmallVec::new();
        for (a, strides) in self.along.iter().zip(&strides) {
            let ptr = a.index.ptr()?.cast_const().cast();
            let (size, step, negative) = (a.size, a.step, a.negative);
            indices.push(Index { ptr, strides, size, negative, step });
        }
        // SAFETY: live int64 tensors of the common shape, and room for an offset of each place.
        unsafe { places::locate(&shape, &indices, &base, offsets.ptr()) }
            .map_err(|bad| outside(bad, self.along[bad.index].size))?;
        Ok(offsets)
    }

    /// Steps along the dimensions outside and inside, and from place to place, of a part with these
    /// strides; no step if the places are not evenly spaced.
    fn walk(&self, part: &[isize], order: &[usize]) -> (Vec<Dim>, Option<isize>, Vec<Dim>) {
        let dim = |(d, p): (&(usize, isize), &isize)| Dim { size: d.0, whole: d.1, part: *p };
        let (outer, rest) = part.split_at(self.outer.len());
        let (common, inner) = rest.split_at(self.common.len());
        let places = order.iter().map(|&d| Dim { size: self.common[d], whole: 0, part: common[d] });
        // The step of the whole is always 0: dimensions join if the part walks them as one.
        let places = places::join(&places.collect::<Vec<_>>());
        let step = match places.as_slice() {
            [] => Some(0),
            [d] => Some(d.part),
            _ => None,
        };
        let outer: Vec<Dim> = self.outer.iter().zip(outer).map(dim).collect();
        let inner: Vec<Dim> = self.inner.iter().zip(inner).map(dim).collect();
        (places::join(&outer).to_vec(), step, places::join(&inner).to_vec())
    }

    /// Dimensions of the indices, from the slowest to the fastest in a part with these strides.
    fn order(&self, part: &[isize]) -> SmallVec<[usize; 4]> {
        let mut order: SmallVec<[usize; 4]> = (0..self.common.len()).collect();
        order.sort_by_key(|&d| std::cmp::Reverse(part[self.outer.len() + d]));
        order
    }

    /// The part of `t`, fresh, in memory order as PyTorch's.
    pub fn read(&self, t: &Tensor, outside: &dyn Fn(Outside, usize) -> Error) -> Result<Tensor> {
        let out = Tensor::empty_strided(self.shape(), self.strides(), t.dtype())?;
        self.read_into(t, &out, outside)?;
        Ok(out)
    }

    /// The part of `t`, fresh and row-major.
    pub fn read_rows(
        &self,
        t: &Tensor,
        outside: &dyn Fn(Outside, usize) -> Error,
    ) -> Result<Tensor> {
        let out = Tensor::empty(&self.shape(), t.dtype())?;
        self.read_into(t, &out, outside)?;
        Ok(out)
    }

    fn read_into(
        &self,
        t: &Tensor,
        out: &Tensor,
        outside: &dyn Fn(Outside, usize) -> Error,
    ) -> Result<()> {
        if self.numel() == 0 {
            return Ok(());
        }
        let order = self.order(out.strides());
        let (outer, step, inner) = self.walk(out.strides(), &order);
        let Some(step) = step else {
            let rows = self.read_rows(t, outside)?;
            return pointwise::copy(&rows, out);
        };
        let offsets = self.offsets(&order, outside)?;
        let places = Places { outer: &outer, offsets: offsets.as_slice(), step, inner: &inner };
        // SAFETY: the offsets were checked against the layout of `t`; `out` is fresh.
        unsafe { places::take(t.dtype(), &places, t.ptr()?, out.ptr()?) };
        Ok(())
    }

    /// Writes `part`, which broadcasts to the shape of the spot and has the dtype of `x`, into `x`.
    /// Nothing is written if an index is out of range.
    pub fn write(
        &self,
        x: &Tensor,
        part: &Tensor,
        how: How,
        outside: &dyn Fn(Outside, usize) -> Error,
    ) -> Result<()> {
        if self.numel() == 0 {
            return Ok(());
        }
        let shape = self.shape();
        let order: SmallVec<[usize; 4]> = (0..self.common.len()).collect();
        let mut part = part.detach();
        if part.storage().same(x.storage()) {
            part = part.fresh_copy(part.dtype())?;
        }
        let mut strides = broadcast_strides(part.shape(), part.strides(), &shape);
        if self.walk(&strides, &order).1.is_none() {
            part = part.expand(&shape)?.contiguous()?;
            strides = Strides::from_slice(part.strides());
        }
        let (outer, step, inner) = self.walk(&strides, &order);
        let offsets = self.offsets(&[], outside)?;
        let step = step.unwrap_or(0);
        let places = Places { outer: &outer, offsets: offsets.as_slice(), step, inner: &inner };
        let (from, dtype) = (part.ptr()?, x.dtype());
        lazy::before_write(x.storage())?;
        // SAFETY: the offsets were checked against the layout of `x`; `part` is apart from it.
        unsafe {
            match how {
                How::Put => places::put(dtype, &places, x.ptr()?, from),
                How::Combine(c) => places::combine(c, dtype, &places, x.ptr()?, from),
            }
        }
        Ok(())
    }
}

/// An index seen in the common shape.
fn widened(index: &Tensor, common: &[usize]) -> Result<Tensor> {
    index.ptr()?;
    let strides = broadcast_strides(index.shape(), index.strides(), common);
    let layout =
        crate::shape::Layout::new(Shape::from_slice(common), strides, index.layout().offset);
    Ok(index.alias(layout))
}

/// PyTorch's refusal to read from the memory that is written to.
pub(crate) fn check_apart(x: &Tensor, other: &Tensor) -> Result<()> {
    let (a, b) = (x.layout(), other.layout());
    let (Some(p), Some(q)) = (a.extent(), b.extent()) else { return Ok(()) };
    let shares = x.storage().same(other.storage()) && p.0 <= q.1 && q.0 <= p.1;
    if shares && a.dense() && b.dense() {
        bail!(
            Runtime,
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
        );
    }
    Ok(())
}
