//! `torch.linalg`'s norms of vectors and matrices, made of vector norms.

use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::{show, wrap_dim};
use crate::value::Args;
use crate::{Result, Scalar, Tensor, Value, bail};
use smallvec::smallvec;

/// What follows `ord` in each signature.
struct Rest {
    dim: Value,
    keepdim: Value,
    dtype: Value,
}

impl Rest {
    fn of(a: &Args) -> Rest {
        Rest { dim: a.get(2).clone(), keepdim: a.get(3).clone(), dtype: a.get(4).clone() }
    }
}

fn vector(t: &Tensor, ord: Scalar, rest: Rest) -> Result<Tensor> {
    let args = [t.into(), ord.into(), rest.dim, rest.keepdim, rest.dtype];
    call1(Id::LINALG_VECTOR_NORM, &args)
}

/// The two dimensions of the matrices, counted from the first.
fn matrix_dims(t: &Tensor, dim: &Value) -> Result<[usize; 2]> {
    if !t.dtype().is_float() {
        bail!(
            Runtime,
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {}",
            t.dtype().scalar_name()
        );
    }
    if t.ndim() < 2 {
        bail!(Runtime, "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.");
    }
    match dim {
        Value::Ints(d) if d.len() == 2 => {
            let [a, b] = [wrap_dim(d[0], t.ndim())?, wrap_dim(d[1], t.ndim())?];
            if a == b {
                let (a, b) = (d[0], d[1]);
                bail!(Runtime, "linalg.matrix_norm: dims must be different. Got ({a}, {b})");
            }
            Ok([a, b])
        }
        Value::Ints(d) => {
            bail!(Runtime, "linalg.matrix_norm: dim must be a 2-tuple. Got {}", show(d))
        }
        _ => Ok([t.ndim() - 2, t.ndim() - 1]),
    }
}

/// The largest (or smallest) sum of magnitudes of a column (orders 1 and -1) or row (infinity).
fn of_order(t: &Tensor, ord: f64, rest: Rest) -> Result<Tensor> {
    let [mut along, mut over] = matrix_dims(t, &rest.dim)?.map(|d| d as i64);
    match ord.abs() {
        1.0 => (),
        f64::INFINITY => std::mem::swap(&mut along, &mut over),
        2.0 => bail!(NotImplemented, "linalg.matrix_norm: singular values are not implemented"),
        _ => bail!(Runtime, "linalg.matrix_norm: Order {ord} not supported."),
    }
    let keep = matches!(rest.keepdim, Value::Bool(true));
    let along = Value::Ints(smallvec![along]);
    over -= (!keep && matches!(&along, Value::Ints(d) if d[0] < over)) as i64;
    let sums = vector(t, Scalar::Int(1), Rest { dim: along, keepdim: keep.into(), ..rest })?;
    let id = if ord > 0.0 { Id::AMAX } else { Id::AMIN };
    call1(id, &[(&sums).into(), Value::Ints(smallvec![over]), keep.into()])
}

fn of_name(t: &Tensor, ord: &str, rest: Rest) -> Result<Tensor> {
    let dims = matrix_dims(t, &rest.dim)?.map(|d| d as i64);
    match ord {
        "fro" => {
            vector(t, Scalar::Int(2), Rest { dim: Value::Ints(dims.as_slice().into()), ..rest })
        }
        "nuc" => bail!(NotImplemented, "linalg.matrix_norm: singular values are not implemented"),
        _ => bail!(Runtime, "linalg.matrix_norm: Order {ord} not supported."),
    }
}

pub(crate) const MATRIX_NORM: Structured = Structured {
    schema: "linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "The norm of matrices: `ord` 1 (largest column sum of magnitudes), infinity (row sum), their negatives (the smallest), or `'fro'` (root of the sum of squares).\n\n>>> torch.linalg.matrix_norm(torch.tensor([[1., -2.], [3., 4.]]), 1)\ntensor(6.)",
    forms: Forms::LINALG,
    forward: |a| Ok(smallvec![of_order(a.tensor(0)?, a.number(1)?.to_f64(), Rest::of(&a))?]),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const MATRIX_NORM_NAME: Structured = Structured {
    schema: "linalg_matrix_norm.str_ord(Tensor self, str ord='fro', int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    forward: |a| Ok(smallvec![of_name(a.tensor(0)?, a.str(1)?, Rest::of(&a))?]),
    ..MATRIX_NORM
};

/// Whether the norm of an order is one of matrices.
fn of_matrices(t: &Tensor, dim: &Value) -> Result<bool> {
    match dim {
        Value::Ints(d) if matches!(d.len(), 1 | 2) => Ok(d.len() == 2),
        Value::Ints(d) => bail!(
            Runtime,
            "linalg.norm: If dim is specified, it must be of length 1 or 2. Got {}",
            show(d)
        ),
        _ if matches!(t.ndim(), 1 | 2) => Ok(t.ndim() == 2),
        _ => bail!(
            Runtime,
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {}D.",
            t.ndim()
        ),
    }
}

fn norm(a: &Args) -> Result<Outputs> {
    let (t, rest) = (a.tensor(0)?, Rest::of(a));
    Ok(smallvec![match a.opt_number(1)? {
        Some(ord) if of_matrices(t, &rest.dim)? => of_order(t, ord.to_f64(), rest)?,
        ord => vector(t, ord.unwrap_or(Scalar::Int(2)), rest)?,
    }])
}

pub(crate) const LINALG_NORM: Structured = Structured {
    schema: "linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "The norm of vectors or, with `ord` and two dimensions, of matrices; without `ord` the root of the sum of squares.\n\n>>> torch.linalg.norm(torch.tensor([3., 4.]))\ntensor(5.)",
    forms: Forms::LINALG,
    forward: |a| norm(&a),
    vjp: Vjp::Composed,
    node: "",
};

pub(crate) const LINALG_NORM_NAME: Structured = Structured {
    schema: "linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    forward: |a| {
        let (t, rest) = (a.tensor(0)?, Rest::of(&a));
        of_matrices(t, &rest.dim)?;
        Ok(smallvec![of_name(t, a.str(1)?, rest)?])
    },
    ..LINALG_NORM
};
