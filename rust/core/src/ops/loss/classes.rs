//! Losses of scores for classes.

use super::{Reduction, check_constant, one, with, zero_unless};
use crate::formula::{Vjp, X};
use crate::op::{Cx, Forms, Outputs, Structured, call1};
use crate::ops::Id;
use crate::shape::{Shape, show};
use crate::value::Args;
use crate::{DType, Element, Result, Scalar, Tensor, Value, bail, pointwise};
use smallvec::smallvec;
use wengert_kernels::nll::{Float, Targets};

pub(crate) const NLL_LOSS: Structured = Structured {
    schema: "nll_loss(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int ignore_index=-100, bool? reduce=None, str? reduction='mean') -> Tensor",
    aliases: &[],
    doc: "Minus the score of the right class, for log-probabilities `[N, C, ...]` and classes `[N, ...]`; the mean is that of the weights.\n\n>>> torch.nn.functional.nll_loss(torch.tensor([[-1., -2.]]), torch.tensor([1]))\ntensor(2.)",
    forms: Forms::NN,
    forward: |a| {
        let how = Reduction::of(&a, 3, 5)?;
        let picked = Picked { weight: a.opt_tensor(2)?, how, ignore: a.int(4)? };
        Ok(smallvec![picked.loss(a.tensor(0)?, a.tensor(1)?)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

/// What `nll_loss` is told besides scores and classes.
#[derive(Clone, Copy)]
struct Picked<'a> {
    weight: Option<&'a Tensor>,
    how: Reduction,
    ignore: i64,
}

impl Picked<'_> {
    /// The loss of scores and classes of any number of dimensions.
    fn loss(self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        let Some(&n) = x.shape().first() else {
            bail!(Value, "Expected 1 or more dimensions (got 0)");
        };
        let got = target.shape().first().copied();
        if x.ndim() != 1 && got != Some(n) {
            let got = got.unwrap_or(0);
            bail!(Value, "Expected input batch_size ({n}) to match target batch_size ({got}).");
        }
        match x.ndim() {
            1 | 2 => {
                check_target(target)?;
                check_flat(x, target)?;
                self.call(Id::NLL, x, target)
            }
            4 => self.images(x, target),
            _ => self.folded(x, target),
        }
    }

    fn call(self, id: Id, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        check_constant("nll_loss_forward", "weight", self.weight)?;
        let weight = self.weight.into();
        call_first(id, &[x.into(), target.into(), self.how.value(), self.ignore.into(), weight])
    }

    /// Scores `[N, C, H, W]`, classes `[N, H, W]`.
    fn images(self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        check_target(target)?;
        if target.ndim() != 3 {
            bail!(
                Runtime,
                "only batches of spatial targets supported (3D tensors) but got targets of dimension: {}",
                target.ndim()
            );
        }
        if target.shape()[1..] != x.shape()[2..] {
            bail!(
                Runtime,
                "size mismatch (got input: {} , target: {}",
                show(x.shape()),
                show(target.shape())
            );
        }
        if self.weight.is_some_and(|w| w.numel() != x.shape()[1]) {
            bail!(Runtime, "weight tensor should be defined either for all or no classes");
        }
        self.call(Id::NLL_2D, x, target)
    }

    /// Any other number of dimensions, seen as images of one row.
    fn folded(self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut want = Shape::from_slice(&x.shape()[..1]);
        want.extend_from_slice(&x.shape()[2..]);
        if target.shape() != want.as_slice() {
            bail!(Runtime, "Expected target size {}, got {}", show(&want), show(target.shape()));
        }
        let (n, classes) = (x.shape()[0], x.shape()[1]);
        let inner: usize = x.shape()[2..].iter().product();
        let x = x.contiguous()?.reshape(&[n, classes, 1, inner])?;
        let loss = self.images(&x, &target.reshape(&[n, 1, inner])?)?;
        if self.how == Reduction::None { loss.reshape(&want) } else { Ok(loss) }
    }
}

/// The first result of an operation that returns several.
fn call_first(id: Id, args: &[Value]) -> Result<Tensor> {
    Ok(crate::op::call(id, args)?.swap_remove(0))
}

fn check_target(target: &Tensor) -> Result<()> {
    if !matches!(target.dtype(), DType::I64 | DType::U8) {
        bail!(
            Runtime,
            "expected target dtype to be Long or Byte, but got {}",
            target.dtype().scalar_name()
        );
    }
    Ok(())
}

fn check_flat(x: &Tensor, target: &Tensor) -> Result<()> {
    if target.ndim() > 1 {
        bail!(Runtime, "0D or 1D target tensor expected, multi-target not supported");
    }
    if x.ndim() == 1 && target.numel() != 1 {
        bail!(
            Value,
            "For 1D input, 1D target must have size 1, but got target size: {}",
            target.numel()
        );
    }
    Ok(())
}

/// The elements of a row-major tensor of that dtype.
///
/// The slice must not be held while the tensor is written to.
fn elements<T: Element>(t: &Tensor) -> Result<&[T]> {
    assert!(t.is_contiguous() && t.dtype() == T::DTYPE, "row-major, of the dtype asked for");
    let at = t.ptr()?.cast_const().cast::<T>();
    // SAFETY: a live tensor's row-major memory, which its owner alone (this thread) could write.
    Ok(unsafe { std::slice::from_raw_parts(at, t.numel()) })
}

/// The elements of a fresh tensor, to be written.
#[allow(clippy::mut_from_ref)]
fn fresh_elements<T: Element>(t: &Tensor) -> Result<&mut [T]> {
    assert!(t.is_contiguous() && t.dtype() == T::DTYPE, "row-major, of the dtype asked for");
    let at = t.ptr()?.cast::<T>();
    // SAFETY: the memory of a tensor that the caller has just made and nobody else has seen.
    Ok(unsafe { std::slice::from_raw_parts_mut(at, t.numel()) })
}

/// The operands of a hidden block, as the kernels want them.
struct Job {
    /// Sizes of the scores: (classes, elements of each class in a row).
    classes: usize,
    inner: usize,
    target: Tensor,
    weight: Option<Tensor>,
    ignore: i64,
}

impl Job {
    /// For scores of a shape, computed in `dtype`.
    fn new(
        shape: &[usize],
        dtype: DType,
        target: &Tensor,
        weight: Option<&Tensor>,
        ignore: i64,
    ) -> Result<Job> {
        let at = shape.len().min(2) - 1;
        let weight = weight.map(|w| w.to(dtype)?.contiguous()).transpose()?;
        let target = target.to(DType::I64)?.contiguous()?;
        let inner = shape[at + 1..].iter().product();
        Ok(Job { classes: shape[at], inner, target, weight, ignore })
    }

    fn targets<T: Element + Float>(&self) -> Result<Targets<'_, T>> {
        Ok(Targets {
            classes: self.classes,
            inner: self.inner,
            target: elements(&self.target)?,
            weight: self.weight.as_ref().map(elements).transpose()?,
            ignore: self.ignore,
        })
    }

    /// (loss, total weight)
    fn forward<T: Element + Float>(&self, x: &Tensor, how: Reduction) -> Result<[Tensor; 2]> {
        let (targets, scores) = (self.targets::<T>()?, elements::<T>(x)?);
        if how == Reduction::None {
            let shape = if x.ndim() == 1 { &[] } else { self.target.shape() };
            let losses = Tensor::empty(shape, T::DTYPE)?;
            targets.losses(scores, fresh_elements(&losses)?).or_else(out_of_bounds)?;
            return Ok([losses, Tensor::zeros(&[], T::DTYPE)?]);
        }
        let (sum, total) = targets.sums(scores).or_else(out_of_bounds)?;
        let loss = if how == Reduction::Mean { sum / total } else { sum };
        let number = |v: f64| Tensor::full(&[], Scalar::Float(v), T::DTYPE);
        Ok([number(loss)?, number(total)?])
    }

    /// The gradient of the scores, for that of each place's loss or of their sum.
    fn backward<T: Element + Float>(&self, g: &Tensor, shape: &[usize]) -> Result<Tensor> {
        let out = Tensor::zeros(shape, T::DTYPE)?;
        let (grads, whole) = (elements::<T>(g)?, g.ndim() == 0 && self.target.ndim() != 0);
        let grad = |place: usize| grads[if whole { 0 } else { place }];
        self.targets::<T>()?.gradient(grad, fresh_elements(&out)?).or_else(out_of_bounds)?;
        Ok(out)
    }
}

fn out_of_bounds<T>(class: i64) -> Result<T> {
    bail!(Index, "Target {class} is out of bounds.")
}

/// The dtype the kernels run in for scores of this one.
fn compute(d: DType) -> DType {
    if d == DType::F64 { d } else { DType::F32 }
}

/// Runs (self, target, reduction, ignore_index, weight).
fn forward(a: Args, kernel: &str) -> Result<Outputs> {
    let (x, target, weight) = (a.tensor(0)?, a.tensor(1)?, a.opt_tensor(4)?);
    if let Some(w) = weight {
        let classes = x.shape()[x.ndim().min(2) - 1];
        if w.ndim() != 1 || w.numel() != classes {
            bail!(
                Runtime,
                "weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {}",
                show(w.shape())
            );
        }
        if w.dtype() != x.dtype() {
            let (want, got) = (x.dtype().scalar_name(), w.dtype().scalar_name());
            bail!(Runtime, "expected scalar type {want} but found {got}");
        }
    }
    if !x.dtype().is_float() {
        bail!(NotImplemented, "\"{kernel}\" not implemented for '{}'", x.dtype().scalar_name());
    }
    let (d, how) = (compute(x.dtype()), Reduction::number(&a, 2)?);
    let job = Job::new(x.shape(), d, target, weight, a.int(3)?)?;
    let scores = x.to(d)?.contiguous()?;
    let run = if d == DType::F64 { Job::forward::<f64> } else { Job::forward::<f32> };
    let [loss, total] = run(&job, &scores, how)?;
    Ok(smallvec![loss.to(x.dtype())?, total.to(x.dtype())?])
}

/// The gradient of the scores for (gradient, classes, total weight, weight).
fn backward(cx: &Cx, v: &[&Tensor]) -> Result<Tensor> {
    let shape = &cx.input(0).shape;
    let shape = Value::Ints(shape.iter().map(|&n| n as i64).collect());
    let (how, ignore) = (cx.args.get(2).clone(), cx.args.get(3).clone());
    let weight = v.get(3).copied().into();
    call1(Id::NLL_BACK, &[v[0].into(), v[1].into(), v[2].into(), how, ignore, weight, shape])
}

pub(crate) const NLL: Structured = Structured {
    schema: "_nll_loss_forward(Tensor self, Tensor target, int reduction, int ignore_index, Tensor? weight) -> (Tensor output, Tensor total_weight)",
    aliases: &[],
    doc: "Minus the scores of the right classes, times their weights, reduced; and the sum of the weights.",
    forms: Forms::HIDDEN,
    forward: |a| forward(a, "nll_loss_out_frame"),
    vjp: Vjp::Many(|| {
        let inputs = [X::Grad(0), X::In(1), X::Out(1), X::In(2)];
        vec![X::verb("nll_backward", backward, &inputs).saving(X::In(0)), X::None, X::None]
    }),
    node: "NllLossBackward0",
};

pub(crate) const NLL_2D: Structured = Structured {
    schema: "_nll_loss2d_forward(Tensor self, Tensor target, int reduction, int ignore_index, Tensor? weight) -> (Tensor output, Tensor total_weight)",
    forward: |a| forward(a, "nll_loss2d_forward_out_frame"),
    node: "NllLoss2DBackward0",
    ..NLL
};

pub(crate) const NLL_BACK: Structured = Structured {
    schema: "_nll_loss_backward(Tensor grad_output, Tensor target, Tensor total_weight, int reduction, int ignore_index, Tensor? weight, int[] shape) -> Tensor",
    aliases: &[],
    doc: "The gradient of the scores.",
    forms: Forms::HIDDEN,
    forward: |a| {
        let (g, target, total) = (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?);
        let shape: Shape = a.ints(6)?.iter().map(|&n| n as usize).collect();
        let d = compute(g.dtype());
        let mut grad = g.to(d)?.contiguous()?;
        if Reduction::number(&a, 3)? == Reduction::Mean {
            grad = grad.div(&total.to(d)?)?;
        }
        let job = Job::new(&shape, d, target, a.opt_tensor(5)?, a.int(4)?)?;
        let run = if d == DType::F64 { Job::backward::<f64> } else { Job::backward::<f32> };
        Ok(smallvec![run(&job, &grad, &shape)?.to(g.dtype())?])
    },
    vjp: Vjp::Many(|| {
        // The loss is linear in the scores, and this its transpose.
        let back = |cx: &Cx, v: &[&Tensor]| {
            let (how, ignore) = (cx.args.get(3).clone(), cx.args.get(4).clone());
            let weight = v.get(2).copied().into();
            call_first(Id::NLL, &[v[0].into(), v[1].into(), how, ignore, weight])
        };
        let inputs = [X::Grad(0), X::In(1), X::In(3)];
        vec![X::verb("nll", back, &inputs), X::None, X::None, X::None]
    }),
    node: "NllLossBackwardBackward0",
};

pub(crate) const CROSS_ENTROPY: Structured = Structured {
    schema: "cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int ignore_index=-100, bool? reduce=None, str? reduction='mean', float label_smoothing=0.0) -> Tensor",
    aliases: &[],
    doc: "`nll_loss` of the `log_softmax` of scores `[N, C, ...]`, for classes `[N, ...]`, or for their probabilities if `target` has the scores' shape.\n\n>>> torch.nn.functional.cross_entropy(torch.tensor([[0., 0.]]), torch.tensor([1]))\ntensor(0.6931)",
    forms: Forms::NN,
    forward: |a| {
        let (x, target, how) = (a.tensor(0)?, a.tensor(1)?, Reduction::of(&a, 3, 5)?);
        let picked = Picked { weight: a.opt_tensor(2)?, how, ignore: a.int(4)? };
        let smoothing = a.number(7)?.to_f64();
        if x.shape() == target.shape() {
            return Ok(smallvec![picked.of_probabilities(x, target, smoothing)?]);
        }
        if !(0.0..=1.0).contains(&smoothing) {
            bail!(Runtime, "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}");
        }
        let log = log_probabilities(x)?;
        let loss = picked.loss(&log, target)?;
        if smoothing == 0.0 {
            return Ok(smallvec![loss]);
        }
        let uniform = picked.uniform(&log, target)?;
        let classes = x.shape()[class_dim(x)] as f64;
        let uniform = with(Id::MUL_NUMBER, &uniform, smoothing / classes)?;
        Ok(smallvec![with(Id::MUL_NUMBER, &loss, 1.0 - smoothing)?.add(&uniform)?])
    },
    vjp: Vjp::Composed,
    node: "",
};

fn class_dim(x: &Tensor) -> usize {
    if x.ndim() == 1 { 0 } else { 1 }
}

fn log_probabilities(x: &Tensor) -> Result<Tensor> {
    x.log_softmax(class_dim(x) as i64)
}

/// The weights of the classes in a shape that broadcasts with the scores.
fn along_classes(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = Shape::from_elem(1, x.ndim());
    shape[class_dim(x)] = weight.numel();
    weight.reshape(&shape)
}

impl Picked<'_> {
    fn of_probabilities(self, x: &Tensor, target: &Tensor, smoothing: f64) -> Result<Tensor> {
        if !target.dtype().is_float() {
            bail!(
                Runtime,
                "Expected floating point type for target with class probabilities, got {}",
                target.dtype().scalar_name()
            );
        }
        if self.ignore >= 0 {
            bail!(Runtime, "ignore_index is not supported for floating point target");
        }
        let classes = x.shape().get(class_dim(x)).copied().unwrap_or(1);
        if let Some(w) = self.weight
            && (w.ndim() != 1 || w.numel() != classes)
        {
            bail!(
                Runtime,
                "cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {}",
                show(w.shape())
            );
        }
        let log = log_probabilities(x)?;
        let mut target = target.clone();
        if smoothing > 0.0 {
            let most = with(Id::MUL_NUMBER, &target, 1.0 - smoothing)?;
            target = with(Id::ADD_NUMBER, &most, smoothing / classes as f64)?;
        }
        let mut products = log.mul(&target)?;
        if let Some(w) = self.weight {
            products = products.mul(&along_classes(x, w)?)?;
        }
        if self.how == Reduction::None {
            return one(Id::NEG, &products.sum(&[class_dim(x) as i64], false)?);
        }
        let sum = one(Id::NEG, &products.sum_all()?)?;
        if self.how == Reduction::Sum {
            return Ok(sum);
        }
        with(Id::DIV_NUMBER, &sum, Scalar::Float(x.numel() as f64 / classes as f64))
    }

    /// The loss for a target that is every class alike, but for a factor of their number.
    fn uniform(self, log: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut scores = log.clone();
        if let Some(w) = self.weight {
            scores = log.mul(&along_classes(log, w)?)?;
        }
        let losses = one(Id::NEG, &scores.sum(&[class_dim(log) as i64], false)?)?;
        let target = target.reshape(losses.shape())?;
        let kept = with(Id::NE, &target, Scalar::Int(self.ignore))?;
        let losses = zero_unless(&kept, &losses)?;
        if self.how != Reduction::Mean {
            return self.how.apply(losses);
        }
        let count = match self.weight {
            None => kept.to(log.dtype())?,
            Some(w) => {
                let class = zero_unless(&kept, &target)?.reshape(&[target.numel()])?;
                let dim = Value::Int(0);
                let weights = call1(Id::INDEX_SELECT, &[w.into(), dim, class.into()])?;
                zero_unless(&kept.reshape(&[target.numel()])?, &weights)?
            }
        };
        pointwise::binary(Id::DIV, &losses.sum_all()?, &count.sum_all()?)
    }
}

