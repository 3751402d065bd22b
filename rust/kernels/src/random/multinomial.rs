//! Draws from a list of weights.

use super::Generator;
use super::sample::{FloatSample, Sample, Wide};

impl Generator {
    /// Fills `out` with indices drawn with replacement, each in proportion to its weight
    /// (`multinomial(weights, n, True)`, one row).
    ///
    /// The error is PyTorch's sentence about a weight; some rows may then have been drawn already.
    ///
    /// # Panics
    /// If there are no weights.
    pub fn multinomial_with_replacement<T: FloatSample>(
        &mut self,
        out: &mut [i64],
        weights: &[T],
    ) -> Result<(), &'static str> {
        let mut cumulative: Vec<T::Wide> = weights.iter().map(|w| w.widen()).collect();
        for w in &cumulative {
            if !(w.to_f64() >= 0.0) {
                return Err(
                    "invalid multinomial distribution (encountering probability entry < 0)",
                );
            }
            if w.to_f64().is_infinite() {
                return Err("invalid multinomial distribution (encountering probability entry = \
                            infinity or NaN)");
            }
        }
        let sum = T::Wide::accumulate(&mut cumulative);
        if !(sum.to_f64() > 0.0) {
            return Err("invalid multinomial distribution (sum of probabilities <= 0)");
        }
        // Whatever rounding made of it.
        *cumulative.last_mut().expect("at least one weight") = T::Wide::from_i64(1);
        for y in out {
            let u = self.unit_f64();
            *y = cumulative.partition_point(|c| c.to_f64() < u) as i64;
        }
        Ok(())
    }

    /// Fills `out` with different indices, drawn in proportion to their weights
    /// (`multinomial(weights, n)`, one row): those of the largest `weight / exponential(1)`.
    ///
    /// Of equal quotients the first comes first; PyTorch's order of them is that of its `topk`.
    ///
    /// # Panics
    /// If `out` is longer than `weights`.
    pub fn multinomial_distinct<T: FloatSample>(&mut self, out: &mut [i64], weights: &[T]) {
        assert!(out.len() <= weights.len(), "more samples than weights");
        let mut waits = vec![T::default(); weights.len()];
        self.fill_exponential(&mut waits, 1.0);
        // Keys are never negative, so `abs` only clears the sign of 0/0, which PyTorch puts first.
        let key =
            |(w, q): (&T, T)| T::from_f64((w.widen() / q.widen()).to_f64()).widen().to_f64().abs();
        let keys: Vec<f64> = weights.iter().zip(waits).map(key).collect();
        let mut order: Vec<usize> = (0..keys.len()).collect();
        let descending = |i: &usize, j: &usize| keys[*j].total_cmp(&keys[*i]).then(i.cmp(j));
        if out.len() < order.len() {
            order.select_nth_unstable_by(out.len(), descending);
            order.truncate(out.len());
        }
        order.sort_unstable_by(descending);
        for (y, i) in out.iter_mut().zip(order) {
            *y = i as i64;
        }
    }
}
