//! The negative log likelihood of one class per place, and its gradient.

use std::ops::{AddAssign, Mul, Neg};

/// float32 or float64.
pub trait Float:
    Copy + Default + From<f32> + Into<f64> + AddAssign + Mul<Output = Self> + Neg<Output = Self>
{
}
impl Float for f32 {}
impl Float for f64 {}

/// Which class is meant at each place, and what it weighs.
///
/// Scores lie row-major in `[outer, classes, inner]`, places in `[outer, inner]`.
#[derive(Clone, Copy)]
pub struct Targets<'a, T> {
    pub classes: usize,
    pub inner: usize,
    /// The class at each place.
    pub target: &'a [i64],
    /// The weight of each class, 1 without.
    pub weight: Option<&'a [T]>,
    /// Places of this class have no loss.
    pub ignore: i64,
}

impl<T: Float> Targets<'_, T> {
    /// Calls `f(place, index of the score, weight)` for each place that is not ignored.
    ///
    /// # Errors
    /// The first class that does not exist.
    fn each(&self, mut f: impl FnMut(usize, usize, T)) -> Result<(), i64> {
        for (place, &class) in self.target.iter().enumerate() {
            if class == self.ignore {
                continue;
            }
            if !(0..self.classes as i64).contains(&class) {
                return Err(class);
            }
            let (class, (row, column)) = (class as usize, (place / self.inner, place % self.inner));
            let weight = self.weight.map_or(T::from(1.0), |w| w[class]);
            f(place, (row * self.classes + class) * self.inner + column, weight);
        }
        Ok(())
    }

    /// The loss at each place; zero where it is ignored.
    ///
    /// # Errors
    /// The first class that does not exist.
    ///
    /// # Panics
    /// If there are fewer losses than places, or fewer scores or weights than classes ask for.
    pub fn losses(&self, scores: &[T], losses: &mut [T]) -> Result<(), i64> {
        losses.fill(T::default());
        self.each(|place, at, weight| losses[place] = -(weight * scores[at]))
    }

    /// The sum of the losses, and that of the weights.
    ///
    /// # Errors
    /// The first class that does not exist.
    ///
    /// # Panics
    /// If there are fewer scores or weights than classes ask for.
    pub fn sums(&self, scores: &[T]) -> Result<(f64, f64), i64> {
        let (mut loss, mut total) = (0.0, 0.0);
        self.each(|_, at, weight| {
            loss -= (weight * scores[at]).into();
            total += weight.into();
        })?;
        Ok((loss, total))
    }

    /// Adds the gradient of the scores to `out`, for that of each place's loss.
    ///
    /// # Errors
    /// The first class that does not exist.
    ///
    /// # Panics
    /// If `out` has fewer elements than there are scores.
    pub fn gradient(&self, grad: impl Fn(usize) -> T, out: &mut [T]) -> Result<(), i64> {
        self.each(|place, at, weight| out[at] += -(weight * grad(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_ignored_places() {
        let weight = [1.0, 10.0];
        let target = [1, -1, 0, 1];
        let t =
            Targets { classes: 2, inner: 2, target: &target, weight: Some(&weight), ignore: -1 };
        let scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let mut losses = [9.0; 4];
        assert_eq!(t.losses(&scores, &mut losses), Ok(()));
        assert_eq!(losses, [-30.0, 0.0, -5.0, -80.0]);
        assert_eq!(t.sums(&scores), Ok((-115.0, 21.0)));
        let mut grad = [0.0; 8];
        assert_eq!(t.gradient(|place| place as f64 + 1.0, &mut grad), Ok(()));
        assert_eq!(grad, [0.0, 0.0, -10.0, 0.0, -3.0, 0.0, 0.0, -40.0]);
    }

    #[test]
    fn classes_that_do_not_exist() {
        let t = Targets::<f32> { classes: 2, inner: 1, target: &[0, 2], weight: None, ignore: 7 };
        assert_eq!(t.sums(&[0.0; 4]), Err(2));
        assert_eq!(Targets { target: &[-1], ..t }.losses(&[0.0; 2], &mut [0.0]), Err(-1));
    }
}
