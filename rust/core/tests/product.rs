//! Products of matrices and vectors: values, gradients of two orders, refusals, nodes.
//! Messages are those of PyTorch 2.13.

mod common;

use common::{close, gradcheck, leaf, longs, message, node, op, tensor, vec64};
use proptest::prelude::*;
use wengert::op::by_name;
use wengert::{DType, Scalar, Tensor, Value};

fn matmul(x: &[Tensor]) -> Tensor {
    x[0].matmul(&x[1]).unwrap()
}

/// The product by its definition, of a row-major copy broadcast to batches.
fn reference(a: &Tensor, b: &Tensor) -> Vec<f64> {
    let n = |t: &Tensor, d: usize| t.shape()[t.ndim() - d];
    let (m, k, n) = (n(a, 2), n(a, 1), n(b, 1));
    let lead =
        wengert::shape::broadcast(&a.shape()[..a.ndim() - 2], &b.shape()[..b.ndim() - 2]).unwrap();
    let full = |t: &Tensor, r: usize, c: usize| {
        let mut shape = lead.to_vec();
        shape.extend([r, c]);
        vec64(&t.expand(&shape).unwrap())
    };
    let (x, y) = (full(a, m, k), full(b, k, n));
    let batches: usize = lead.iter().product();
    let mut out = vec![0.0; batches * m * n];
    for (at, o) in out.iter_mut().enumerate() {
        let (e, i, j) = (at / (m * n), at / n % m, at % n);
        *o = (0..k).map(|l| x[(e * m + i) * k + l] * y[(e * k + l) * n + j]).sum();
    }
    out
}

/// Another order or direction of memory with the same shape.
fn restride(t: &Tensor, how: u8) -> Tensor {
    let n = t.ndim() as i64;
    match how % 3 {
        1 => t
            .transpose(n - 2, n - 1)
            .unwrap()
            .contiguous()
            .unwrap()
            .transpose(n - 2, n - 1)
            .unwrap(),
        2 => {
            let flipped = t.slice(n - 1, None, None, -1).unwrap().contiguous().unwrap();
            flipped.slice(n - 1, None, None, -1).unwrap()
        }
        _ => t.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn matmul_is_its_definition(
        (m, k, n) in (0usize..9, 0usize..9, 0usize..9),
        lead in prop_oneof![
            Just((vec![], vec![])), Just((vec![3], vec![])), Just((vec![], vec![3])),
            Just((vec![2], vec![2])), Just((vec![1], vec![4])), Just((vec![2, 1], vec![3])),
        ],
        how in (0u8..3, 0u8..3),
    ) {
        let shape = |lead: &[usize], r, c| [lead, &[r, c]].concat();
        let a = restride(&leaf(&shape(&lead.0, m, k), 1).detach(), how.0);
        let b = restride(&leaf(&shape(&lead.1, k, n), 2).detach(), how.1);
        close(&a.matmul(&b).unwrap(), &reference(&a, &b), 1e-12);
    }
}

#[test]
fn gradients() {
    let shapes: &[(&[usize], &[usize])] = &[
        (&[3], &[3]),
        (&[2, 3], &[3]),
        (&[3], &[3, 2]),
        (&[2, 3], &[3, 2]),
        (&[2, 2, 3], &[3, 2]),
        (&[2, 2, 3], &[3]),
        (&[2, 3], &[2, 3, 2]),
        (&[3], &[2, 3, 2]),
        (&[2, 2, 3], &[2, 3, 2]),
        (&[1, 2, 3], &[2, 3, 2]),
        (&[2, 2, 3], &[1, 3, 2]),
        (&[2, 1, 2, 3], &[2, 3, 2]),
    ];
    for (a, b) in shapes {
        gradcheck(&format!("matmul {a:?} {b:?}"), &[leaf(a, 1), leaf(b, 2)], &matmul);
    }
    let factors = [Value::from(0.5), Value::from(-2.0)];
    let three = |name: &'static str, shapes: [&[usize]; 3]| {
        let inputs = [leaf(shapes[0], 1), leaf(shapes[1], 2), leaf(shapes[2], 3)];
        gradcheck(name, &inputs, &|x| {
            let mut args: Vec<Value> = x.iter().map(Value::from).collect();
            args.extend(factors.clone());
            op(name, &args).unwrap()
        });
    };
    three("addmm", [&[2], &[2, 3], &[3, 2]]);
    three("addmv", [&[1], &[2, 3], &[3]]);
    three("addr", [&[3], &[2], &[3]]);
    three("baddbmm", [&[2, 1], &[2, 2, 3], &[2, 3, 2]]);
    let linear =
        |x: &[Tensor]| op("linear", &x.iter().map(Value::from).collect::<Vec<_>>()).unwrap();
    gradcheck("linear", &[leaf(&[2, 3], 1), leaf(&[2, 3], 2), leaf(&[2], 3)], &linear);
    gradcheck("linear", &[leaf(&[2, 2, 3], 1), leaf(&[2, 3], 2), leaf(&[2], 3)], &linear);
    gradcheck("linear", &[leaf(&[3], 1), leaf(&[2, 3], 2)], &linear);
    gradcheck("linear", &[leaf(&[2, 2, 3], 1), leaf(&[2, 3], 2), leaf(&[2, 2], 3)], &linear);
}

