//! A Rust library of tensors with reverse-mode automatic differentiation.
pub mod print;
