//! Draws from lists of weights.

use super::Generator;
use super::sample::{FloatSample, Wide};
use super::select::top_k;

const NO_WEIGHT: &str = "invalid multinomial distribution (sum of probabilities <= 0)";

impl Generator {
    /// Draws indices in proportion to weights: `multinomial(weights, samples, replacement)`.
    ///
    /// `weights` holds `rows` rows, and so does `out`. The error is PyTorch's sentence about a
    /// weight. Without replacement and for one sample it comes before anything is drawn, else the
    /// rows before the bad one have been, as in PyTorch.
    ///
    /// # Panics
    /// If a slice does not divide into `rows` rows, or rows of `out` are longer than those of
    /// `weights` without replacement; and if there are rows without weights, or no rows.
    pub fn multinomial<T: FloatSample>(
        &mut self,
        out: &mut [i64],
        weights: &[T],
        rows: usize,
        replacement: bool,
    ) -> Result<(), &'static str> {
        let (samples, categories) = (out.len() / rows, weights.len() / rows);
        assert!(samples * rows == out.len() && categories * rows == weights.len(), "uneven rows");
        assert!(replacement || samples <= categories, "more samples than weights");
        if samples == 0 {
            return Ok(());
        }
        let pairs = out.chunks_exact_mut(samples).zip(weights.chunks_exact(categories));
        if replacement && samples > 1 {
            for (out, weights) in pairs {
                self.draw_with_replacement(out, weights)?;
            }
        } else {
            check_weights(weights, categories)?;
            for (out, weights) in pairs {
                self.draw_distinct(out, weights);
            }
        }
        Ok(())
    }

    /// Looks a uniform double up in the cumulative weights, for each sample.
    fn draw_with_replacement<T: FloatSample>(
        &mut self,
        out: &mut [i64],
        weights: &[T],
    ) -> Result<(), &'static str> {
        let mut cumulative: Vec<T::Wide> = weights.iter().map(|w| w.widen()).collect();
        for w in &cumulative {
            if w.to_f64().is_nan() || w.to_f64() < 0.0 {
                return Err(
                    "invalid multinomial distribution (encountering probability entry < 0)",
                );
            }
            if w.to_f64().is_infinite() {
                return Err("invalid multinomial distribution (encountering probability entry = \
                            infinity or NaN)");
            }
        }
        if T::Wide::accumulate(&mut cumulative).to_f64() <= 0.0 {
            return Err(NO_WEIGHT);
        }
        for y in out {
            let u = self.unit_f64();
            // The last sum, divided by itself, is 1: it is never below.
            *y = cumulative.partition_point(|c| c.to_f64() < u) as i64;
        }
        Ok(())
    }

    /// Takes the indices of the largest `weight / exponential(1)`.
    fn draw_distinct<T: FloatSample>(&mut self, out: &mut [i64], weights: &[T]) {
        let mut waits = vec![T::default(); weights.len()];
        self.fill_exponential(&mut waits, 1.0);
        // Rounded to `T`, as PyTorch's division does.
        let key = |(w, q): (&T, T)| T::from_f64((w.widen() / q.widen()).to_f64()).widen();
        let mut keys: Vec<(T::Wide, i64)> = weights.iter().zip(waits).map(key).zip(0..).collect();
        let before = |(x, _): &(T::Wide, i64), (y, _): &(T::Wide, i64)| {
            x > y || (x.to_f64().is_nan() && !y.to_f64().is_nan())
        };
        if let [y] = out {
            // PyTorch's `argmax`: the first of equals.
            let first = |a, b| if before(&b, &a) { b } else { a };
            *y = keys.into_iter().reduce(first).map_or(0, |(_, i)| i);
            return;
        }
        top_k(&mut keys, out.len(), before);
        for (y, (_, i)) in out.iter_mut().zip(keys) {
            *y = i;
        }
    }
}

/// The checks that PyTorch makes of all rows first where it divides by exponential numbers.
fn check_weights<T: FloatSample>(weights: &[T], categories: usize) -> Result<(), &'static str> {
    let number = |w: &T| w.widen().to_f64();
    if !weights.iter().map(number).all(|w| (0.0..f64::INFINITY).contains(&w)) {
        return Err("probability tensor contains either `inf`, `nan` or element < 0");
    }
    if weights.chunks_exact(categories).any(|row| row.iter().map(number).all(|w| w == 0.0)) {
        return Err(NO_WEIGHT);
    }
    Ok(())
}