#[test]
fn nodes_are_those_of_torch() {
    let y = |a: &[usize], b: &[usize]| node(&matmul(&[leaf(a, 1), leaf(b, 2)]));
    assert_eq!(y(&[3], &[3]), "DotBackward0");
    assert_eq!(y(&[2, 3], &[3]), "MvBackward0");
    assert_eq!(y(&[3], &[3, 2]), "SqueezeBackward4");
    assert_eq!(y(&[2, 3], &[3, 2]), "MmBackward0");
    assert_eq!(y(&[2, 2, 3], &[3, 2]), "UnsafeViewBackward0");
    assert_eq!(y(&[2, 3], &[2, 3, 2]), "CloneBackward0");
    let linear = |x: &[usize], bias: bool| {
        let b = if bias { Value::from(leaf(&[2], 3)) } else { Value::None };
        node(&op("linear", &[leaf(x, 1).into(), leaf(&[2, 3], 2).into(), b]).unwrap())
    };
    assert_eq!(linear(&[4, 3], true), "AddmmBackward0");
    assert_eq!(linear(&[4, 3], false), "MmBackward0");
    assert_eq!(linear(&[5, 4, 3], true), "ViewBackward0");
    assert_eq!(linear(&[5, 4, 3], false), "UnsafeViewBackward0");
}

#[test]
fn a_weights_gradient_is_row_major() {
    let (x, w) = (leaf(&[4, 3], 1), leaf(&[2, 3], 2));
    let y = op("linear", &[(&x).into(), (&w).into()]).unwrap();
    y.sum_all().unwrap().backward().unwrap();
    assert_eq!(w.grad().unwrap().strides(), [3, 1]);
    assert_eq!(x.grad().unwrap().strides(), [3, 1]);
}

#[test]
fn dtypes() {
    let a = longs(&[2, 2], &[1, 2, 3, 4]);
    assert_eq!(a.matmul(&a).unwrap().to_vec::<i64>().unwrap(), [7, 10, 15, 22]);
    let u = Tensor::from_slice(&[100u8, 100, 100]);
    let one = Tensor::from_slice(&[1u8; 3]);
    assert_eq!(u.matmul(&one).unwrap().to_vec::<u8>().unwrap(), [44]);
    let h = tensor(&[1, 2], &[1.5, 2.0]).to(DType::F16).unwrap();
    let y = h.matmul(&h.t().unwrap()).unwrap();
    assert_eq!((y.dtype(), y.item().unwrap()), (DType::F16, Scalar::Float(6.25)));
    // A factor of 0 keeps NaN out.
    let nan = tensor(&[1, 1], &[f64::NAN]);
    let v = tensor(&[1, 2], &[3.0, 4.0]);
    let zero = Value::Number(Scalar::Int(0));
    let args = [(&nan).into(), (&v).into(), v.t().unwrap().into(), zero];
    close(&op("addmm", &args).unwrap(), &[25.0], 0.0);
    let empty = [tensor(&[2], &[1.0, 2.0]), leaf(&[2, 0], 1), leaf(&[0, 2], 2)];
    let mut args: Vec<Value> = empty.iter().map(Value::from).collect();
    args.push(Value::from(3.0));
    close(&op("addmm", &args).unwrap(), &[3.0, 6.0, 3.0, 6.0], 0.0);
}

fn refusal(name: &str, shapes: &[&[usize]]) -> String {
    let args: Vec<Value> = shapes.iter().map(|s| leaf(s, 1).into()).collect();
    message(op(name, &args))
}

