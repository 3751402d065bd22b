//! Why no signature takes a call: PyTorch's sentences.
//!
//! With one signature the sentence names the argument at fault. With several, and only one of them
//! taking that number of arguments, likewise. Otherwise all signatures are listed, those with as
//! many arguments as the call with a second line.

use super::convert::raise;
use super::obj::Obj;
use super::{Frame, Misfit, Overload, Wrong, fit};
use std::fmt::Write;
use wengert::error::Kind;
use wengert::schema::{Literal, Param, Schema, Type};

/// Sets the exception for a call that fits none of its overloads.
#[cold]
pub(super) fn overloads(all: &[Overload], frame: &Frame) {
    if frame.this.is_some() && all.iter().all(|o| frame.params(o.schema).next().is_none()) {
        return no_arguments(frame);
    }
    let signatures: Vec<Signature> = all
        .iter()
        .filter(|o| !all.iter().any(|other| extends(other.schema, o.schema)))
        .flat_map(|o| Signature::all(o, frame))
        .collect();
    let count = frame.args.len() + frame.names.len();
    let mut plausible = signatures.iter().filter(|s| s.takes(count));
    let only = match (signatures.as_slice(), plausible.next(), plausible.next()) {
        ([one], ..) if all.len() == 1 => Some(one),
        (_, Some(one), None) => Some(one),
        _ => None,
    };
    match only.map(|one| (one, fit(one.schema, frame))) {
        Some((one, Err(reason))) => misfit(one.schema, frame, reason),
        _ => type_error(invalid_combination(&signatures, frame)),
    }
}

/// Sets the exception for a call that does not fit a signature.
fn misfit(schema: &Schema, frame: &Frame, misfit: Misfit) {
    let name = frame.name;
    let message = match misfit {
        Misfit::Raised => return,
        Misfit::TooMany => too_many(schema, frame),
        Misfit::Missing(from) => missing(schema, frame, from),
        Misfit::Wrong(wrong) => wrong_type(schema, frame, wrong),
        Misfit::Keyword => unused_keyword(schema, frame),
    };
    type_error(format!("{name}(){message}"));
}

fn type_error(message: String) {
    raise(Kind::Type, message);
}

/// A method without parameters: Python's own sentence, as PyTorch leaves it to Python.
fn no_arguments(frame: &Frame) {
    let name = frame.name;
    type_error(match frame.names {
        [] => format!("TensorBase.{name}() takes no arguments ({} given)", frame.args.len()),
        _ => format!("TensorBase.{name}() takes no keyword arguments"),
    });
}

fn too_many(schema: &Schema, frame: &Frame) -> String {
    let positional = || frame.params(schema).filter(|p| !p.keyword_only);
    let most = positional().count();
    let least = positional().filter(|p| p.default.is_none()).count();
    let given = frame.args.len();
    let were = if given == 1 { "was" } else { "were" };
    if least != most {
        return format!(
            " takes from {least} to {most} positional arguments but {given} were given"
        );
    }
    let s = if most == 1 { "" } else { "s" };
    format!(" takes {most} positional argument{s} but {given} {were} given")
}

fn missing(schema: &Schema, frame: &Frame, from: usize) -> String {
    let this = frame.this_index(schema);
    let names: Vec<String> = (schema.params.iter().enumerate().skip(from))
        .filter(|(i, p)| Some(*i) != this && p.default.is_none())
        .map(|(_, p)| format!("\"{}\"", frame.shown_name(p)))
        .collect();
    // The plural is PyTorch's.
    let s = if names.len() == 1 { "s" } else { "" };
    format!(" missing {} required positional argument{s}: {}", names.len(), names.join(", "))
}

fn wrong_type(schema: &Schema, frame: &Frame, wrong: Wrong) -> String {
    let (name, ty) = match schema.params.get(wrong.param) {
        Some(param) => (frame.shown_name(param), param.type_name()),
        None => ("out", out_type(schema)),
    };
    let class = wrong.given.class_name();
    let Some(position) = wrong.position else {
        return format!(": argument '{name}' must be {ty}, not {class}");
    };
    let item = if wrong.item { wrong.given.items().and_then(|items| items.get(0)) } else { None };
    let why = match item {
        Some(item) => format!("but found element of type {} at pos 0", item.class_name()),
        None => format!("not {class}"),
    };
    format!(": argument '{name}' (position {position}) must be {ty}, {why}")
}

