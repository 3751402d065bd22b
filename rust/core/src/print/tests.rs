//! Expected strings are PyTorch 2.13's own output.

use super::Value::{Bool, Int, UInt};
use super::*;
use DType::{C64, C128, F32, F64, I8, I64, U64};

struct Case {
    shape: Vec<usize>,
    dtype: DType,
    values: Vec<Value>,
    prefix: &'static str,
    default_dtype: DType,
    suffixes: Vec<String>,
    opts: PrintOptions,
}

fn case(shape: &[usize], dtype: DType, values: Vec<Value>) -> Case {
    Case {
        shape: shape.to_vec(),
        dtype,
        values,
        prefix: "tensor(",
        default_dtype: F32,
        suffixes: Vec::new(),
        opts: PrintOptions::default(),
    }
}

impl Case {
    fn opts(self, opts: PrintOptions) -> Case {
        Case { opts, ..self }
    }
    fn default_dtype(self, default_dtype: DType) -> Case {
        Case { default_dtype, ..self }
    }
    fn prefix(self, prefix: &'static str) -> Case {
        Case { prefix, ..self }
    }
    fn suffix(self, suffix: &str) -> Case {
        Case { suffixes: vec![suffix.into()], ..self }
    }
    #[track_caller]
    fn prints(self, expected: &str) {
        let get = |index: &[usize]| {
            let flat = index.iter().zip(&self.shape).fold(0, |k, (i, n)| k * n + i);
            self.values[flat]
        };
        let Case { prefix, shape, dtype, default_dtype, suffixes, opts, .. } = &self;
        let text = tensor_repr(prefix, shape, *dtype, *default_dtype, &get, suffixes, opts);
        assert_eq!(text, expected);
    }
}

fn floats(values: &[f64]) -> Vec<Value> {
    values.iter().map(|&x| Value::Float(x)).collect()
}

fn ints(values: &[i64]) -> Vec<Value> {
    values.iter().map(|&x| Int(x)).collect()
}

fn complex(values: &[(f64, f64)]) -> Vec<Value> {
    values.iter().map(|&(re, im)| Value::Complex(re, im)).collect()
}

fn ramp(n: usize, step: f64) -> Vec<Value> {
    (0..n).map(|i| Value::Float(i as f64 * step)).collect()
}

fn count(n: i64) -> Vec<Value> {
    (0..n).map(Int).collect()
}

#[test]
fn floats_choose_one_style() {
    case(&[], F32, floats(&[1.0])).prints("tensor(1.)");
    case(&[], F32, floats(&[0.5])).prints("tensor(0.5000)");
    case(&[], F32, floats(&[-0.0])).prints("tensor(-0.)");
    case(&[], F32, floats(&[f64::NAN])).prints("tensor(nan)");
    case(&[3], F32, floats(&[1.0, 2.5, -3.0])).prints("tensor([ 1.0000,  2.5000, -3.0000])");
    case(&[2], F32, floats(&[1.0, 1000.0])).prints("tensor([   1., 1000.])");
    case(&[2], F32, floats(&[0.5, 1000.0])).prints("tensor([5.0000e-01, 1.0000e+03])");
    case(&[2], F32, floats(&[1.0, 1001.0])).prints("tensor([1.0000e+00, 1.0010e+03])");
    case(&[2], F32, floats(&[9.999999747378752e-05, 0.05000000074505806]))
        .prints("tensor([1.0000e-04, 5.0000e-02])");
    case(&[2], F32, floats(&[9.000000136438757e-05, 0.05000000074505806]))
        .prints("tensor([9.0000e-05, 5.0000e-02])");
    case(&[1], F32, floats(&[1e8])).prints("tensor([100000000.])");
    case(&[1], F32, floats(&[2e8])).prints("tensor([2.0000e+08])");
    case(&[4], F32, floats(&[f64::NAN, 1.0, f64::INFINITY, -f64::INFINITY]))
        .prints("tensor([nan, 1., inf, -inf])");
    case(&[3], F32, floats(&[f64::NAN, 0.5, -f64::INFINITY]))
        .prints("tensor([   nan, 0.5000,   -inf])");
    case(&[4], F32, floats(&[0.0, -0.0, f64::NAN, f64::INFINITY]))
        .prints("tensor([0., -0., nan, inf])");
    case(&[3], F32, floats(&[f64::NAN, 1000000000.0, -1.0]))
        .prints("tensor([        nan,  1.0000e+09, -1.0000e+00])");
    case(&[3], F32, floats(&[0.125, 0.375, 2.5]))
        .opts(PrintOptions { precision: 2, ..Default::default() })
        .prints("tensor([0.12, 0.38, 2.50])");
    case(&[3], F32, floats(&[0.5, 1.25, 2.5]))
        .opts(PrintOptions { precision: 0, ..Default::default() })
        .prints("tensor([0, 1, 2])");
    case(&[2], F32, floats(&[1.5, 2.0]))
        .opts(PrintOptions { sci_mode: Some(true), ..Default::default() })
        .prints("tensor([1.5000e+00, 2.0000e+00])");
    case(&[2], F32, floats(&[1e10, 1.0]))
        .opts(PrintOptions { sci_mode: Some(false), ..Default::default() })
        .prints("tensor([10000000000.,           1.])");
    case(&[1], F64, floats(&[0.12345678901]))
        .opts(PrintOptions { precision: 10, ..Default::default() })
        .prints("tensor([0.1234567890], dtype=torch.float64)");
    case(&[2], F64, floats(&[1.0, 2.0])).prints("tensor([1., 2.], dtype=torch.float64)");
    case(&[2], F32, floats(&[1.0, 2.0]))
        .default_dtype(F64)
        .prints("tensor([1., 2.], dtype=torch.float32)");
}

