//! Einstein summation: equations of labels, and pairs of operands contracted in order.

use super::{bmm, check_batch_dtypes};
use crate::formula::Vjp;
use crate::op::{Forms, Structured, call1};
use crate::ops::Id;
use crate::shape::Shape;
use crate::{Result, Tensor, Value, bail};
use smallvec::{SmallVec, smallvec};

/// Names of dimensions: letters, and `ELLIPSIS + k` for the k-th last that an ellipsis covers.
type Labels = SmallVec<[u8; 8]>;
const ELLIPSIS: u8 = 128;

/// A part of an equation: the letters before an ellipsis, and those after it if there is one.
#[derive(Default)]
struct Subscripts {
    before: Labels,
    after: Option<Labels>,
}

impl Subscripts {
    /// Reads one character at `at`, and says how many it took.
    ///
    /// # Errors
    /// RuntimeError for what is neither a letter nor an ellipsis, which `whose` names.
    fn read(&mut self, text: &[u8], at: usize, whose: &str) -> Result<usize> {
        let c = text[at];
        match c {
            b' ' => Ok(1),
            b'.' if self.after.is_some() => {
                let but = if whose == "output" { " but" } else { " for which" };
                let name = if whose == "output" { "an ellipsis (...)" } else { "an ellipsis" };
                bail!(Runtime, "einsum(): found '.' for {whose}{but} {name} was already found")
            }
            b'.' if text[at..].starts_with(b"...") => {
                self.after = Some(Labels::new());
                Ok(3)
            }
            b'.' => {
                let name = if whose == "output" { "ellipsis (...)" } else { "ellipsis" };
                bail!(Runtime, "einsum(): found '.' for {whose} that is not part of any {name}")
            }
            _ if c.is_ascii_alphabetic() => {
                self.after.as_mut().unwrap_or(&mut self.before).push(c);
                Ok(1)
            }
            _ => bail!(
                Runtime,
                "einsum(): invalid subscript given at index {at} in the equation string, subscripts must be in [a-zA-Z]"
            ),
        }
    }

    fn letters(&self) -> impl Iterator<Item = u8> {
        self.before.iter().chain(self.after.iter().flatten()).copied()
    }

    /// One label for each dimension, the ellipsis covering `covered`.
    fn labels(&self, covered: usize) -> Labels {
        let mut all = self.before.clone();
        if let Some(after) = &self.after {
            all.extend((0..covered).rev().map(|k| ELLIPSIS + k as u8));
            all.extend_from_slice(after);
        }
        all
    }

    /// How many dimensions of operand `i` the ellipsis covers.
    fn covered(&self, t: &Tensor, i: usize) -> Result<usize> {
        let (n, ndim) = (self.letters().count(), t.ndim());
        if self.after.is_none() && n != ndim {
            bail!(
                Runtime,
                "einsum(): the number of subscripts in the equation ({n}) does not match the number of dimensions ({ndim}) for operand {i} and no ellipsis was given"
            );
        }
        if n > ndim {
            bail!(
                Runtime,
                "einsum(): the number of subscripts in the equation ({n}) is more than the number of dimensions ({ndim}) for operand {i}"
            );
        }
        Ok(ndim - n)
    }
}

/// The parts left of the arrow, one for each operand, and where the right side starts.
fn parse_operands(text: &[u8], operands: usize) -> Result<(Vec<Subscripts>, Option<usize>)> {
    let (mut parts, mut at) = (vec![Subscripts::default()], 0);
    let mut arrow = None;
    while at < text.len() {
        if text[at..].starts_with(b"->") {
            arrow = Some(at + 2);
            break;
        }
        let i = parts.len() - 1;
        if text[at] != b',' {
            at += parts[i].read(text, at, &format!("operand {i}"))?;
            continue;
        }
        if i + 1 == operands {
            bail!(Runtime, "einsum(): fewer operands were provided than specified in the equation");
        }
        parts.push(Subscripts::default());
        at += 1;
    }
    if parts.len() < operands {
        bail!(Runtime, "einsum(): more operands were provided than specified in the equation");
    }
    Ok((parts, arrow))
}

