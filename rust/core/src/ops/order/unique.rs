//! Distinct elements.

use super::search::{grouped, groups};
use super::{at, flat_order};
use crate::formula::Vjp;
use crate::op::{Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::wrap_dim;
use crate::value::Args;
use crate::{Bool, Result, Tensor, pointwise};
use smallvec::SmallVec;

/// For each element of a vector but the first whether it equals the one before it.
fn repeats(t: &Tensor) -> Result<Vec<Bool>> {
    let n = t.numel() as i64;
    if n < 2 {
        return Ok(Vec::new());
    }
    let (a, b) = (t.slice(0, Some(1), None, 1)?, t.slice(0, None, Some(-1), 1)?);
    pointwise::binary(Id::EQ, &a, &b)?.contiguous()?.to_vec::<Bool>()
}

/// Distinct elements of a vector that is in order, or whose runs are meant.
fn of_vector(t: &Tensor, order: Option<&Tensor>) -> Result<[Tensor; 3]> {
    let same = repeats(t)?;
    let (starts, numbers) = groups(t, |k| same[k - 1].get());
    grouped(t, order, &starts, &numbers)
}

/// Distinct slices along a dimension; in order if `sorted`, else of runs.
fn of_slices(t: &Tensor, dim: i64, sorted: bool) -> Result<[Tensor; 3]> {
    let d = wrap_dim(dim, t.ndim())? as i64;
    let moved =
        |t: &Tensor, from: i64, to: i64| call1(Id::MOVEDIM, &[t.into(), from.into(), to.into()]);
    let rows = moved(&t.detach(), d, 0)?.contiguous()?;
    let n = rows.shape()[0];
    let width = rows.numel() / n.max(1);
    let flat = rows.reshape(&[n, width])?;
    let mut order: Vec<i64> = (0..n as i64).collect();
    if sorted {
        // Sorting by the last column first, stably, leaves the rows in the order of all columns.
        for k in (0..width).rev() {
            let column = flat.select(1, k as i64)?.contiguous()?;
            let (_, by) = flat_order(&at(&column, &Tensor::from_slice(&order))?)?;
            let by = by.detach().contiguous()?.to_vec::<i64>()?;
            order = by.into_iter().map(|i| order[i as usize]).collect();
        }
    }
    let order = Tensor::from_slice(&order);
    let sorted_rows = at(&flat, &order)?;
    let mut same = vec![true; n];
    for k in 0..width {
        let column = sorted_rows.select(1, k as i64)?.contiguous()?;
        repeats(&column)?.iter().enumerate().for_each(|(i, s)| same[i + 1] &= s.get());
    }
    let (starts, numbers) = groups(&sorted_rows, |k| same[k]);
    let [values, inverse, counts] = grouped(&sorted_rows, Some(&order), &starts, &numbers)?;
    let mut shape: SmallVec<[usize; 4]> = SmallVec::from_slice(rows.shape());
    shape[0] = starts.len();
    Ok([moved(&values.reshape(&shape)?, 0, d)?.detach().contiguous()?, inverse, counts])
}

fn all(t: &Tensor) -> Result<Outputs> {
    let (values, order) = flat_order(t)?;
    let [values, inverse, counts] = of_vector(&values.detach(), Some(&order.detach()))?;
    Ok([values, inverse.reshape(t.shape())?, counts].into_iter().collect())
}

fn runs(t: &Tensor) -> Result<Outputs> {
    let flat = t.detach().reshape(&[t.numel()])?;
    let [values, inverse, counts] = of_vector(&flat, None)?;
    Ok([values, inverse.reshape(t.shape())?, counts].into_iter().collect())
}

fn along(a: &Args, sorted: bool) -> Result<Outputs> {
    Ok(of_slices(a.tensor(0)?, a.int(1)?, sorted)?.into_iter().collect())
}

pub(crate) const UNIQUE: Structured = Structured {
    schema: "_unique2(Tensor self) -> (Tensor, Tensor, Tensor)",
    aliases: &[],
    doc: "The distinct elements in order, which of them each element is, and how often each occurs.",
    forms: Forms::FUNCTION,
    forward: |a| all(a.tensor(0)?),
    vjp: Vjp::None,
    node: "Unique2Backward0",
};

pub(crate) const UNIQUE_DIM: Structured = Structured {
    schema: "_unique_dim(Tensor self, int dim) -> (Tensor, Tensor, Tensor)",
    aliases: &[],
    doc: "As `_unique2`, of the slices along a dimension.",
    forms: Forms::FUNCTION,
    forward: |a| along(&a, true),
    vjp: Vjp::None,
    node: "UniqueDimBackward0",
};

pub(crate) const UNIQUE_CONSECUTIVE: Structured = Structured {
    schema: "_unique_consecutive(Tensor self) -> (Tensor, Tensor, Tensor)",
    aliases: &[],
    doc: "The first element of each run of equals, which run each element is in, and how long each is.",
    forms: Forms::FUNCTION,
    forward: |a| runs(a.tensor(0)?),
    vjp: Vjp::None,
    node: "UniqueConsecutiveBackward0",
};

pub(crate) const UNIQUE_CONSECUTIVE_DIM: Structured = Structured {
    schema: "_unique_dim_consecutive(Tensor self, int dim) -> (Tensor, Tensor, Tensor)",
    aliases: &[],
    doc: "As `_unique_consecutive`, of the slices along a dimension.",
    forms: Forms::FUNCTION,
    forward: |a| along(&a, false),
    vjp: Vjp::None,
    node: "UniqueDimConsecutiveBackward0",
};
