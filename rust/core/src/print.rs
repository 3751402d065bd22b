//! A tensor's text: PyTorch's `repr`, to the character, as a pure function of values and layout.
//!
//! Two passes. The values that will be seen (all of them, or the edges of a summary) decide one
//! format and one width for the whole tensor; then the nested brackets are laid out. The rules are
//! those of `torch/_tensor_str.py` in PyTorch 2.13.

use wengert_kernels::DType;

#[cfg(test)]
mod tests;

/// What `torch.set_printoptions` sets. The default is PyTorch's.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintOptions {
    /// Digits after the decimal point of a float that is not a whole number.
    pub precision: usize,
    /// A tensor of more elements is summarised; infinity for never.
    pub threshold: f64,
    /// Items shown at each end of a summarised dimension.
    pub edgeitems: usize,
    /// Characters per line. One item is written even where it does not fit.
    pub linewidth: usize,
    /// Scientific notation: always, never, or (None) where the magnitudes ask for it.
    pub sci_mode: Option<bool>,
}

impl Default for PrintOptions {
    fn default() -> PrintOptions {
        PrintOptions { precision: 4, threshold: 1000., edgeitems: 3, linewidth: 80, sci_mode: None }
    }
}

/// An element as printing sees it; every dtype fits one of these without rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Complex(f64, f64),
}

impl Value {
    /// Real and imaginary part.
    fn parts(self) -> (f64, f64) {
        match self {
            Value::Bool(b) => (f64::from(u8::from(b)), 0.),
            Value::Int(i) => (i as f64, 0.),
            Value::UInt(u) => (u as f64, 0.),
            Value::Float(x) => (x, 0.),
            Value::Complex(re, im) => (re, im),
        }
    }

    fn plain(self) -> String {
        match self {
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Int(i) => i.to_string(),
            Value::UInt(u) => u.to_string(),
            Value::Float(_) | Value::Complex(..) => float_repr(self.parts().0),
        }
    }
}

/// The data part of a tensor's text: `[[1., 2.],\n        [3., 4.]]`, or `1.` for zero dimensions.
///
/// `get` returns the element at a multi-index of `shape`, in the [`Value`] variant of `dtype`; it
/// is called once for each element shown, in row-major order. `indent` is the column the
/// text starts in, to which continuation lines are aligned.
pub fn tensor_str(
    shape: &[usize],
    dtype: DType,
    get: &dyn Fn(&[usize]) -> Value,
    opts: &PrintOptions,
    indent: usize,
) -> String {
    if shape.contains(&0) {
        return "[]".into();
    }
    // In floats, for the element count of an expanded tensor need not fit an integer.
    let summarize = shape.iter().map(|&n| n as f64).product::<f64>() > opts.threshold;
    let edge = summarize.then_some(opts.edgeitems);
    let mut values = Vec::new();
    gather(shape, edge, &mut Vec::with_capacity(shape.len()), get, &mut values);
    let (items, width) = format_items(&values, dtype, opts);
    // The brackets of the outer dimensions take room too.
    let room = opts.linewidth.saturating_sub(indent + shape.len().saturating_sub(1));
    let per_line = (room / (width + 2)).max(1);
    let mut layout = Layout { edge, per_line, items: items.into_iter(), out: String::new() };
    layout.write(shape, indent);
    layout.out
}

/// The whole text: `prefix`, data, then `size=` and `dtype=` where PyTorch writes them, then
/// `suffixes`, each moved to a new line where it would pass the line's width.
///
/// `prefix` is `"tensor("`, or `"Parameter containing:\ntensor("`, or a subclass's name and
/// bracket; its last line is the indentation. `default_dtype` is that of
/// `torch.set_default_dtype`, whose tensors need no `dtype=`. `suffixes` are such as
/// `grad_fn=<MulBackward0>`, without commas.
pub fn tensor_repr(
    prefix: &str,
    shape: &[usize],
    dtype: DType,
    default_dtype: DType,
    get: &dyn Fn(&[usize]) -> Value,
    suffixes: &[String],
    opts: &PrintOptions,
) -> String {
    let indent = last_line(prefix);
    let mut text = format!("{prefix}{}", tensor_str(shape, dtype, get, opts, indent));
    let empty = shape.contains(&0);
    let size = (if empty { shape.len() != 1 } else { opts.edgeitems == 0 }).then(|| size_of(shape));
    let dtype =
        (!is_implied(dtype, default_dtype, empty)).then(|| format!("dtype=torch.{}", dtype.name()));

    // PyTorch counts two characters more than there are.
    let mut column = last_line(&text) + 2;
    for suffix in size.iter().chain(&dtype).chain(suffixes) {
        let len = suffix.chars().count();
        if column + len + 2 > opts.linewidth {
            text += &format!(",\n{}{suffix}", " ".repeat(indent));
            column = indent + len;
        } else {
            text += &format!(", {suffix}");
            column += len + 2;
        }
    }
    text + ")"
}

