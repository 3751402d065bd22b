//! `matmul` and `linear`: which product serves operands of how many dimensions.

use super::{addmm, bmm, dot, mm, mv};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::{Layout, Shape, broadcast, view_strides, wrap_dim};
use crate::value::Args;
use crate::{Result, Scalar, Tensor, Value, bail, batch, pointwise};
use smallvec::smallvec;

fn ints(shape: &[usize]) -> Value {
    Value::Ints(shape.iter().map(|&n| n as i64).collect())
}

fn reshape_back(cx: &Cx, g: &[&Tensor]) -> Result<Tensor> {
    g[0].reshape(&cx.input(0).shape)
}

pub(crate) const UNSAFE_VIEW: Structured = Structured {
    schema: "_unsafe_view(Tensor self, int[] size) -> Tensor",
    aliases: &[],
    doc: "Another shape over memory that nobody else will use; not a view for in-place writes.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        let shape: Shape = a.ints(1)?.iter().map(|&n| n as usize).collect();
        match view_strides(t.layout(), &shape) {
            Some(strides) => Ok(smallvec![t.alias(Layout::new(shape, strides, t.layout().offset))]),
            None => bail!(
                Runtime,
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
            ),
        }
    },
    vjp: Vjp::Many(|| vec![X::verb("reshape", reshape_back, &[X::Grad(0)])]),
    node: "UnsafeViewBackward0(self_sym_sizes)",
};

pub(crate) const SQUEEZED: Structured = Structured {
    schema: "_squeezed(Tensor self) -> Tensor",
    aliases: &[],
    doc: "A matrix of one row as a vector; not a view for in-place writes.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let t = a.tensor(0)?;
        let l = t.layout();
        Ok(smallvec![t.alias(Layout::new(l.shape[1..].into(), l.strides[1..].into(), l.offset))])
    },
    vjp: Vjp::Many(|| vec![X::verb("reshape", reshape_back, &[X::Grad(0)])]),
    // The name of `squeeze_`, which is what PyTorch calls here.
    node: "SqueezeBackward4",
};

fn unsafe_view(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    call1(Id::UNSAFE_VIEW, &[t.into(), ints(shape)])
}

/// True if the operand of more dimensions should be folded into one matrix, rather than the other
/// one repeated for each of its matrices: when folding needs no copy, and always when the other
/// needs a gradient, which would be repeated too.
fn should_fold(a: &Tensor, b: &Tensor) -> Result<bool> {
    let swapped = a.ndim() < b.ndim();
    let (large, small) = if swapped { (b, a) } else { (a, b) };
    if large.ndim() < 3 || small.ndim() > 2 {
        return Ok(false);
    }
    if small.requires_grad() {
        return Ok(true);
    }
    if a.ndim() == 2 {
        return Ok(false);
    }
    if large.numel() == 0 {
        return Ok(true);
    }
    let n = large.ndim();
    let mut l = large.layout().clone();
    if swapped {
        l.shape.swap(n - 2, n - 1);
        l.strides.swap(n - 2, n - 1);
    }
    Ok((0..n - 2).all(|d| l.strides[d] == l.strides[d + 1] * l.shape[d + 1] as isize))
}

/// The product with the larger operand made one matrix.
fn folded(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let swapped = a.ndim() < b.ndim();
    let (large, small) = match (swapped, a.ndim()) {
        (false, _) => (a.clone(), b.clone()),
        (true, 2) => (b.transpose(-2, -1)?, a.t()?),
        (true, _) => (b.transpose(-2, -1)?, a.clone()),
    };
    let (&k, lead) = large.shape().split_last().expect("three dimensions or more");
    let mut shape = Shape::from_slice(lead);
    let rows = call1(Id::RESHAPE, &[(&large).into(), ints(&[lead.iter().product(), k])])?;
    if small.ndim() == 1 {
        return unsafe_view(&mv(&rows, &small)?, &shape);
    }
    shape.push(small.shape()[1]);
    let out = unsafe_view(&mm(&rows, &small)?, &shape)?;
    if swapped { crate::ops::view::contiguous_clone(&out.transpose(-2, -1)?) } else { Ok(out) }
}

/// `t` expanded to `lead` and its own last dimensions, then made a batch of as many dimensions.
fn batch(t: &Tensor, lead: &[usize], own: &[usize]) -> Result<Tensor> {
    let shape: Shape = lead.iter().chain(own).copied().collect();
    let sizes: Shape = std::iter::once(lead.iter().product()).chain(own.iter().copied()).collect();
    let wide = call1(Id::EXPAND, &[t.into(), ints(&shape), false.into()])?;
    call1(Id::RESHAPE, &[wide.into(), ints(&sizes)])
}

