//! Products of matrices and vectors.
//!
//! Operands go to the kernel with the strides they have; nothing is copied. A rule names the
//! operand
//! it needs, so `mm` saves `self` only if `mat2` needs a gradient, and the other way round.

mod contract;
mod einsum;
mod matmul;
mod multiply;

pub(crate) use contract::{INNER, KRON, TENSORDOT};
pub(crate) use einsum::EINSUM;
pub(crate) use matmul::{BILINEAR, LINEAR, MATMUL, SQUEEZED, TRILINEAR, UNSAFE_VIEW};

use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Structured, call1};
use crate::ops::{Id, convert::to_dtype};
use crate::pointwise;
use crate::promote::result_type;
use crate::value::Args;
use crate::{DType, Result, Scalar, Tensor, Value, bail};
use multiply::Product;
use smallvec::smallvec;

/// `factor * t`, without a node where the factor is 1.
fn scaled(t: Tensor, factor: Scalar) -> Result<Tensor> {
    if factor.to_f64() == 1.0 {
        return Ok(t);
    }
    pointwise::call(Id::MUL, &[(&t).into(), factor.into()])
}

/// True for a matrix stored column by column. PyTorch gives its gradient the same order, so that of
/// the weight behind `weight.t()` comes out row-major.
fn column_major(t: &Tensor) -> bool {
    t.strides()[0] == 1 && t.strides()[1] == t.shape()[0] as isize
}

/// The memory orders of two matrices, as an argument for the rule: bit i set for column-major.
fn orders(a: &Tensor, b: &Tensor) -> Value {
    Value::Int(column_major(a) as i64 | (column_major(b) as i64) << 1)
}

/// The gradient of `a` in `a @ b`.
fn left_grad(g: &Tensor, b: &Tensor, columns: bool) -> Result<Tensor> {
    if columns { mm(b, &g.t()?)?.t() } else { mm(g, &b.t()?) }
}

/// The gradient of `b` in `a @ b`.
fn right_grad(g: &Tensor, a: &Tensor, columns: bool) -> Result<Tensor> {
    if columns { mm(&g.t()?, a)?.t() } else { mm(&a.t()?, g) }
}

fn check_product(a: &Tensor, b: &Tensor) -> Result<()> {
    let ([m, k], [l, n]) = ([a.shape()[0], a.shape()[1]], [b.shape()[0], b.shape()[1]]);
    if k != l {
        bail!(Runtime, "mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {l}x{n})");
    }
    Ok(())
}

/// Product of two matrices.
pub(crate) fn mm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    for (t, name) in [(a, "self"), (b, "mat2")] {
        if t.ndim() != 2 {
            bail!(Runtime, "{name} must be a matrix");
        }
    }
    call1(Id::MM_ORDERED, &[a.into(), b.into(), orders(a, b)])
}

pub(crate) const MM: Structured = Structured {
    schema: "mm(Tensor self, Tensor mat2) -> Tensor",
    aliases: &[],
    doc: "Product of two matrices.\n\n>>> torch.mm(torch.ones(2, 3), torch.ones(3, 1))\ntensor([[3.],\n        [3.]])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![mm(a.tensor(0)?, a.tensor(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const MM_ORDERED: Structured = Structured {
    schema: "_mm(Tensor self, Tensor mat2, int order) -> Tensor",
    aliases: &[],
    doc: "Product of two matrices, whose memory orders decide those of the gradients.",
    forms: Forms::HIDDEN,
    forward: |args| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        check_product(a, b)?;
        if a.dtype() != b.dtype() {
            bail!(
                Runtime,
                "expected m1 and m2 to have the same dtype, but got: {} != {}",
                a.dtype().cpp_name(),
                b.dtype().cpp_name()
            );
        }
        Ok(smallvec![Product::new("addmm_impl_cpu_", a, b).run(&[a.shape()[0], b.shape()[1]])?])
    },
    vjp: Vjp::Many(|| {
        let a = |cx: &Cx, v: &[&Tensor]| left_grad(v[0], v[1], cx.args.int(2)? & 1 != 0);
        let b = |cx: &Cx, v: &[&Tensor]| right_grad(v[0], v[1], cx.args.int(2)? & 2 != 0);
        vec![
            X::verb("mm_self", a, &[X::Grad(0), X::In(1)]),
            X::verb("mm_mat2", b, &[X::Grad(0), X::In(0)]),
        ]
    }),
    node: "MmBackward0(self_sym_sizes, mat2_sym_sizes)",
};

