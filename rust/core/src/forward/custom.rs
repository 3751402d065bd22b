//! Tangents of custom functions, whose forward rule is the front end's own.

use super::{Below, Tangents, give, rules, set, visible, written};
use crate::{Result, Tensor, bail};

/// An output of a custom function.
pub struct CustomOutput {
    /// As the caller gets it.
    pub tensor: Tensor,
    pub differentiable: bool,
    /// The input that it is, if the function wrote to it.
    pub dirty: Option<usize>,
}

/// The forward rule: tangents of the outputs for those of the tensor arguments.
pub type Jvp<'a> = dyn Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> + 'a;

/// Gives the outputs of a custom function their tangents; None stands for what is no tensor.
///
/// # Errors
/// Those of the rule, and PyTorch's for tangents that do not fit the outputs.
pub fn custom(
    jvp: &Jvp,
    inputs: &[Option<&Tensor>],
    outputs: &[Option<CustomOutput>],
) -> Result<()> {
    for level in visible() {
        let tangents = rules::of(inputs.iter().copied(), level)?;
        if tangents.iter().all(Option::is_none) {
            continue;
        }
        let versions: Vec<u32> = tangents.iter().flatten().map(Tensor::version).collect();
        let _below = Below::new(level);
        let found = jvp(&tangents)?;
        if found.len() != outputs.len() {
            bail!(
                Runtime,
                "Function's jvp returned an invalid number of forward gradients (expected {} but got {})",
                outputs.len(),
                found.len()
            );
        }
        for (i, (out, t)) in outputs.iter().zip(found).enumerate() {
            if let Some(out) = out {
                let call = Call { inputs, tangents: &tangents, versions: &versions, level };
                call.one(i, out, t)?;
            }
        }
    }
    Ok(())
}

struct Call<'a> {
    inputs: &'a [Option<&'a Tensor>],
    tangents: &'a Tangents,
    /// Of the tangents that there are, before the rule ran.
    versions: &'a [u32],
    level: usize,
}

impl Call<'_> {
    /// Output number `i` gets the tangent that the rule returned.
    fn one(&self, i: usize, out: &CustomOutput, t: Option<Tensor>) -> Result<()> {
        let x = &out.tensor;
        if !out.differentiable {
            if t.is_some() {
                bail!(
                    Runtime,
                    "Function's jvp returned a gradient at position {i}, but  the corresponding forward output is not a differentiable Tensor.You should return None at that position instead."
                );
            }
            return Ok(());
        }
        if let Some(input) = out.dirty {
            return match &self.tangents[input] {
                Some(old) => self.check_written(input, old, t.as_ref()),
                None => written(x, self.level, t),
            };
        }
        let Some(t) = t else {
            set(x, self.level, None);
            return Ok(());
        };
        check_size(x, &t)?;
        let shares = |s: &&Tensor| x.base().is_some() && s.storage().same(x.storage());
        let source = self.inputs.iter().position(|s| s.as_ref().is_some_and(shares));
        if let Some(given) = source.and_then(|k| self.tangents[k].as_ref()) {
            check_view(given, &t)?;
        }
        give(x, self.level, t, self.tangents, source.is_some())
    }

    fn check_written(&self, input: usize, old: &Tensor, new: Option<&Tensor>) -> Result<()> {
        let place = self.tangents[..input].iter().flatten().count();
        let what = match new {
            Some(t) if t.version() == self.versions[place] => {
                "not modifying the forward mode gradients inplace. If the forward is modifying an input inplace, then the jvp function must modify the corresponding gradient inplace."
            }
            Some(t) if t.same(old) => return Ok(()),
            _ => {
                "not returning the forward mode gradients as-is. If the forward is modifying an input inplace, then the jvp function must modify the gradient inplace and return it as-is."
            }
        };
        bail!(Runtime, "An inplace custom Function is {what}")
    }
}

/// PyTorch's refusal of a tangent of another size.
pub(super) fn check_size(x: &Tensor, t: &Tensor) -> Result<()> {
    if x.shape() == t.shape() {
        return Ok(());
    }
    bail!(
        Runtime,
        "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. Tensor is of size {} while the given forward gradient is of size {}.",
        crate::shape::show(x.shape()),
        crate::shape::show(t.shape())
    )
}

/// A view of an input has a view of that input's tangent.
fn check_view(given: &Tensor, t: &Tensor) -> Result<()> {
    if t.base().is_none() {
        bail!(
            Runtime,
            "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
        );
    }
    if !t.storage().same(given.storage()) {
        bail!(
            Runtime,
            "A custom Function is returning a view but the jvp is not returning a view of the given grad input."
        );
    }
    Ok(())
}