#[test]
fn integers_and_bools() {
    case(&[], I64, ints(&[3])).prints("tensor(3)");
    case(&[], DType::Bool, vec![Bool(true)]).prints("tensor(True)");
    case(&[3], I64, ints(&[1, -20, 300])).prints("tensor([  1, -20, 300])");
    case(&[2], U64, vec![UInt(9223372036854775813), UInt(1)])
        .prints("tensor([9223372036854775813,                   1], dtype=torch.uint64)");
    case(&[2], I8, ints(&[1, 2])).prints("tensor([1, 2], dtype=torch.int8)");
    case(&[2], DType::Bool, vec![Bool(true), Bool(false)]).prints("tensor([ True, False])");
    case(&[2, 0], I64, ints(&[])).prints("tensor([], size=(2, 0), dtype=torch.int64)");
}

#[test]
fn complex_numbers() {
    case(&[1], C128, complex(&[(1.0, 2.0)])).default_dtype(F64).prints("tensor([1.+2.j])");
    case(&[2], C128, complex(&[(1.0, 2.0), (-0.5, -0.25)]))
        .prints("tensor([ 1.0000+2.0000j, -0.5000-0.2500j], dtype=torch.complex128)");
    case(&[], C64, complex(&[(f64::NAN, -0.0)])).prints("tensor(nan-0.j)");
    case(&[2], C64, complex(&[(1.0, 9.999999974752427e-07), (2.0, 0.0)]))
        .prints("tensor([1.+1.0000e-06j, 2.+0.0000e+00j])");
}

#[test]
fn empty_tensors() {
    case(&[0], F32, floats(&[])).prints("tensor([])");
    case(&[0, 3], F32, floats(&[])).prints("tensor([], size=(0, 3))");
    case(&[0], F64, floats(&[])).default_dtype(F64).prints("tensor([])");
}

#[test]
fn lines_and_nesting() {
    case(&[2, 3], F64, floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).prints(
        "tensor([[0., 1., 2.],\n\
         \x20       [3., 4., 5.]], dtype=torch.float64)",
    );
    case(&[2, 2, 2], I64, ints(&[0, 1, 2, 3, 4, 5, 6, 7])).prints(
        "tensor([[[0, 1],\n\
         \x20        [2, 3]],\n\
         \n\
         \x20       [[4, 5],\n\
         \x20        [6, 7]]])",
    );
    case(&[1, 2, 1, 2], F32, floats(&[0.0, 0.0, 0.0, 0.0])).prints(
        "tensor([[[[0., 0.]],\n\
         \n\
         \x20        [[0., 0.]]]])",
    );
    case(&[40], I64, count(40)).prints(
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n\
         \x20       18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,\n\
         \x20       36, 37, 38, 39])",
    );
    case(&[4], F32, floats(&[0.0, 1.0, 2.0, 3.0]))
        .opts(PrintOptions { linewidth: 12, ..Default::default() })
        .prints(
            "tensor([0.,\n\
         \x20       1.,\n\
         \x20       2.,\n\
         \x20       3.])",
        );
}