fn out_type(schema: &Schema) -> &'static str {
    if schema.outputs == 1 { "Tensor" } else { "tuple of Tensors" }
}

fn unused_keyword(schema: &Schema, frame: &Frame) -> String {
    let takes_out = frame.out.is_some() && schema.outputs > 0;
    for keyword in frame.names {
        let Some(text) = keyword.text() else { continue };
        if takes_out && text == "out" {
            continue;
        }
        match frame.params(schema).position(|p| frame.shown_name(p) == text) {
            None => return format!(" got an unexpected keyword argument '{text}'"),
            Some(i) if i < frame.args.len() => {
                return format!(" got multiple values for argument '{text}'");
            }
            Some(_) => {}
        }
    }
    ": invalid keyword arguments".into()
}

/// A signature as it is listed.
struct Signature<'a> {
    schema: &'a Schema,
    text: String,
    /// How many arguments it takes.
    least: usize,
    most: usize,
}

/// Operations for which PyTorch counts a number as a tensor. Others have an overload for each.
const NUMBERS_ARE_TENSORS: [&str; 8] =
    ["add", "sub", "mul", "div", "subtract", "multiply", "divide", "true_divide"];

impl<'a> Signature<'a> {
    /// The signatures PyTorch has where the table has one: an operand is a Tensor or a Number.
    fn all(overload: &Overload<'a>, frame: &Frame) -> Vec<Signature<'a>> {
        let schema = overload.schema;
        let name = frame.name.strip_suffix('_').unwrap_or(frame.name);
        let operands = |optional: bool| {
            let of = move |p: &&Param| p.ty == Type::Operand && p.optional == optional;
            frame.params(schema).filter(of).count()
        };
        // Optional operands (of `clamp`) are all tensors or all numbers.
        let bits = match operands(false) {
            _ if NUMBERS_ARE_TENSORS.contains(&name) => 0,
            0 => operands(true).min(1),
            n => n.min(4),
        };
        (0..1 << bits).map(|numbers| Signature::new(overload, frame, numbers)).collect()
    }

    /// Bit `i` of `numbers` makes operand `i` a Number.
    fn new(overload: &Overload<'a>, frame: &Frame, mut numbers: u32) -> Signature<'a> {
        let Overload { schema, out } = *overload;
        let mut parts = Vec::new();
        let mut keyword_only = false;
        for param in frame.params(schema) {
            if param.keyword_only && !keyword_only {
                parts.push("*".into());
                keyword_only = true;
            }
            let (mut ty, mut name) = (param.type_name(), frame.shown_name(param));
            if param.ty == Type::Operand {
                if numbers & 1 == 1 {
                    // A Number is not renamed to `input`.
                    (ty, name) = ("Number", &param.name);
                }
                numbers = if param.optional { numbers } else { numbers >> 1 };
            }
            let default = param.default.as_ref().map(|d| format!(" = {}", shown_default(d)));
            parts.push(format!("{ty} {name}{}", default.unwrap_or_default()));
        }
        if out {
            parts.extend((!keyword_only).then(|| "*".into()));
            parts.push(format!("{} out = None", out_type(schema)));
        }
        Signature {
            schema,
            text: format!("({})", parts.join(", ")),
            least: frame.params(schema).filter(|p| p.default.is_none()).count(),
            most: frame.params(schema).count() + out as usize,
        }
    }

    fn takes(&self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }

    /// Types and names, as PyTorch's error text splits its own signature: by commas and the last
    /// space. So `*` counts as an argument, and one with a default is named after the default.
    fn pieces(&self) -> Vec<(&str, &str)> {
        let inside = &self.text[1..self.text.len() - 1];
        inside.split(", ").map(|p| p.rsplit_once(' ').unwrap_or((p, p))).collect()
    }
}

/// True if `long` is `short` with more, optional parameters: PyTorch has the long one only.
fn extends(long: &Schema, short: &Schema) -> bool {
    let n = short.params.len();
    let same = |(a, b): (&Param, &Param)| a.name == b.name && a.ty == b.ty;
    long.params.len() > n
        && long.params.iter().zip(&short.params).all(same)
        && long.params[n..].iter().all(|p| p.default.is_some())
}

fn shown_default(default: &Literal) -> String {
    match default {
        Literal::None => "None".into(),
        Literal::Bool(true) => "True".into(),
        Literal::Bool(false) => "False".into(),
        Literal::Int(v) => v.to_string(),
        Literal::Number(v) if v.dtype().is_int() => v.to_i64().to_string(),
        Literal::Number(v) => v.to_f64().to_string(),
        Literal::Ints(v) => format!("{v:?}"),
        Literal::DType(d) => format!("torch.{}", d.name()),
        Literal::Str(s) => format!("\"{s}\""),
    }
}

fn invalid_combination(signatures: &[Signature], frame: &Frame) -> String {
    let mut text = format!("{}() received an invalid combination of arguments - ", frame.name);
    if let [one] = signatures {
        let got = match closest(one, frame) {
            Closest::Keywords(names) => {
                return text + "got unrecognized keyword arguments: " + &names;
            }
            Closest::Types(types) => types,
            Closest::Count => given_types(frame),
        };
        return text + "got " + &got + ", but expected " + &one.text;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "got {}, but expected one of:", given_types(frame));
    for signature in signatures {
        let _ = writeln!(text, " * {}", signature.text);
        let line = match closest(signature, frame) {
            Closest::Count => continue,
            Closest::Keywords(names) => format!("keywords were incorrect: {names}"),
            Closest::Types(types) => format!("arguments have invalid types: {types}"),
        };
        let _ = writeln!(text, "      didn't match because some of the {line}");
    }
    text
}

/// What is wrong with a signature that has as many arguments as the call.
enum Closest {
    /// It has not as many.
    Count,
    Keywords(String),
    Types(String),
}

fn closest(signature: &Signature, frame: &Frame) -> Closest {
    let pieces = signature.pieces();
    let count = frame.args.len() + frame.names.len();
    if count != pieces.len() {
        return Closest::Count;
    }
    let tail = &pieces[pieces.len() - frame.names.len()..];
    let unknown: Vec<&str> = keywords(frame)
        .map(|(name, _)| name)
        .filter(|name| !tail.iter().any(|(_, known)| known == name))
        .collect();
    if !unknown.is_empty() {
        return Closest::Keywords(unknown.join(", "));
    }
    let mut types = Vec::new();
    for (i, (ty, name)) in pieces.iter().enumerate() {
        let (label, given) = match frame.args.get(i) {
            Some(given) => (String::new(), Some(*given)),
            None => (format!("{name}="), frame.keyword(name)),
        };
        let Some(given) = given else { continue };
        let text = label + &items_and_class(given);
        types.push(if matches(ty, given) { text } else { format!("!{text}!") });
    }
    Closest::Types(format!("({}{})", types.join(", "), dangling_comma(frame)))
}

/// Compares names of classes, as PyTorch does: a Number or a tuple of ints never matches.
fn matches(ty: &str, given: Obj) -> bool {
    let class = given.class_name();
    class == ty || (ty == "float" && class == "int")
}

/// Keywords and their values in PyTorch's order, the last one first.
fn keywords<'a>(frame: &'a Frame) -> impl Iterator<Item = (&'a str, Obj)> {
    let named = frame.names.iter().zip(frame.named).rev();
    named.map(|(name, given)| (name.text().unwrap_or_default(), *given))
}

/// `(Tensor, int, dim=str)`.
fn given_types(frame: &Frame) -> String {
    let named = keywords(frame).map(|(name, given)| format!("{name}={}", given.class_name()));
    let all: Vec<String> = frame.args.iter().map(|a| a.class_name()).chain(named).collect();
    format!("({}{})", all.join(", "), dangling_comma(frame))
}

/// PyTorch leaves the last comma in a list of keywords alone.
fn dangling_comma(frame: &Frame) -> &'static str {
    if frame.args.is_empty() && !frame.names.is_empty() { ", " } else { "" }
}

/// `int`, `tuple of (int, str)`, `list of [int]`.
fn items_and_class(given: Obj) -> String {
    let class = given.class_name();
    let Some(items) = given.items() else { return class };
    let all: Vec<String> =
        (0..items.len()).filter_map(|i| items.get(i)).map(|item| item.class_name()).collect();
    let inside = all.join(", ");
    match (given.is_tuple(), all.len()) {
        (true, 1) => format!("{class} of ({inside},)"),
        (true, _) => format!("{class} of ({inside})"),
        (false, _) => format!("{class} of [{inside}]"),
    }
}