/// The labels of the result: those right of the arrow, or without one the ellipsis and then all
/// letters that occur once, in the order of the alphabet.
fn output_labels(
    text: &[u8],
    arrow: Option<usize>,
    parts: &[Subscripts],
    covered: usize,
) -> Result<Labels> {
    let count = |c: u8| parts.iter().flat_map(Subscripts::letters).filter(|&l| l == c).count();
    let mut out = Subscripts::default();
    let Some(mut at) = arrow else {
        let once = (b'A'..=b'z').filter(|&c| c.is_ascii_alphabetic() && count(c) == 1);
        out.after = Some(once.collect());
        return Ok(out.labels(covered));
    };
    while at < text.len() {
        at += out.read(text, at, "output")?;
    }
    let letters: Labels = out.letters().collect();
    for (i, &c) in letters.iter().enumerate() {
        let name = c as char;
        if letters[..i].contains(&c) {
            bail!(
                Runtime,
                "einsum(): output subscript {name} appears more than once in the output"
            );
        }
        if count(c) == 0 {
            bail!(
                Runtime,
                "einsum(): output subscript {name} does not appear in the equation for any input operand"
            );
        }
    }
    Ok(out.labels(covered))
}

/// A tensor whose dimensions have names, no two alike.
struct Term {
    t: Tensor,
    labels: Labels,
}

impl Term {
    /// Operand `i`: of a label that occurs twice, the diagonal.
    fn new(t: &Tensor, labels: &[u8], i: usize) -> Result<Term> {
        let mut term = Term { t: t.clone(), labels: Labels::new() };
        for &label in labels {
            let Some(first) = term.place(label) else {
                term.labels.push(label);
                continue;
            };
            let again = term.labels.len();
            let (m, n) = (term.t.shape()[first], term.t.shape()[again]);
            if m != n {
                let name = label as char;
                bail!(
                    Runtime,
                    "einsum(): subscript {name} is repeated for operand {i} but the sizes don't match, {n} != {m}"
                );
            }
            let args = [0, first as i64, again as i64].map(Value::Int);
            let [offset, dim1, dim2] = args;
            let diagonal = call1(Id::DIAGONAL, &[(&term.t).into(), offset, dim1, dim2])?;
            let (from, to) = (Value::Int(-1), Value::Int(first as i64));
            term.t = call1(Id::MOVEDIM, &[diagonal.into(), from, to])?;
        }
        Ok(term)
    }

    fn place(&self, label: u8) -> Option<usize> {
        self.labels.iter().position(|&l| l == label)
    }

    fn size(&self, label: u8) -> Option<usize> {
        self.place(label).map(|d| self.t.shape()[d])
    }

    /// Without the dimensions of the labels, which `remove` takes from the tensor.
    fn without(
        self,
        gone: impl Fn(u8) -> bool,
        remove: impl Fn(&Tensor, &[i64]) -> Result<Tensor>,
    ) -> Result<Term> {
        let dims: Vec<i64> =
            (0..self.labels.len()).filter(|&d| gone(self.labels[d])).map(|d| d as i64).collect();
        if dims.is_empty() {
            return Ok(self);
        }
        let labels = self.labels.iter().copied().filter(|&l| !gone(l)).collect();
        Ok(Term { t: remove(&self.t, &dims)?, labels })
    }

    fn summed(self, gone: impl Fn(u8) -> bool) -> Result<Term> {
        self.without(gone, |t, dims| t.sum(dims, false))
    }

    fn squeezed(self, gone: impl Fn(u8) -> bool) -> Result<Term> {
        self.without(gone, |t, dims| {
            call1(Id::SQUEEZE_DIMS, &[t.into(), Value::Ints(SmallVec::from_slice(dims))])
        })
    }

    fn permuted(&self, order: &[u8]) -> Result<Tensor> {
        let dims: Vec<i64> =
            order.iter().filter_map(|&l| self.place(l)).map(|d| d as i64).collect();
        self.t.permute(&dims)
    }

    fn sizes(&self, labels: &[u8]) -> Shape {
        labels.iter().filter_map(|&l| self.size(l)).collect()
    }
}

