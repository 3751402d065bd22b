//! `torch.linalg`'s norms of vectors and matrices, made of vector norms and singular values.

use super::norm::check_dtype;
use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::ops::convert::to_dtype;
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

/// The two dimensions of the matrices, counted from the first. Of half precision there are no
/// singular values.
fn matrix_dims(t: &Tensor, rest: &Rest, singular: bool) -> Result<[i64; 2]> {
    if t.ndim() < 2 {
        bail!(Runtime, "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.");
    }
    let name = t.dtype().scalar_name();
    if !t.dtype().is_float() {
        bail!(
            Runtime,
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {name}"
        );
    }
    if singular && t.dtype().size() < 4 {
        bail!(Runtime, "linalg.matrix_norm: Low precision dtypes not supported. Got {name}");
    }
    let dims = match &rest.dim {
        Value::Ints(d) if d.len() == 2 => [wrap_dim(d[0], t.ndim())?, wrap_dim(d[1], t.ndim())?],
        Value::Ints(d) => {
            let given: Vec<String> = d.iter().map(i64::to_string).collect();
            bail!(Runtime, "linalg.matrix_norm: dim must be a 2-tuple. Got {}", given.join(" "))
        }
        _ => [t.ndim() - 2, t.ndim() - 1],
    };
    if let [a, b] = dims
        && a == b
    {
        bail!(Runtime, "linalg.matrix_norm: dims must be different. Got ({a}, {b})");
    }
    if let Value::DType(dtype) = rest.dtype {
        check_dtype("matrix_norm", t, dtype)?;
    }
    Ok(dims.map(|d| d as i64))
}

/// The largest of a dimension (0 of none), or the smallest.
fn extreme(t: &Tensor, largest: bool, dim: i64, keepdim: bool) -> Result<Tensor> {
    if largest && t.shape()[wrap_dim(dim, t.ndim())?] == 0 {
        return t.sum(&[dim], keepdim);
    }
    let id = if largest { Id::AMAX } else { Id::AMIN };
    call1(id, &[t.into(), Value::Ints(smallvec![dim]), keepdim.into()])
}

/// What `fold` makes of the singular values, which stand in the last dimension.
fn of_singular_values(
    t: &Tensor,
    dims: [i64; 2],
    rest: &Rest,
    fold: impl Fn(&Tensor, bool) -> Result<Tensor>,
) -> Result<Tensor> {
    let keep = matches!(rest.keepdim, Value::Bool(true));
    let t = if let Value::DType(dtype) = rest.dtype { to_dtype(t, dtype)? } else { t.clone() };
    let mut order: Vec<i64> = (0..t.ndim() as i64).filter(|d| !dims.contains(d)).collect();
    order.extend(dims);
    let values = call1(Id::SVDVALS, &[t.permute(&order)?.into(), Value::None])?;
    let out = fold(&values, keep)?;
    if !keep {
        return Ok(out);
    }
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &d)| back[d as usize] = i as i64);
    out.unsqueeze(-1)?.permute(&back)
}

/// The largest (or smallest) sum of magnitudes of a column (orders 1 and -1) or row (infinity), or
/// singular value (2).
fn of_order(t: &Tensor, ord: f64, rest: Rest) -> Result<Tensor> {
    if !matches!(ord.abs(), 1.0 | 2.0 | f64::INFINITY) {
        bail!(Runtime, "linalg.matrix_norm: Order {ord} not supported.");
    }
    let [mut along, mut over] = matrix_dims(t, &rest, ord.abs() == 2.0)?;
    if ord.abs() == 2.0 {
        return of_singular_values(t, [along, over], &rest, |s, keep| {
            extreme(s, ord > 0.0, -1, keep)
        });
    }
    if ord.is_infinite() {
        std::mem::swap(&mut along, &mut over);
    }
    let keep = matches!(rest.keepdim, Value::Bool(true));
    let along = Value::Ints(smallvec![along]);
    over -= (!keep && matches!(&along, Value::Ints(d) if d[0] < over)) as i64;
    let sums = vector(t, Scalar::Int(1), Rest { dim: along, keepdim: keep.into(), ..rest })?;
    extreme(&sums, ord > 0.0, over, keep)
}

fn of_name(t: &Tensor, ord: &str, rest: Rest) -> Result<Tensor> {
    if !matches!(ord, "fro" | "nuc") {
        bail!(Runtime, "linalg.matrix_norm: Order {ord} not supported.");
    }
    let dims = matrix_dims(t, &rest, ord == "nuc")?;
    if ord == "nuc" {
        return of_singular_values(t, dims, &rest, |s, keep| s.sum(&[-1], keep));
    }
    vector(t, Scalar::Int(2), Rest { dim: Value::Ints(dims.as_slice().into()), ..rest })
}

pub(crate) const MATRIX_NORM: Structured = Structured {
    schema: "linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    aliases: &[],
    doc: "The norm of matrices: `ord` 1 (largest column sum of magnitudes), infinity (row sum), 2 (singular value), their negatives (the smallest), `'fro'` (root of the sum of squares) or `'nuc'` (sum of the singular values).\n\n>>> torch.linalg.matrix_norm(torch.tensor([[1., -2.], [3., 4.]]), 1)\ntensor(6.)",
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
