//! Signatures: PyTorch's one-line schemas, parsed.
//!
//! `sum.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor`

use crate::{DType, Scalar, Value};
use smallvec::SmallVec;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Tensor,
    /// A Tensor or a Python number.
    Operand,
    Tensors,
    /// A tuple of Tensors that index; inside the library some may be missing.
    Indices,
    /// A Python number.
    Number,
    Int,
    Float,
    Bool,
    /// A tuple of ints; `Ints(true)` also accepts one int (`int[1]`).
    Ints(bool),
    DType,
    Str,
}

/// One parameter of a signature.
#[derive(Clone)]
pub struct Param {
    pub name: String,
    pub ty: Type,
    pub optional: bool,
    pub default: Option<Literal>,
    pub keyword_only: bool,
}

/// A default value.
#[derive(Clone, Debug)]
pub enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Number(Scalar),
    Ints(SmallVec<[i64; 4]>),
    DType(DType),
    Str(String),
}

impl Literal {
    /// The default as an argument.
    pub fn value(&self) -> Value {
        match self {
            Literal::None => Value::None,
            Literal::Bool(v) => Value::Bool(*v),
            Literal::Int(v) => Value::Int(*v),
            Literal::Number(v) => Value::Number(*v),
            Literal::Ints(v) => Value::Ints(v.clone()),
            Literal::DType(v) => Value::DType(*v),
            Literal::Str(v) => Value::Str(v.clone()),
        }
    }
}

/// A parsed signature.
#[derive(Clone)]
pub struct Schema {
    pub name: String,
    /// What follows the dot: `dim` of `sum.dim`.
    pub overload: String,
    pub params: Vec<Param>,
    /// How many tensors are returned; 0 for a list.
    pub outputs: usize,
    /// The one tensor is returned as a Python bool.
    pub truth: bool,
    /// Names of the fields if the result is a named tuple (`(Tensor values, Tensor indices)`).
    pub fields: Vec<String>,
}

impl Schema {
    /// Parses a schema of the op table.
    ///
    /// # Panics
    /// On a malformed schema: the table is checked by a test.
    pub fn parse(text: &str) -> Schema {
        let (head, tail) = text.split_once('(').expect("schema has parameters");
        let (params, returns) = tail.rsplit_once("->").expect("schema has a result");
        let params = params.trim().strip_suffix(')').expect("parameters end in ')'");
        let (name, overload) = head.split_once('.').unwrap_or((head, ""));
        let mut keyword_only = false;
        let mut out = Vec::new();
        for p in split_commas(params) {
            if p == "*" {
                keyword_only = true;
            } else {
                out.push(Param::parse(p, keyword_only));
            }
        }
        let returns = returns.trim();
        let inside = returns.strip_prefix('(').and_then(|r| r.strip_suffix(')'));
        let parts: Vec<&str> = inside.map_or(vec![returns], |r| r.split(", ").collect());
        let fields: Vec<String> =
            parts.iter().filter_map(|p| p.split_once(' ')).map(|p| p.1.to_string()).collect();
        let outputs = if returns == "Tensor[]" { 0 } else { parts.len() };
        Schema {
            name: name.into(),
            overload: overload.into(),
            params: out,
            outputs,
            truth: returns == "bool",
            fields,
        }
    }
}

fn split_commas(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        depth += (c == '[') as i32 - (c == ']') as i32;
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|s| !s.is_empty())
    .collect()
}

impl Param {
    fn parse(text: &str, keyword_only: bool) -> Param {
        let (ty, rest) = text.split_once(' ').expect("parameter is 'type name'");
        let (name, default) = match rest.split_once('=') {
            Some((n, d)) => (n, Some(d)),
            None => (rest, None),
        };
        let optional = ty.ends_with('?');
        let ty = match ty.trim_end_matches('?') {
            "Tensor" => Type::Tensor,
            "Operand" => Type::Operand,
            "Tensor[]" => Type::Tensors,
            "Tensor?[]" => Type::Indices,
            "Scalar" => Type::Number,
            "int" => Type::Int,
            "float" => Type::Float,
            "bool" => Type::Bool,
            "int[]" => Type::Ints(false),
            "int[1]" => Type::Ints(true),
            "ScalarType" => Type::DType,
            "str" => Type::Str,
            other => panic!("unknown type {other} in a schema"),
        };
        let default = default.map(|d| parse_default(d, ty));
        Param { name: name.into(), ty, optional, default, keyword_only }
    }

    /// The type as PyTorch's error messages name it.
    pub fn type_name(&self) -> &'static str {
        match self.ty {
            Type::Tensor | Type::Operand => "Tensor",
            Type::Tensors | Type::Indices => "tuple of Tensors",
            Type::Number => "Number",
            Type::Int => "int",
            Type::Float => "float",
            Type::Bool => "bool",
            Type::Ints(_) => "tuple of ints",
            Type::DType => "torch.dtype",
            Type::Str => "str",
        }
    }
}

/// The value that a text means as the default of a parameter.
///
/// # Panics
/// On a text that means none: those of the table are checked by a test.
pub fn parse_default(text: &str, ty: Type) -> Literal {
    match (text, ty) {
        ("None", _) => Literal::None,
        ("True", _) => Literal::Bool(true),
        ("False", _) => Literal::Bool(false),
        (_, Type::Str) => Literal::Str(text.trim_matches(['\'', '"']).into()),
        (_, Type::Int) => Literal::Int(text.parse().expect("int default")),
        (_, Type::Float) => Literal::Number(Scalar::Float(text.parse().expect("float default"))),
        (_, Type::Number) => Literal::Number(match text.parse::<i64>() {
            Ok(i) => Scalar::Int(i),
            Err(_) => Scalar::Float(text.parse().expect("number default")),
        }),
        (_, Type::Ints(_)) => {
            let items = text.trim_matches(['[', ']']).split(',').map(str::trim);
            Literal::Ints(
                items
                    .filter(|s| !s.is_empty())
                    .map(|s| s.parse::<i64>().expect("int in a default"))
                    .collect::<SmallVec<[i64; 4]>>(),
            )
        }
        (_, Type::DType) => Literal::DType(
            DType::ALL.into_iter().find(|d| d.name() == text).expect("dtype default"),
        ),
        _ => panic!("no default {text} of this type"),
    }
}