/// The product of two terms, summed over what neither the result nor a later term needs.
fn contract(a: Term, b: Term, needed: impl Fn(u8) -> bool) -> Result<Term> {
    // Where a size of 1 meets another, it stretches; that is, it does not matter.
    let stretched = |of: &Term, by: &Term| -> Labels {
        let ones = of.labels.iter().filter(|&&l| of.size(l) == Some(1));
        ones.copied().filter(|&l| by.place(l).is_some()).collect()
    };
    let ones = stretched(&a, &b);
    let a = a.squeezed(|l| ones.contains(&l))?;
    let ones = stretched(&b, &a);
    let b = b.squeezed(|l| ones.contains(&l))?;
    let of_b = b.labels.clone();
    let a = a.summed(|l| !of_b.contains(&l) && !needed(l))?;
    let b = b.summed(|l| a.place(l).is_none() && !needed(l))?;
    let pick = |from: &Term, f: &dyn Fn(u8) -> bool| -> Labels {
        from.labels.iter().copied().filter(|&l| f(l)).collect()
    };
    let batch = pick(&a, &|l| b.place(l).is_some() && needed(l));
    let inner = pick(&a, &|l| b.place(l).is_some() && !needed(l));
    let left = pick(&a, &|l| b.place(l).is_none());
    let right = pick(&b, &|l| a.place(l).is_none());
    let labels: Labels = [&batch[..], &left, &right].concat().into();
    let (lead, rows, columns) = (a.sizes(&batch), a.sizes(&left), b.sizes(&right));
    let x = a.permuted(&[&batch[..], &left, &inner].concat())?;
    let y = b.permuted(&[&batch[..], &inner, &right].concat())?;
    if inner.is_empty() {
        let ones = |n: usize| Shape::from_elem(1, n);
        let x = x.reshape(&[&lead[..], &rows, &ones(right.len())].concat())?;
        let y = y.reshape(&[&lead[..], &ones(left.len()), &columns].concat())?;
        return Ok(Term { t: x.mul(&y)?, labels });
    }
    check_batch_dtypes(&x, &y)?;
    let count = |s: &[usize]| s.iter().product::<usize>();
    let (n, depth) = (count(&lead), count(&a.sizes(&inner)));
    let x = x.reshape(&[n, count(&rows), depth])?;
    let y = y.reshape(&[n, depth, count(&columns)])?;
    let t = bmm(&x, &y)?.reshape(&[&lead[..], &rows, &columns].concat())?;
    Ok(Term { t, labels })
}

/// Refuses sizes that do not broadcast.
fn check_sizes(terms: &[Term]) -> Result<()> {
    let mut seen: SmallVec<[(u8, usize); 8]> = SmallVec::new();
    for (i, term) in terms.iter().enumerate() {
        for (d, (&label, &n)) in term.labels.iter().zip(term.t.shape()).enumerate() {
            let Some((_, size)) = seen.iter_mut().find(|s| s.0 == label) else {
                seen.push((label, n));
                continue;
            };
            if *size == 1 {
                *size = n;
            }
            if n == 1 || n == *size {
                continue;
            }
            if label >= ELLIPSIS {
                bail!(
                    Runtime,
                    "einsum(): dimension {d} covered by ellipsis in operand {i}has size {n} which does not broadcast with previously seen ellipsis with size {size} for the respective dimension"
                );
            }
            let name = label as char;
            bail!(
                Runtime,
                "einsum(): subscript {name} has size {n} for operand {i} which does not broadcast with previously seen size {size}"
            );
        }
    }
    Ok(())
}

fn einsum(text: &[u8], operands: &[Tensor]) -> Result<Tensor> {
    if operands.is_empty() {
        bail!(Runtime, "einsum(): must provide at least one operand");
    }
    let (parts, arrow) = parse_operands(text, operands.len())?;
    let pairs = || parts.iter().zip(operands).enumerate();
    let covered: Vec<usize> =
        pairs().map(|(i, (part, t))| part.covered(t, i)).collect::<Result<_>>()?;
    let most = covered.iter().copied().max().unwrap_or(0);
    let output = output_labels(text, arrow, &parts, most)?;
    let terms: Vec<Term> = pairs()
        .map(|(i, (part, t))| Term::new(t, &part.labels(covered[i]), i))
        .collect::<Result<_>>()?;
    check_sizes(&terms)?;
    let mut later: Vec<Labels> = terms.iter().map(|term| term.labels.clone()).collect();
    let mut terms = terms.into_iter();
    let Some(mut all) = terms.next() else { bail!(Runtime, "einsum(): no operand") };
    later.remove(0);
    for term in terms {
        later.remove(0);
        all = contract(all, term, |l| {
            output.contains(&l) || later.iter().any(|labels| labels.contains(&l))
        })?;
    }
    all.summed(|l| !output.contains(&l))?.permuted(&output)
}

pub(crate) const EINSUM: Structured = Structured {
    schema: "einsum(str equation, Tensor[] tensors) -> Tensor",
    aliases: &[],
    doc: "Sums of products along labelled dimensions (Einstein's convention).",
    forms: Forms::FUNCTION,
    forward: |a| Ok(smallvec![einsum(a.str(0)?.as_bytes(), a.tensors(1)?)?]),
    vjp: Vjp::Composed,
    node: "",
};