pub(crate) const ADDMM: Structured = Structured {
    schema: "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`beta * self + alpha * (mat1 @ mat2)`; `self` is broadcast.\n\n>>> torch.addmm(torch.tensor([1., 2.]), torch.ones(1, 3), torch.ones(3, 2))\ntensor([[4., 5.]])",
    forms: Forms::ALL,
    forward: |a| {
        let [c, x, y] = [a.tensor(0)?, a.tensor(1)?, a.tensor(2)?];
        Ok(smallvec![addmm(c, x, y, a.number(3)?, a.number(4)?)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// `beta * c + alpha * (a @ b)`
fn addmm(c: &Tensor, a: &Tensor, b: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    for (t, name) in [(a, "mat1"), (b, "mat2")] {
        if t.ndim() != 2 {
            bail!(Runtime, "{name} must be a matrix, got {}-D tensor", t.ndim());
        }
    }
    check_product(a, b)?;
    let differs = |x: &Tensor, y: &Tensor| x.dtype() != y.dtype();
    let pairs = [("mat1", a, b), ("self", c, b)];
    if let Some((name, x, y)) = pairs.into_iter().find(|p| differs(p.1, p.2)) {
        bail!(
            Runtime,
            "{name} and mat2 must have the same dtype, but got {} and {}",
            x.dtype().scalar_name(),
            y.dtype().scalar_name()
        );
    }
    let factors = [Value::from(beta), Value::from(alpha), orders(a, b)];
    let [beta, alpha, order] = factors;
    call1(Id::ADDMM_ORDERED, &[c.into(), a.into(), b.into(), beta, alpha, order])
}

pub(crate) const ADDMM_ORDERED: Structured = Structured {
    schema: "_addmm(Tensor self, Tensor mat1, Tensor mat2, Scalar beta, Scalar alpha, int order) -> Tensor",
    aliases: &[],
    doc: "As `addmm`; the memory orders of the matrices decide those of their gradients.",
    forms: Forms::HIDDEN,
    forward: |args| {
        let (a, b) = (args.tensor(1)?, args.tensor(2)?);
        let shape = [a.shape()[0], b.shape()[1]];
        Ok(smallvec![add_product("addmm_impl_cpu_", &args, &shape)?])
    },
    vjp: Vjp::Many(|| {
        let a = |cx: &Cx, v: &[&Tensor]| {
            scaled(left_grad(v[0], v[1], cx.args.int(5)? & 1 != 0)?, cx.args.number(4)?)
        };
        let b = |cx: &Cx, v: &[&Tensor]| {
            scaled(right_grad(v[0], v[1], cx.args.int(5)? & 2 != 0)?, cx.args.number(4)?)
        };
        vec![
            X::verb("beta", beta_grad, &[X::Grad(0)]),
            X::verb("mm_mat1", a, &[X::Grad(0), X::In(2)]),
            X::verb("mm_mat2", b, &[X::Grad(0), X::In(1)]),
        ]
    }),
    node: "AddmmBackward0(beta, alpha, mat1_sym_sizes, mat2_sym_sizes)",
};

/// Runs `beta * self + alpha * (a @ b)` for a call with the arguments (self, a, b, beta, alpha).
fn add_product(kernel: &'static str, args: &Args, shape: &[usize]) -> Result<Tensor> {
    let [c, a, b] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
    let c = broadcast_to(c, shape)?;
    let (beta, alpha) = (args.number(3)?, args.number(4)?);
    Product { alpha, added: Some((&c, beta)), ..Product::new(kernel, a, b) }.run(shape)
}

/// A view of `t` in `shape`, with PyTorch's refusal if it does not fit.
fn broadcast_to(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let sizes = Value::Ints(shape.iter().map(|&n| n as i64).collect());
    call1(Id::EXPAND, &[t.into(), sizes, false.into()])
}

/// The gradient of `self` in `beta * self + ...`.
fn beta_grad(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    scaled(v[0].clone(), cx.args.number(3)?)
}

/// The factor of the product.
fn alpha_of(cx: &Cx) -> Result<Scalar> {
    Ok(cx.args.opt_number(4)?.unwrap_or(Scalar::Int(1)))
}

fn check_batches(a: &Tensor, b: &Tensor) -> Result<()> {
    for (t, name) in [(a, "batch1"), (b, "batch2")] {
        if t.ndim() != 3 {
            bail!(Runtime, "{name} must be a 3D tensor");
        }
    }
    let (want, got) = ([a.shape()[0], a.shape()[2]], [b.shape()[0], b.shape()[1]]);
    if want != got {
        bail!(
            Runtime,
            "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].",
            want[0],
            want[1],
            got[0],
            got[1]
        );
    }
    Ok(())
}

fn check_batch_dtypes(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        bail!(
            Runtime,
            "expected scalar type {} but found {}",
            a.dtype().scalar_name(),
            b.dtype().scalar_name()
        );
    }
    Ok(())
}

/// Products of the matrices of two batches.
pub(crate) fn bmm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    call1(Id::BMM, &[a.into(), b.into()])
}

fn bmm_left(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    scaled(bmm(v[0], &v[1].transpose(1, 2)?)?, alpha_of(cx)?)
}

fn bmm_right(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    scaled(bmm(&v[1].transpose(1, 2)?, v[0])?, alpha_of(cx)?)
}

pub(crate) const BMM: Structured = Structured {
    schema: "bmm(Tensor self, Tensor mat2) -> Tensor",
    aliases: &[],
    doc: "Products of the matrices of two batches.\n\n>>> torch.bmm(torch.ones(4, 2, 3), torch.ones(4, 3, 5)).shape\ntorch.Size([4, 2, 5])",
    forms: Forms::BOTH,
    forward: |args| {
        let (a, b) = (args.tensor(0)?, args.tensor(1)?);
        check_batches(a, b)?;
        check_batch_dtypes(a, b)?;
        let shape = [a.shape()[0], a.shape()[1], b.shape()[2]];
        Ok(smallvec![Product::new("bmm", a, b).run(&shape)?])
    },
    vjp: Vjp::Many(|| {
        vec![
            X::verb("bmm_self", bmm_left, &[X::Grad(0), X::In(1)]),
            X::verb("bmm_mat2", bmm_right, &[X::Grad(0), X::In(0)]),
        ]
    }),
    node: "BmmBackward0",
};

pub(crate) const BADDBMM: Structured = Structured {
    schema: "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`beta * self + alpha * (batch1 @ batch2)` for batches of matrices; `self` is broadcast.\n\n>>> torch.baddbmm(torch.ones(5), torch.ones(4, 2, 3), torch.ones(4, 3, 5))[0, 0]\ntensor([4., 4., 4., 4., 4.])",
    forms: Forms::ALL,
    forward: |args| {
        let [c, a, b] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
        check_batches(a, b)?;
        if c.dtype() != a.dtype() {
            bail!(
                Runtime,
                "Input dtypes must be the same, got: input {}, batch1: {}, batch2: {}",
                c.dtype().cpp_name(),
                a.dtype().cpp_name(),
                b.dtype().cpp_name()
            );
        }
        check_batch_dtypes(a, b)?;
        let shape = [a.shape()[0], a.shape()[1], b.shape()[2]];
        Ok(smallvec![add_product("baddbmm", &args, &shape)?])
    },
    vjp: Vjp::Many(|| {
        vec![
            X::verb("beta", beta_grad, &[X::Grad(0)]),
            X::verb("bmm_batch1", bmm_left, &[X::Grad(0), X::In(2)]),
            X::verb("bmm_batch2", bmm_right, &[X::Grad(0), X::In(1)]),
        ]
    }),
    node: "BaddbmmBackward0",
};

fn check_batch_sum(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.ndim() != 3 || b.ndim() != 3 {
        return check_batches(a, b);
    }
    let ([n, i, j], [p, k, l]) = ([0, 1, 2].map(|d| a.shape()[d]), [0, 1, 2].map(|d| b.shape()[d]));
    if n != p {
        bail!(Runtime, "batch1 and batch2 must have same number of batches, got {n} and {p}");
    }
    if j != k {
        bail!(Runtime, "Incompatible matrix sizes for bmm ({i}x{j} and {k}x{l})");
    }
    Ok(())
}

/// A matrix for each of those of a batch.
fn for_each(matrix: &Tensor, batch: &Tensor) -> Result<Tensor> {
    matrix.expand(&[batch.shape()[0], matrix.shape()[0], matrix.shape()[1]])
}

pub(crate) const ADDBMM: Structured = Structured {
    schema: "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`beta * self + alpha * (batch1 @ batch2).sum(0)`; `self` is broadcast.\n\n>>> torch.addbmm(torch.zeros(1), torch.ones(4, 1, 3), torch.ones(4, 3, 2))\ntensor([[12., 12.]])",
    forms: Forms::ALL,
    forward: |args| {
        let [c, a, b] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
        check_batch_sum(a, b)?;
        let ([n, m, k], l) = ([a.shape()[0], a.shape()[1], a.shape()[2]], b.shape()[2]);
        // One product, as deep as all matrices together.
        let a = a.permute(&[1, 0, 2])?.reshape(&[m, n * k])?;
        let c = broadcast_to(c, &[m, l])?;
        let (beta, alpha) = (args.number(3)?, args.number(4)?);
        Ok(smallvec![addmm(&c, &a, &b.reshape(&[n * k, l])?, beta, alpha)?])
    },
    vjp: Vjp::Many(|| {
        let a = |cx: &Cx, v: &[&Tensor]| bmm_left(cx, &[&for_each(v[0], v[1])?, v[1]]);
        let b = |cx: &Cx, v: &[&Tensor]| bmm_right(cx, &[&for_each(v[0], v[1])?, v[1]]);
        vec![
            X::verb("beta", beta_grad, &[X::Grad(0)]),
            X::verb("bmm_batch1", a, &[X::Grad(0), X::In(2)]),
            X::verb("bmm_batch2", b, &[X::Grad(0), X::In(1)]),
        ]
    }),
    node: "AddbmmBackward0(beta, alpha, batch1_sym_argsize_0, batch1_sym_argsize_1, batch2_sym_argsize_2)",
};

/// What `mv` and `addmv` demand of a matrix, a vector, and the tensor to add (its dimensions, number
/// of elements and dtype).
fn check_mv(c: (usize, usize, DType), mat: &Tensor, vec: &Tensor) -> Result<()> {
    let (ndim, numel, dtype) = c;
    if mat.ndim() != 2 || vec.ndim() != 1 || ndim > 1 {
        let (m, v) = (mat.ndim(), vec.ndim());
        bail!(Runtime, "vector + matrix @ vector expected, got {ndim}, {m}, {v}");
    }
    let (m, k, n) = (mat.shape()[0], mat.shape()[1], vec.numel());
    if k != n || (m != numel && numel != 1) {
        bail!(Runtime, "size mismatch, got input ({numel}), mat ({m}x{k}), vec ({n})");
    }
    if dtype != mat.dtype() || dtype != vec.dtype() {
        bail!(
            Runtime,
            "addmv input tensors must have the same dtype, but got {}, {}, and {}",
            dtype.scalar_name(),
            mat.dtype().scalar_name(),
            vec.dtype().scalar_name()
        );
    }
    Ok(())
}

/// Product of a matrix and a vector.
pub(crate) fn mv(mat: &Tensor, vec: &Tensor) -> Result<Tensor> {
    call1(Id::MV, &[mat.into(), vec.into()])
}

/// The gradient of the matrix in `alpha * (mat @ vec)`.
fn mv_mat(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    scaled(outer(v[0], v[1])?, alpha_of(cx)?)
}

/// The gradient of the vector.
fn mv_vec(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    scaled(mv(&v[1].t()?, v[0])?, alpha_of(cx)?)
}

pub(crate) const MV: Structured = Structured {
    schema: "mv(Tensor self, Tensor vec) -> Tensor",
    aliases: &[],
    doc: "Product of a matrix and a vector.\n\n>>> torch.mv(torch.ones(2, 3), torch.tensor([1., 2., 3.]))\ntensor([6., 6.])",
    forms: Forms::BOTH,
    forward: |args| {
        let (mat, vec) = (args.tensor(0)?, args.tensor(1)?);
        let rows = mat.shape().first().copied().unwrap_or(1);
        check_mv((1, rows, vec.dtype()), mat, vec)?;
        Ok(smallvec![Product::new("addmv_impl_cpu", mat, vec).run(&[rows])?])
    },
    vjp: Vjp::Many(|| {
        vec![
            X::verb("outer", mv_mat, &[X::Grad(0), X::In(1)]),
            X::verb("mv", mv_vec, &[X::Grad(0), X::In(0)]),
        ]
    }),
    node: "MvBackward0",
};

pub(crate) const ADDMV: Structured = Structured {
    schema: "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`beta * self + alpha * (mat @ vec)`; `self` is broadcast.\n\n>>> torch.addmv(torch.tensor([1., 2.]), torch.ones(2, 3), torch.ones(3))\ntensor([4., 5.])",
    forms: Forms::ALL,
    forward: |args| {
        let [c, mat, vec] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
        check_mv((c.ndim(), c.numel(), c.dtype()), mat, vec)?;
        Ok(smallvec![add_product("addmv_impl_cpu", &args, &mat.shape()[..1])?])
    },
    vjp: Vjp::Many(|| {
        vec![
            X::verb("beta", beta_grad, &[X::Grad(0)]),
            X::verb("outer", mv_mat, &[X::Grad(0), X::In(2)]),
            X::verb("mv", mv_vec, &[X::Grad(0), X::In(1)]),
        ]
    }),
    node: "AddmvBackward0",
};

fn check_dot(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.ndim() != 1 || b.ndim() != 1 {
        bail!(Runtime, "1D tensors expected, but got {}D and {}D tensors", a.ndim(), b.ndim());
    }
    if a.dtype() != b.dtype() {
        bail!(
            Runtime,
            "dot : expected both vectors to have same dtype, but found {} and {}",
            a.dtype().scalar_name(),
            b.dtype().scalar_name()
        );
    }
    let (m, n) = (a.numel(), b.numel());
    if m != n {
        bail!(
            Runtime,
            "inconsistent tensor size, expected tensor [{m}] and src [{n}] to have the same number of elements, but got {m} and {n} elements respectively"
        );
    }
    Ok(())
}

fn dot_forward(args: Args) -> Result<crate::op::Outputs> {
    let (a, b) = (args.tensor(0)?, args.tensor(1)?);
    check_dot(a, b)?;
    Ok(smallvec![Product::new("dot", a, b).run(&[])?])
}

/// Product of two vectors.
pub(crate) fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    call1(Id::DOT, &[a.into(), b.into()])
}

pub(crate) const DOT: Structured = Structured {
    schema: "dot(Tensor self, Tensor tensor) -> Tensor",
    aliases: &[],
    doc: "Sum of the products of two vectors' elements.\n\n>>> torch.dot(torch.tensor([2, 3]), torch.tensor([2, 1]))\ntensor(7)",
    forms: Forms::BOTH,
    forward: dot_forward,
    vjp: Vjp::Two(|a, b, _y, g| (g * b, g * a)),
    node: "DotBackward0",
};

pub(crate) const VDOT: Structured = Structured {
    schema: "vdot(Tensor self, Tensor other) -> Tensor",
    aliases: &[],
    doc: "As `dot`, for real vectors.\n\n>>> torch.vdot(torch.tensor([2, 3]), torch.tensor([2, 1]))\ntensor(7)",
    forms: Forms::BOTH,
    forward: dot_forward,
    vjp: Vjp::Two(|a, b, _y, g| (g * b, g * a)),
    node: "VdotBackward0",
};

fn check_vectors(name: &str, vectors: [(&str, &Tensor); 2]) -> Result<()> {
    for (arg, t) in vectors {
        if t.ndim() != 1 {
            bail!(Runtime, "{name}: Expected 1-D argument {arg}, but got {}-D", t.ndim());
        }
    }
    Ok(())
}

/// All products of an element of `a` and an element of `b`.
pub(crate) fn outer(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_vectors("outer", [("self", a), ("vec2", b)])?;
    let sizes = Value::from(&[a.numel() as i64, 1][..]);
    let column = call1(Id::RESHAPE, &[a.into(), sizes])?;
    pointwise::binary(Id::MUL, &column, b)
}

pub(crate) const OUTER: Structured = Structured {
    schema: "outer(Tensor self, Tensor vec2) -> Tensor",
    aliases: &["ger"],
    doc: "The matrix of all products of two vectors' elements.\n\n>>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))\ntensor([[3, 4],\n        [6, 8]])",
    forms: Forms::BOTH,
    forward: |a| Ok(smallvec![outer(a.tensor(0)?, a.tensor(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};

/// Refuses factors of another kind than the result of `addr`.
fn check_factor(name: &str, factor: Scalar, result: DType) -> Result<()> {
    if matches!(factor, Scalar::Float(_)) && !result.is_differentiable() {
        bail!(
            Runtime,
            "For integral input tensors, argument {name} must not be a floating point number."
        );
    }
    if matches!(factor, Scalar::Bool(_)) && result != DType::Bool {
        bail!(Runtime, "Boolean {name} only supported for Boolean results.");
    }
    Ok(())
}

pub(crate) const ADDR: Structured = Structured {
    schema: "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    aliases: &[],
    doc: "`beta * self + alpha * outer(vec1, vec2)`; `self` is broadcast.\n\n>>> torch.addr(torch.zeros(2), torch.ones(2), torch.tensor([1., 2.]))\ntensor([[1., 2.],\n        [1., 2.]])",
    forms: Forms::ALL,
    forward: |args| {
        let [c, x, y] = [args.tensor(0)?, args.tensor(1)?, args.tensor(2)?];
        check_vectors("addr", [("vec1", x), ("vec2", y)])?;
        let c = broadcast_to(c, &[x.numel(), y.numel()])?;
        let (beta, alpha) = (args.number(3)?, args.number(4)?);
        let dtype = result_type(&[&c, x, y]);
        check_factor("beta", beta, dtype)?;
        check_factor("alpha", alpha, dtype)?;
        let truth = |s: Scalar| if dtype == DType::Bool { Scalar::Bool(s.is_true()) } else { s };
        let (beta, alpha) = (truth(beta), truth(alpha));
        let product = scaled(outer(x, y)?, alpha)?;
        if !beta.is_true() {
            return Ok(smallvec![product]);
        }
        Ok(smallvec![pointwise::binary(Id::ADD, &scaled(c, beta)?, &product)?])
    },
    vjp: Vjp::Many(|| {
        let x = |cx: &Cx, v: &[&Tensor]| {
            scaled(mv(v[0], &to_dtype(v[1], v[0].dtype())?)?, alpha_of(cx)?)
        };
        let y = |cx: &Cx, v: &[&Tensor]| {
            scaled(mv(&v[0].t()?, &to_dtype(v[1], v[0].dtype())?)?, alpha_of(cx)?)
        };
        vec![
            X::verb("beta", beta_grad, &[X::Grad(0)]),
            X::verb("mv", x, &[X::Grad(0), X::In(2)]),
            X::verb("mv", y, &[X::Grad(0), X::In(1)]),
        ]
    }),
    node: "AddrBackward0",
};

impl Tensor {
    /// The matrix product: of two vectors a number, of two matrices a matrix, of batches a batch.
    /// Leading dimensions broadcast.
    ///
    /// # Errors
    /// RuntimeError for 0-d operands, sizes that do not fit, and different dtypes.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        call1(Id::MATMUL, &[self.into(), other.into()])
    }
}
