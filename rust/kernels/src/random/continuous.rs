//! Distributions that PyTorch computes in double precision, one number after the other.

use std::f64::consts::PI;

use super::Generator;
use super::sample::{FloatSample, Sample};

impl Generator {
    /// Exponential numbers of rate `lambda`.
    pub fn fill_exponential<T: FloatSample>(&mut self, out: &mut [T], lambda: f64) {
        let scale = -1.0 / lambda;
        self.fill_from_units(out, |u| T::from_f64(scale * (-u).ln_1p()));
    }

    /// Cauchy numbers around `median`, half of them within `sigma` of it.
    pub fn fill_cauchy<T: FloatSample>(&mut self, out: &mut [T], median: f64, sigma: f64) {
        self.fill_from_units(out, |u| T::from_f64(sigma.mul_add((PI * (u - 0.5)).tan(), median)));
    }

    /// Numbers whose logarithm is normal with the given mean and standard deviation. Like the
    /// scalar path of [`Generator::fill_normal`], it keeps the second of a pair for the next call.
    pub fn fill_log_normal<T: FloatSample>(&mut self, out: &mut [T], mean: f64, std: f64) {
        for y in out {
            *y = T::from_f64(self.normal(mean, std).exp());
        }
    }

    /// Numbers of trials up to the first success, of probability `p`.
    pub fn fill_geometric<T: Sample>(&mut self, out: &mut [T], p: f64) {
        let ln_failure = (-p).ln_1p();
        self.fill_from_units(out, |u| T::from_f64((u.ln() / ln_failure).ceil()));
    }
}
