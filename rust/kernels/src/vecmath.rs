//! Elementary functions, written once as scalar branchless source and vectorised per level.

pub mod f32;
pub mod f64;