pub(crate) const ONE_HOT: Structured = Structured {
    schema: "one_hot(Tensor self, int num_classes=-1) -> Tensor",
    aliases: &[],
    doc: "For each class a row of zeros, with a 1 at its place.\n\n>>> torch.nn.functional.one_hot(torch.tensor([0, 2]))\ntensor([[1, 0, 0],\n        [0, 0, 1]])",
    forms: Forms::NN,
    forward: |a| {
        let (t, wanted) = (a.tensor(0)?, a.int(1)?);
        if t.dtype() != DType::I64 {
            bail!(Runtime, "one_hot is only applicable to index tensor of type LongTensor.");
        }
        let limit = match t.numel() {
            0 if wanted <= 0 => {
                bail!(Runtime, "Can not infer total number of classes from empty tensor.")
            }
            0 => 0,
            _ if call1(Id::MIN, &[t.into()])?.item()?.to_i64() < 0 => {
                bail!(Runtime, "Class values must be non-negative.")
            }
            _ => t.max_all()?.item()?.to_i64() + 1,
        };
        let classes = if wanted == -1 { limit } else { wanted };
        if limit > classes {
            bail!(Runtime, "Class values must be smaller than num_classes.");
        }
        let all = Tensor::arange(Scalar::Int(0), Scalar::Int(classes), Scalar::Int(1), None)?;
        Ok(smallvec![pointwise::binary(Id::EQ, &t.unsqueeze(-1)?, &all)?.to(DType::I64)?])
    },
    vjp: Vjp::None,
    node: "",
};