/// Python's `repr` of a float: the shortest digits that read back as the same number.
pub fn float_repr(x: f64) -> String {
    if !x.is_finite() {
        return non_finite(x);
    }
    let shortest = format!("{x:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let decimals = digits.bytes().filter(u8::is_ascii_digit).count() - 1;
    let exponent = exponent.parse::<isize>().unwrap_or(0);
    // Of two shortest candidates equally near, Python takes the even one, as fixed precision does,
    // and Rust's shortest form the upper. At powers of two the nearest may not read back.
    let text = |even: String, shortest: String| {
        if even.parse() == Ok(x) { even } else { shortest }
    };
    if (-4..16).contains(&exponent) {
        let decimals = (decimals as isize - exponent).max(1) as usize;
        text(format!("{x:.decimals$}"), format!("{x:?}"))
    } else {
        python_exponent(&text(format!("{x:.decimals$e}"), shortest))
    }
}

/// Rust's `1e-7` as Python's `1e-07`.
fn python_exponent(sci: &str) -> String {
    match sci.split_once('e') {
        Some((digits, e)) => match e.strip_prefix('-') {
            Some(e) => format!("{digits}e-{e:0>2}"),
            None => format!("{digits}e+{e:0>2}"),
        },
        None => sci.into(),
    }
}

fn non_finite(x: f64) -> String {
    if x.is_nan() {
        "nan"
    } else if x > 0. {
        "inf"
    } else {
        "-inf"
    }
    .into()
}

/// Whether a reader would guess `dtype` from the text alone, so that it is not written.
fn is_implied(dtype: DType, default_dtype: DType, empty: bool) -> bool {
    let default_complex = if default_dtype == DType::F64 { DType::C128 } else { DType::C64 };
    dtype == default_dtype
        || !empty && (dtype == default_complex || matches!(dtype, DType::I64 | DType::Bool))
}

/// `size=(2, 3)`, as Python writes a tuple.
fn size_of(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("size=({}{})", sizes.join(", "), if shape.len() == 1 { "," } else { "" })
}

/// Characters after the last line break.
fn last_line(text: &str) -> usize {
    text.rsplit('\n').next().map_or(0, |line| line.chars().count())
}

/// The indices shown of a dimension of `n`; None stands for the dots. `edge` is given in a summary.
fn shown(n: usize, edge: Option<usize>) -> impl Iterator<Item = Option<usize>> {
    let (head, dots, tail) = match edge {
        Some(e) if n > e.saturating_mul(2) => (0..e, Some(None), n - e..n),
        _ => (0..n, None, 0..0),
    };
    head.map(Some).chain(dots).chain(tail.map(Some))
}

/// Appends the values shown, in the order they are written; `index` holds the outer dimensions.
fn gather(
    shape: &[usize],
    edge: Option<usize>,
    index: &mut Vec<usize>,
    get: &dyn Fn(&[usize]) -> Value,
    values: &mut Vec<Value>,
) {
    let Some(&n) = shape.get(index.len()) else {
        values.push(get(index));
        return;
    };
    for i in shown(n, edge).flatten() {
        index.push(i);
        gather(shape, edge, index, get, values);
        index.pop();
    }
}

/// Each value's text, and the width by which a line is filled.
fn format_items(values: &[Value], dtype: DType, opts: &PrintOptions) -> (Vec<String>, usize) {
    let floats =
        |part: fn(Value) -> f64| FloatFormat::of(values.iter().map(move |&v| part(v)), opts);
    if dtype.is_complex() {
        let (re, im) = (floats(|v| v.parts().0), floats(|v| v.parts().1));
        let items = values.iter().map(|v| {
            let (x, y) = v.parts();
            let y = im.write(y);
            let sign = if y.starts_with('-') { "" } else { "+" };
            format!("{:>w$}{sign}{y}j", re.write(x), w = re.width)
        });
        (items.collect(), re.width + im.width + 1)
    } else if dtype.is_float() {
        let format = floats(|v| v.parts().0);
        let items = values.iter().map(|v| format.write(v.parts().0));
        pad(items.collect(), format.width)
    } else {
        let items: Vec<String> = values.iter().map(|v| v.plain()).collect();
        let width = items.iter().map(String::len).max().unwrap_or(1);
        pad(items, width)
    }
}

fn pad(items: Vec<String>, width: usize) -> (Vec<String>, usize) {
    (items.into_iter().map(|s| format!("{s:>width$}")).collect(), width)
}

/// How the floats of a tensor are written.
#[derive(Clone, Copy)]
enum Style {
    /// `2.`
    Whole,
    /// `2.5000`
    Fixed,
    /// `2.5000e+00`
    Sci,
}

/// One style and width for all floats of a tensor, or all real or all imaginary parts.
struct FloatFormat {
    style: Style,
    precision: usize,
    width: usize,
}

impl FloatFormat {
    /// Zeros, infinities and NaNs have no say: neither in the style nor in the width.
    fn of(values: impl Iterator<Item = f64> + Clone, opts: &PrintOptions) -> FloatFormat {
        let values = values.filter(|x| x.is_finite() && *x != 0.);
        let max = values.clone().fold(0., |m, x| x.abs().max(m));
        let min = values.clone().fold(f64::INFINITY, |m, x| x.abs().min(m));
        // Rust's formatting takes widths up to u16::MAX; this leaves room for the other digits.
        let precision = opts.precision.min(32_767);
        let mut format = FloatFormat { style: Style::Whole, precision, width: 1 };
        if max == 0. {
            return format;
        }
        let wide = || max / min > 1000. || max > 1e8 || min < 1e-4;
        if opts.sci_mode.unwrap_or_else(wide) {
            format.style = Style::Sci;
        } else if values.clone().any(|x| x.fract() != 0.) {
            format.style = Style::Fixed;
        }
        format.width = values.map(|x| format.write(x).len()).max().unwrap_or(1);
        format
    }

    fn write(&self, x: f64) -> String {
        let p = self.precision;
        match self.style {
            _ if !x.is_finite() => non_finite(x),
            Style::Whole => format!("{x:.0}."),
            Style::Fixed => format!("{x:.p$}"),
            Style::Sci => python_exponent(&format!("{x:.p$e}")),
        }
    }
}

/// Writes brackets, commas, dots and line breaks round the items.
struct Layout {
    edge: Option<usize>,
    per_line: usize,
    items: std::vec::IntoIter<String>,
    out: String,
}

impl Layout {
    fn write(&mut self, shape: &[usize], indent: usize) {
        match shape {
            [] => self.item(),
            &[n] => self.vector(n, indent),
            &[n, ref inner @ ..] => {
                let blank = "\n".repeat(inner.len());
                self.out.push('[');
                for (i, index) in shown(n, self.edge).enumerate() {
                    if i > 0 {
                        self.out += &format!(",{blank}{}", " ".repeat(indent + 1));
                    }
                    match index {
                        Some(_) => self.write(inner, indent + 1),
                        None => self.out += "...",
                    }
                }
                self.out.push(']');
            }
        }
    }

    fn vector(&mut self, n: usize, indent: usize) {
        self.out.push('[');
        for (i, index) in shown(n, self.edge).enumerate() {
            match i {
                0 => {}
                i if i % self.per_line == 0 => {
                    self.out += &format!(",\n{}", " ".repeat(indent + 1));
                }
                _ => self.out += ", ",
            }
            match index {
                Some(_) => self.item(),
                // The dots count as an item, and are set off by a space where others are shown.
                None => self.out += if i > 0 { " ..." } else { "..." },
            }
        }
        self.out.push(']');
    }

    fn item(&mut self) {
        self.out.extend(self.items.next());
    }
}
