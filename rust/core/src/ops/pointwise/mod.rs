//! Operations that treat each element by itself, one block each.

pub(crate) mod activation;
pub(crate) mod arithmetic;
pub(crate) mod blend;
pub(crate) mod compare;
pub(crate) mod fill;
pub(crate) mod logic;
pub(crate) mod power;
pub(crate) mod rectifier;
pub(crate) mod rounding;
pub(crate) mod trigonometry;