/// The product of two batches, by `bmm`.
fn batched(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let split = |t: &Tensor| t.ndim().saturating_sub(2);
    let (lead_a, own_a) = a.shape().split_at(split(a));
    let (lead_b, own_b) = b.shape().split_at(split(b));
    if a.ndim() == 3 && b.ndim() == 3 && lead_a != lead_b {
        // Where one matrix meets many and needs a gradient, folding spares repeating that.
        if lead_a == [1] && a.requires_grad() {
            return product(&squeeze_batch(a)?, b);
        }
        if lead_b == [1] && b.requires_grad() {
            return product(a, &squeeze_batch(b)?);
        }
    }
    let mut shape = broadcast(lead_a, lead_b)?;
    let row = [1, own_a[0]];
    let left = batch(a, &shape, if own_a.len() == 1 { &row } else { own_a })?;
    let mut right = batch(b, &shape, own_b)?;
    if b.ndim() == 1 {
        right = right.unsqueeze(2)?;
    }
    let mut out = bmm(&left, &right)?;
    if b.ndim() == 1 {
        out = call1(Id::SQUEEZE_DIM, &[out.into(), (-1i64).into()])?;
    }
    if a.ndim() > 1 {
        shape.push(own_a[0]);
    }
    if b.ndim() > 1 {
        shape.push(own_b[1]);
    }
    unsafe_view(&out, &shape)
}

fn squeeze_batch(t: &Tensor) -> Result<Tensor> {
    call1(Id::SQUEEZE_DIM, &[t.into(), 0i64.into()])
}

fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match (a.ndim(), b.ndim()) {
        (0, _) | (_, 0) => bail!(
            Runtime,
            "both arguments to matmul need to be at least 1D, but they are {}D and {}D",
            a.ndim(),
            b.ndim()
        ),
        (1, 1) => dot(a, b),
        (2, 1) => mv(a, b),
        (1, 2) => call1(Id::SQUEEZED, &[mm(&a.unsqueeze(0)?, b)?.into()]),
        (2, 2) => mm(a, b),
        _ if should_fold(a, b)? => folded(a, b),
        _ => batched(a, b),
    }
}

