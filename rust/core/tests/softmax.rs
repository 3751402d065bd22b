//! Softmax and its logarithm: values of PyTorch 2.13, gradients of two orders, refusals.

mod common;

use common::{close, gradcheck, leaf, longs, message, node, op, tensor};
use wengert::op::{by_name, call1};
use wengert::{DType, Tensor, Value};

#[test]
fn values() {
    let x = tensor(&[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 1000.0]);
    let rows = [0.090030573170380462, 0.24472847105479764, 0.66524095577482178, 0.0, 0.0, 1.0];
    close(&x.softmax(1).unwrap(), &rows, 1e-15);
    close(&x.t().unwrap().softmax(0).unwrap().t().unwrap(), &rows, 1e-15);
    let logs =
        [-2.4076059644443806, -1.4076059644443804, -0.40760596444438030, -1001.0, -999.5, 0.0];
    close(&x.log_softmax(-1).unwrap(), &logs, 1e-15);
    close(&x.t().unwrap().log_softmax(0).unwrap().t().unwrap(), &logs, 1e-15);
    close(&tensor(&[], &[5.0]).softmax(0).unwrap(), &[1.0], 0.0);
    assert_eq!(leaf(&[0, 3], 1).softmax(0).unwrap().shape(), [0, 3]);
    let h = tensor(&[2], &[0.0, 0.0]).to(DType::F16).unwrap().softmax(0).unwrap();
    assert_eq!(h.dtype(), DType::F16);
    close(&h.to(DType::F64).unwrap(), &[0.5, 0.5], 0.0);
}

#[test]
fn gradients() {
    for dim in [-1i64, 0, 1] {
        gradcheck("softmax", &[leaf(&[2, 3, 2], 1)], &|x| x[0].softmax(dim).unwrap());
        gradcheck("log_softmax", &[leaf(&[2, 3, 2], 1)], &|x| x[0].log_softmax(dim).unwrap());
    }
    gradcheck("softmax of a number", &[leaf(&[], 1)], &|x| x[0].softmax(0).unwrap());
    gradcheck("softmin", &[leaf(&[3], 1)], &|x| {
        op("softmin", &[(&x[0]).into(), 0i64.into()]).unwrap()
    });
}

#[test]
fn dtypes_and_nodes() {
    let x = longs(&[2], &[0, 0]);
    let y = op("softmax", &[(&x).into(), 0i64.into(), DType::F32.into()]).unwrap();
    assert_eq!((y.dtype(), y.to_vec::<f32>().unwrap()), (DType::F32, vec![0.5, 0.5]));
    let nn = by_name("softmax")[1];
    let args = [(&x).into(), 0i64.into(), Value::Int(3), DType::F64.into()];
    close(&call1(nn, &args).unwrap(), &[0.5, 0.5], 0.0);
    assert_eq!(node(&leaf(&[2], 1).softmax(0).unwrap()), "SoftmaxBackward0");
    assert_eq!(node(&leaf(&[2], 1).log_softmax(0).unwrap()), "LogSoftmaxBackward0");
    let says = |t: Tensor, dim: i64, text: &str| assert_eq!(message(t.softmax(dim)), text);
    let range = "Index: Dimension out of range (expected to be in range of [-2, 1], but got 2)";
    says(leaf(&[2, 3], 1), 2, range);
    let long = "NotImplemented: \"softmax_lastdim_kernel_impl\" not implemented for 'Long'";
    says(x, 0, long);
}
