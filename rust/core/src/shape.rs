//! Shapes, strides and their algebra. Strides are signed and count elements.

use crate::{Result, bail, err};
use smallvec::SmallVec;

/// Sizes of the dimensions; up to four without an allocation.
pub type Shape = SmallVec<[usize; 4]>;
/// Signed strides in elements.
pub type Strides = SmallVec<[isize; 4]>;

/// Where the elements of a tensor lie in its storage.
#[derive(Debug, PartialEq)]
pub struct Layout {
    pub shape: Shape,
    pub strides: Strides,
    /// Element index of the first element.
    pub offset: isize,
    pub numel: usize,
    pub contiguous: bool,
}

impl Clone for Layout {
    /// By copying slices: a SmallVec's own clone goes element by element.
    #[inline]
    fn clone(&self) -> Layout {
        Layout {
            shape: Shape::from_slice(&self.shape),
            strides: Strides::from_slice(&self.strides),
            ..*self
        }
    }
}

impl Layout {
    /// The same layout from another offset.
    pub(crate) fn at(mut self, offset: isize) -> Layout {
        self.offset = offset;
        self
    }

    /// Row-major, from the start of the storage.
    #[inline]
    pub fn contiguous(shape: &[usize]) -> Layout {
        Layout {
            shape: Shape::from_slice(shape),
            strides: contiguous_strides(shape),
            offset: 0,
            numel: shape.iter().product(),
            contiguous: true,
        }
    }

    pub fn new(shape: Shape, strides: Strides, offset: isize) -> Layout {
        let numel = shape.iter().product();
        let contiguous = is_contiguous(&shape, &strides);
        Layout { shape, strides, offset, numel, contiguous }
    }

    #[inline]
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// No two indices meet, and together they fill one block of memory, in some order of the
    /// dimensions.
    pub fn dense(&self) -> bool {
        if self.contiguous {
            return true;
        }
        let mut dims: SmallVec<[usize; 6]> =
            (0..self.ndim()).filter(|&d| self.shape[d] != 1).collect();
        dims.sort_by_key(|&d| self.strides[d]);
        let mut expect = 1;
        for d in dims {
            if self.strides[d] != expect {
                return false;
            }
            expect *= self.shape[d] as isize;
        }
        true
    }

    /// The lowest and the highest element index touched; None if there is none.
    pub fn extent(&self) -> Option<(isize, isize)> {
        if self.numel == 0 {
            return None;
        }
        let (mut lo, mut hi) = (self.offset, self.offset);
        for (&n, &s) in self.shape.iter().zip(&self.strides) {
            let reach = (n as isize - 1) * s;
            if reach < 0 {
                lo += reach;
            } else {
                hi += reach;
            }
        }
        Some((lo, hi))
    }
}

/// Row-major strides; a dimension of size 0 counts as 1, as in PyTorch.
#[inline]
pub fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides = Strides::from_elem(1, shape.len());
    let mut step = 1isize;
    for d in (0..shape.len()).rev() {
        strides[d] = step;
        step *= shape[d].max(1) as isize;
    }
    strides
}

fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut step = 1isize;
    let mut ok = true;
    for d in (0..shape.len()).rev() {
        if shape[d] == 0 {
            return true;
        }
        if shape[d] != 1 {
            ok &= strides[d] == step;
            step *= shape[d] as isize;
        }
    }
    ok
}

/// The shape both broadcast to.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Shape> {
    if a == b {
        return Ok(Shape::from_slice(a));
    }
    let n = a.len().max(b.len());
    let mut out = Shape::from_elem(1, n);
    for i in 0..n {
        let d = n - 1 - i;
        let x = if i < a.len() { a[a.len() - 1 - i] } else { 1 };
        let y = if i < b.len() { b[b.len() - 1 - i] } else { 1 };
        out[d] = match (x, y) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => bail!(
                Runtime,
                "The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {d}"
            ),
        };
    }
    Ok(out)
}

/// Refuses a result whose shape is not that of the tensor it is to be written to.
pub(crate) fn check_output(out: &[usize], result: &[usize]) -> Result<()> {
    if out != result {
        bail!(
            Runtime,
            "output with shape {} doesn't match the broadcast shape {}",
            show(out),
            show(result)
        );
    }
    Ok(())
}

