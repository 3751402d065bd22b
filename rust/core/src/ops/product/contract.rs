//! Products over chosen dimensions, and of all elements with all.

use super::mm;
use crate::formula::Vjp;
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::{Shape, show, wrap_dim, wrap_dims};
use crate::{Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

/// Sums of products over dimensions of `a` and as many of `b`, in order.
fn tensordot(a: &Tensor, b: &Tensor, dims_a: &[i64], dims_b: &[i64]) -> Result<Tensor> {
    if dims_a.len() != dims_b.len() {
        bail!(Runtime, "both dimension lists should have same length");
    }
    if a.dtype() != b.dtype() {
        bail!(Runtime, "both inputs should have same dtype");
    }
    let (mut a, mut b) = (a.clone(), b.clone());
    let (list_a, list_b) = (listed(dims_a, &a)?, listed(dims_b, &b)?);
    for (&i, &j) in list_a.iter().zip(&list_b) {
        // A size of 1 counts as often as the other has elements.
        match (a.shape()[i], b.shape()[j]) {
            (m, n) if m == n => {}
            (_, 1) => a = a.sum(&[i as i64], true)?,
            (1, _) => b = b.sum(&[j as i64], true)?,
            (m, n) => bail!(
                Runtime,
                "contracted dimensions need to match, but first has size {m} in dim {i} and second has size {n} in dim {j}"
            ),
        }
    }
    wrap_dims(dims_a, a.ndim())?;
    wrap_dims(dims_b, b.ndim())?;
    let free_a: Dims = (0..a.ndim()).filter(|d| !list_a.contains(d)).collect();
    let free_b: Dims = (0..b.ndim()).filter(|d| !list_b.contains(d)).collect();
    let shape: Shape =
        free_a.iter().map(|&d| a.shape()[d]).chain(free_b.iter().map(|&d| b.shape()[d])).collect();
    let depth: usize = list_a.iter().map(|&d| a.shape()[d]).product();
    let rows: usize = free_a.iter().map(|&d| a.shape()[d]).product();
    let columns: usize = free_b.iter().map(|&d| b.shape()[d]).product();
    let free = |dims: &Dims| dims.iter().map(|&d| d as i64).collect::<Vec<_>>();
    let x = shaped(&in_order(&a, &free(&free_a), dims_a)?, &[rows, depth])?;
    let y = shaped(&in_order(&b, dims_b, &free(&free_b))?, &[depth, columns])?;
    shaped(&mm(&x, &y)?, &shape)
}

fn sizes(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&n| n as i64).collect())
}

/// As `reshape`, with a node also where nothing changes.
fn shaped(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    call1(Id::RESHAPE, &[t.into(), sizes(shape)])
}

type Dims = SmallVec<[usize; 4]>;

/// The dimensions of a list, in its order.
fn listed(dims: &[i64], t: &Tensor) -> Result<Dims> {
    dims.iter().map(|&d| wrap_dim(d, t.ndim())).collect()
}

fn in_order(t: &Tensor, first: &[i64], then: &[i64]) -> Result<Tensor> {
    t.permute(&[first, then].concat())
}

pub(crate) const TENSORDOT: Structured = Structured {
    schema: "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
    aliases: &[],
    doc: "Sums of products over dimensions of one tensor and as many of another.",
    forms: Forms::FUNCTION,
    forward: |a| Ok(smallvec![tensordot(a.tensor(0)?, a.tensor(1)?, a.ints(2)?, a.ints(3)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const INNER: Structured = Structured {
    schema: "inner(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "Sums of products over the last dimension of both; the product, if one is a number.\n\n>>> torch.inner(torch.tensor([1, 2]), torch.tensor([3, 4]))\ntensor(11)",
    forms: Forms::BOTH,
    forward: |args| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        let (Some(m), Some(n)) = (a.shape().last(), b.shape().last()) else {
            return Ok(smallvec![a.mul(b)?]);
        };
        if m != n {
            bail!(
                Runtime,
                "inner() the last dimension must match on both input tensors but got shapes {} and {}",
                show(a.shape()),
                show(b.shape())
            );
        }
        Ok(smallvec![tensordot(a, b, &[-1], &[-1])?])
    },
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const KRON: Structured = Structured {
    schema: "kron(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "Kronecker's product: each element of `self` times the whole of `other`, in its place.\n\n>>> torch.kron(torch.tensor([1, 10]), torch.tensor([1, 2]))\ntensor([ 1,  2, 10, 20])",
    forms: Forms::BOTH,
    forward: |args| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        let n = a.ndim().max(b.ndim());
        let size =
            |t: &Tensor, d: usize| if d < n - t.ndim() { 1 } else { t.shape()[d + t.ndim() - n] };
        let (mut left, mut right, mut whole) = (Shape::new(), Shape::new(), Shape::new());
        for d in 0..n {
            let (i, j) = (size(a, d), size(b, d));
            left.extend([i, 1]);
            right.extend([1, j]);
            whole.push(i * j);
        }
        let shaped =
            |t: &Tensor, shape: &[usize]| call1(Id::UNSAFE_VIEW, &[t.into(), sizes(shape)]);
        let product = shaped(a, &left)?.mul(&shaped(b, &right)?)?;
        Ok(smallvec![shaped(&product, &whole)?])
    },
    vjp: Vjp::Composed,
    node: "",
};