#[test]
fn refusals_of_shapes() {
    let says = |name: &str, shapes: &[&[usize]], text: &str| {
        assert_eq!(refusal(name, shapes), format!("Runtime: {text}"));
    };
    says("mm", &[&[2, 3], &[4, 5]], "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)");
    says("mm", &[&[2, 3], &[3]], "mat2 must be a matrix");
    says("mm", &[&[3], &[3]], "self must be a matrix");
    says(
        "matmul",
        &[&[], &[3]],
        "both arguments to matmul need to be at least 1D, but they are 0D and 1D",
    );
    says(
        "matmul",
        &[&[5, 2, 3], &[4, 2]],
        "mat1 and mat2 shapes cannot be multiplied (10x3 and 4x2)",
    );
    says(
        "matmul",
        &[&[5, 2, 3], &[6, 3, 2]],
        "The size of tensor a (5) must match the size of tensor b (6) at non-singleton dimension 0",
    );
    says(
        "matmul",
        &[&[5, 2, 3], &[5, 4, 2]],
        "Expected size for first two dimensions of batch2 tensor to be: [5, 3] but got: [5, 4].",
    );
    says("mv", &[&[2, 3], &[4]], "size mismatch, got input (2), mat (2x3), vec (4)");
    says("mv", &[&[2, 3], &[3, 1]], "vector + matrix @ vector expected, got 1, 2, 2");
    says("mv", &[&[3], &[]], "vector + matrix @ vector expected, got 1, 1, 0");
    says("dot", &[&[3, 3], &[3]], "1D tensors expected, but got 2D and 1D tensors");
    says(
        "dot",
        &[&[3], &[4]],
        "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of elements, but got 3 and 4 elements respectively",
    );
    says("bmm", &[&[3, 4], &[2, 5, 5]], "batch1 must be a 3D tensor");
    says("outer", &[&[2, 1], &[3]], "outer: Expected 1-D argument self, but got 2-D");
    says("addr", &[&[3], &[2], &[3, 1]], "addr: Expected 1-D argument vec2, but got 2-D");
    says("addmm", &[&[2, 2], &[3], &[4, 2]], "mat1 must be a matrix, got 1-D tensor");
    says(
        "addmm",
        &[&[3], &[2, 3], &[3, 2]],
        "The expanded size of the tensor (2) must match the existing size (3) at non-singleton dimension 1.  Target sizes: [2, 2].  Tensor sizes: [3]",
    );
    says("linear", &[&[2, 3], &[4, 2]], "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x4)");
    says(
        "linear",
        &[&[], &[4, 3]],
        "both arguments to linear need to be at least 1D, but they are 0D and 2D",
    );
}

#[test]
fn refusals_of_dtypes() {
    let t = |s: &[usize], d: DType| leaf(s, 1).detach().to(d).unwrap();
    let says = |name: &str, args: &[Tensor], text: &str| {
        let args: Vec<Value> = args.iter().map(Value::from).collect();
        assert_eq!(message(op(name, &args)), text);
    };
    use DType::{Bool, F32, F64, I64};
    let m = |d| t(&[2, 2], d);
    let v = |d| t(&[2], d);
    let b = |d| t(&[1, 2, 2], d);
    says(
        "mm",
        &[m(F32), m(F64)],
        "Runtime: expected m1 and m2 to have the same dtype, but got: float != double",
    );
    says(
        "mm",
        &[m(I64), m(F32)],
        "Runtime: expected m1 and m2 to have the same dtype, but got: long int != float",
    );
    says(
        "mm",
        &[m(Bool), m(Bool)],
        "NotImplemented: \"addmm_impl_cpu_\" not implemented for 'Bool'",
    );
    says("bmm", &[b(F32), b(F64)], "Runtime: expected scalar type Float but found Double");
    says("bmm", &[b(Bool), b(Bool)], "NotImplemented: \"bmm\" not implemented for 'Bool'");
    says(
        "mv",
        &[m(F32), v(F64)],
        "Runtime: addmv input tensors must have the same dtype, but got Double, Float, and Double",
    );
    says(
        "dot",
        &[v(F32), v(I64)],
        "Runtime: dot : expected both vectors to have same dtype, but found Float and Long",
    );
    says("dot", &[v(Bool), v(Bool)], "NotImplemented: \"dot\" not implemented for 'Bool'");
    says(
        "addmm",
        &[m(F64), m(F32), m(F32)],
        "Runtime: self and mat2 must have the same dtype, but got Double and Float",
    );
    says(
        "addmm",
        &[m(F32), m(F64), m(F32)],
        "Runtime: mat1 and mat2 must have the same dtype, but got Double and Float",
    );
    says(
        "baddbmm",
        &[b(F64), b(F32), b(F32)],
        "Runtime: Input dtypes must be the same, got: input double, batch1: float, batch2: float",
    );
}

#[test]
fn what_is_saved_is_what_the_gradients_need() {
    // A later write to an operand that no gradient needs is no error.
    let (x, w) = (leaf(&[2, 2], 1).detach(), leaf(&[2, 2], 2));
    let y = op("mm", &[(&x).into(), (&w).into()]).unwrap();
    w.detach().fill_raw(0.0.into()).unwrap();
    y.sum_all().unwrap().backward().unwrap();
    let y = op("mm", &[(&x).into(), (&w).into()]).unwrap();
    x.fill_raw(0.0.into()).unwrap();
    x.bump_version();
    let e = y.sum_all().unwrap().backward().expect_err("x was saved");
    assert!(e.message.contains("modified by an inplace operation"), "{}", e.message);
    assert_eq!(by_name("ger"), by_name("outer"));
}