/// The strides that walk a tensor of `shape` as if it had the larger shape `to`.
///
/// Precondition: `shape` broadcasts to `to`.
#[inline]
pub fn broadcast_strides(shape: &[usize], strides: &[isize], to: &[usize]) -> Strides {
    let lead = to.len() - shape.len();
    let mut out = Strides::from_elem(0, to.len());
    for d in 0..shape.len() {
        out[lead + d] = if shape[d] == 1 && to[lead + d] != 1 { 0 } else { strides[d] };
    }
    out
}

/// True for equal shapes. (Few sizes are compared sooner here than by a call for comparing memory.)
#[inline(always)]
pub(crate) fn same(a: &[usize], b: &[usize]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y)
}

/// True if `shape` can be expanded to `to`.
pub fn expandable(shape: &[usize], to: &[usize]) -> bool {
    shape.len() <= to.len()
        && shape.iter().rev().zip(to.iter().rev()).all(|(&s, &t)| s == t || s == 1)
}

/// A dimension counted from the front; negative ones count from the end. A 0-d tensor accepts
/// 0 and -1.
pub fn wrap_dim(dim: i64, ndim: usize) -> Result<usize> {
    let n = ndim.max(1) as i64;
    if dim < -n || dim >= n {
        bail!(
            Index,
            "Dimension out of range (expected to be in range of [{}, {}], but got {dim})",
            -n,
            n - 1
        );
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// The set of reduced dimensions, in ascending order; an empty list means all.
pub fn wrap_dims(dims: &[i64], ndim: usize) -> Result<SmallVec<[usize; 4]>> {
    let mut out: SmallVec<[usize; 4]> = SmallVec::new();
    for &d in dims {
        let d = wrap_dim(d, ndim)?;
        if out.contains(&d) {
            bail!(Runtime, "dim {d} appears multiple times in the list of dims");
        }
        out.push(d);
    }
    out.sort_unstable();
    if ndim == 0 {
        out.clear();
    } else if dims.is_empty() {
        out = (0..ndim).collect();
    }
    Ok(out)
}

/// PyTorch's rendering of sizes: `[2, 3]`.
pub fn show<T: std::fmt::Display>(sizes: &[T]) -> String {
    let items: Vec<String> = sizes.iter().map(|s| s.to_string()).collect();
    format!("[{}]", items.join(", "))
}

/// A shape with at most one -1 (meaning: what is left), resolved for `numel` elements.
pub fn infer_shape(sizes: &[i64], numel: usize) -> Result<Shape> {
    let mut known: usize = 1;
    let mut hole = None;
    for (d, &s) in sizes.iter().enumerate() {
        match s {
            -1 if hole.is_some() => bail!(Runtime, "only one dimension can be inferred"),
            -1 => hole = Some(d),
            s if s < 0 => {
                bail!(Runtime, "invalid shape dimension {s} at index {d} of shape {}", show(sizes))
            }
            s => {
                known = known
                    .checked_mul(s as usize)
                    .ok_or_else(|| err!(Runtime, "shape '{}' is too large", show(sizes)))?
            }
        }
    }
    let fits = match hole {
        Some(_) => known > 0 && numel % known == 0,
        None => known == numel,
    };
    if hole.is_some() && known == 0 && numel == 0 {
        bail!(
            Runtime,
            "cannot reshape tensor of 0 elements into shape {} because the unspecified dimension size -1 can be any value and is ambiguous",
            show(sizes)
        );
    }
    if !fits {
        bail!(Runtime, "shape '{}' is invalid for input of size {numel}", show(sizes));
    }
    Ok(sizes.iter().map(|&s| if s < 0 { numel / known } else { s as usize }).collect())
}

/// Strides for `shape` over the same elements without a copy, if they exist.
pub fn view_strides(layout: &Layout, shape: &[usize]) -> Option<Strides> {
    if layout.numel == 0 || layout.contiguous {
        return Some(contiguous_strides(shape));
    }
    let mut strides = Strides::from_elem(0, shape.len());
    let mut v = shape.len(); // dimensions of the view not yet placed
    let mut d = layout.ndim();
    while d > 0 {
        // A maximal run of old dimensions that memory walks as one.
        let base = layout.strides[d - 1];
        let mut run = layout.shape[d - 1];
        d -= 1;
        while d > 0 && (layout.shape[d - 1] == 1 || layout.strides[d - 1] == base * run as isize) {
            run *= layout.shape[d - 1];
            d -= 1;
        }
        let mut placed = 1;
        while v > 0 && (placed < run || shape[v - 1] == 1) {
            strides[v - 1] = base * placed as isize;
            placed *= shape[v - 1];
            v -= 1;
        }
        if placed != run {
            return None;
        }
    }
    (v == 0).then_some(strides)
}