pub(crate) const MATMUL: Structured = Structured {
    schema: "matmul(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "The matrix product of vectors, matrices, or batches of matrices, whose leading dimensions broadcast.\n\n>>> torch.tensor([[1., 2.], [3., 4.]]) @ torch.tensor([1., 1.])\ntensor([3., 7.])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![product(a.tensor(0)?, a.tensor(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LINEAR: Structured = Structured {
    schema: "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    aliases: &[],
    doc: "`input @ weight.T + bias`.\n\n>>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(1, 3), torch.tensor([1.]))\ntensor([[4.],\n        [4.]])",
    forms: Forms::NN,
    forward: |args| {
        let (x, w) = (args.tensor(0)?, args.tensor(1)?);
        if x.ndim() == 0 || w.ndim() == 0 {
            bail!(
                Runtime,
                "both arguments to linear need to be at least 1D, but they are {}D and {}D",
                x.ndim(),
                w.ndim()
            );
        }
        let w = w.t()?;
        Ok(smallvec![match args.opt_tensor(2)? {
            Some(b) => affine(x, &w, b)?,
            None => product(x, &w)?,
        }])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// `x @ w + bias`, in one product if the rows of `x` form a matrix.
fn affine(x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let one = Scalar::Int(1);
    if x.ndim() == 2 {
        return addmm(bias, x, w, one, one);
    }
    if !x.is_contiguous() || bias.ndim() != 1 {
        let out = product(x, w)?;
        return pointwise::in_place(Id::ADD, &[(&out).into(), bias.into()]);
    }
    let (&k, lead) = x.shape().split_last().expect("one dimension or more");
    let rows = call1(Id::RESHAPE, &[x.into(), ints(&[lead.iter().product(), k])])?;
    let out = addmm(bias, &rows, w, one, one)?;
    let mut shape = Shape::from_slice(lead);
    shape.push(out.shape()[1]);
    call1(Id::VIEW, &[out.into(), ints(&shape)])
}

fn check_bilinear(x: &Tensor, y: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    if x.ndim() != y.ndim() {
        let (m, n) = (x.ndim(), y.ndim());
        bail!(Runtime, "bilinear(): input dimensions do not match: got {m} and {n}");
    }
    let lead = x.ndim().saturating_sub(1);
    if let Some(d) = (0..lead).find(|&d| x.shape()[d] != y.shape()[d]) {
        let (m, n) = (x.shape()[d], y.shape()[d]);
        bail!(
            Runtime,
            "bilinear(): input batch dimensions do not match at dim {d}: got {m} and {n}"
        );
    }
    for (d, (name, t)) in [(1, ("input1", x)), (2, ("input2", y))] {
        let (got, want) = (t.shape().last().copied(), w.shape()[wrap_dim(d, w.ndim())?]);
        if got != Some(want) {
            let got = got.unwrap_or(1);
            bail!(
                Runtime,
                "bilinear(): {name} size does not match weight size: got {got} but expected {want}"
            );
        }
    }
    let outputs = w.shape()[0];
    if let Some(got) = bias.map(|b| b.shape().first().copied().unwrap_or(1))
        && got != outputs
    {
        bail!(
            Runtime,
            "bilinear(): bias size does not match weight size: got {got} but expected {outputs}"
        );
    }
    Ok(())
}

/// For each row of `x` and `y`, and each matrix `w[k]`: `x @ w[k] @ y`.
fn forms(x: &Tensor, w: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (rows, k, m, n) = (x.shape()[0], w.shape()[0], w.shape()[1], w.shape()[2]);
    // All first products as one, then one matrix of `k` rows for each input.
    let wide = w.permute(&[1, 0, 2])?.reshape(&[m, k * n])?;
    let left = mm(x, &wide)?.reshape(&[rows, k, n])?;
    bmm(&left, &y.reshape(&[rows, n, 1])?)?.reshape(&[rows, k])
}

fn trilinear(a: &Args) -> Result<Tensor> {
    forms(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?)
}

/// The gradient of the matrices: sums of products of a gradient and both rows.
fn matrices_back(_: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let [g, x, y] = v else { bail!(Runtime, "three tensors") };
    let (rows, k, m, n) = (g.shape()[0], g.shape()[1], x.shape()[1], y.shape()[1]);
    let pairs = x.reshape(&[rows, m, 1])?.mul(&y.reshape(&[rows, 1, n])?)?;
    mm(&g.t()?, &pairs.reshape(&[rows, m * n])?)?.reshape(&[k, m, n])
}

pub(crate) const TRILINEAR: Structured = Structured {
    schema: "_trilinear(Tensor i1, Tensor i2, Tensor i3) -> Tensor",
    aliases: &[],
    doc: "For each row of `i1` and `i3`, and each matrix `i2[k]`: `i1 @ i2[k] @ i3`.",
    forms: Forms::HIDDEN,
    forward: |a| Ok(smallvec![trilinear(&a)?]),
    vjp: Vjp::Many(|| {
        let first = |_: &Cx, v: &[&Tensor]| forms(v[0], &v[1].permute(&[1, 0, 2])?, v[2]);
        let third = |_: &Cx, v: &[&Tensor]| forms(v[2], &v[1].permute(&[2, 1, 0])?, v[0]);
        let (g, x, w, y) = (X::Grad(0), X::In(0), X::In(1), X::In(2));
        vec![
            X::verb("first", first, &[g, w, y]),
            X::verb("matrices", matrices_back, &[g, x, y]),
            X::verb("third", third, &[g, w, x]),
        ]
    }),
    node: "TrilinearBackward0(expand1=[1,3], expand2=[0], expand3=[1,2], sumdim=[2,3])",
};

pub(crate) const BILINEAR: Structured = Structured {
    schema: "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
    aliases: &[],
    doc: "`input1 @ weight[k] @ input2 + bias[k]` for each `k`.\n\n>>> torch.nn.functional.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(4, 2, 3))\ntensor([[6., 6., 6., 6.]])",
    forms: Forms::NN.and(Forms::FUNCTION),
    forward: |a| {
        let [x, y, w] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
        let bias = a.opt_tensor(3)?;
        check_bilinear(x, y, w, bias)?;
        let (&m, lead) = x.shape().split_last().unwrap_or((&1, &[]));
        let (rows, k, n) = (lead.iter().product(), w.shape()[0], w.shape()[2]);
        let view = |t: &Tensor, shape: &[usize]| call1(Id::RESHAPE, &[t.into(), ints(shape)]);
        let (flat, other) = (view(x, &[rows, m])?, view(y, &[rows, n])?);
        let args: [Value; 3] = [flat.into(), w.into(), other.into()];
        // Examples of `vmap` are joined in the products.
        let joined = batch::active() && batch::level_of(&args).is_some();
        let out = if joined { trilinear(&Args(&args))? } else { call1(Id::TRILINEAR, &args)? };
        let mut shape = Shape::from_slice(lead);
        shape.push(k);
        let out = view(&out, &shape)?;
        Ok(smallvec![bias.map_or(Ok(out.clone()), |b| out.add(b))?])
    },
    vjp: Vjp::Composed,
    node: "",
};