#[test]
fn summaries() {
    case(&[1001], I64, count(1001)).prints("tensor([   0,    1,    2,  ...,  998,  999, 1000])");
    case(&[2, 1000], F32, ramp(2000, 1.0)).prints(
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.9700e+02, 9.9800e+02,\n\
         \x20        9.9900e+02],\n\
         \x20       [1.0000e+03, 1.0010e+03, 1.0020e+03,  ..., 1.9970e+03, 1.9980e+03,\n\
         \x20        1.9990e+03]])",
    );
    case(&[10, 10, 10], F32, ramp(1000, 0.125))
        .opts(PrintOptions { threshold: 50., edgeitems: 1, ..Default::default() })
        .prints(
            "tensor([[[  0.0000,  ...,   1.1250],\n\
         \x20        ...,\n\
         \x20        [ 11.2500,  ...,  12.3750]],\n\
         \n\
         \x20       ...,\n\
         \n\
         \x20       [[112.5000,  ..., 113.6250],\n\
         \x20        ...,\n\
         \x20        [123.7500,  ..., 124.8750]]])",
        );
    case(&[5], I64, ints(&[0, 1, 2, 3, 4]))
        .opts(PrintOptions { threshold: 2., edgeitems: 0, ..Default::default() })
        .prints("tensor([...], size=(5,))");
    case(&[], I64, ints(&[7]))
        .opts(PrintOptions { edgeitems: 0, ..Default::default() })
        .prints("tensor(7, size=())");
    case(&[3, 4], I64, ints(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]))
        .opts(PrintOptions { threshold: 2., edgeitems: 0, ..Default::default() })
        .prints("tensor([...], size=(3, 4))");
    case(&[3], F32, floats(&[1000000.0, 2.0, 3.0]))
        .opts(PrintOptions { threshold: 2., edgeitems: 1, ..Default::default() })
        .prints("tensor([1.0000e+06,  ..., 3.0000e+00])");
}

#[test]
fn prefixes_and_suffixes() {
    case(&[3], F32, floats(&[0.0, 1.0, 2.0]))
        .prefix("Parameter containing:\ntensor(")
        .suffix("requires_grad=True")
        .prints(
            "Parameter containing:\n\
         tensor([0., 1., 2.], requires_grad=True)",
        );
    case(
        &[13],
        F32,
        floats(&[0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 10.5, 12.0, 13.5, 15.0, 16.5, 18.0]),
    )
    .suffix("grad_fn=<MulBackward0>")
    .prints(
        "tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,\n\
         \x20       12.0000, 13.5000, 15.0000, 16.5000, 18.0000], grad_fn=<MulBackward0>)",
    );
    case(
        &[2, 7],
        F64,
        floats(&[0.0, 1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 10.5, 12.0, 13.5, 15.0, 16.5, 18.0, 19.5]),
    )
    .suffix("grad_fn=<ViewBackward0>")
    .prints(
        "tensor([[ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000],\n\
         \x20       [10.5000, 12.0000, 13.5000, 15.0000, 16.5000, 18.0000, 19.5000]],\n\
         \x20      dtype=torch.float64, grad_fn=<ViewBackward0>)",
    );
}

#[test]
fn float_repr_is_pythons() {
    for (x, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (123456789012345.6, "123456789012345.6"),
        (1e16, "1e+16"),
        (9007199254740993.0, "9007199254740992.0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        // Exactly between two shortest candidates.
        (-1791608101832847.0 - 0.25, "-1791608101832847.2"),
        (-74842407656163.0 - 0.125, "-74842407656163.12"),
        // The nearest 16 digits lie beyond the (closer) lower neighbour.
        (2f64.powi(-44), "5.684341886080802e-14"),
        (f64::NAN, "nan"),
        (-f64::INFINITY, "-inf"),
    ] {
        assert_eq!(float_repr(x), text);
    }
}
