//! Distributions that PyTorch computes in double precision, one number after the other.

use std::f64::consts::PI;

use super::Generator;
use super::sample::{FloatSample, Sample, Wide};

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

    /// Poisson numbers of the rates in `rates`, which are neither negative nor NaN.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn fill_poisson<T: FloatSample>(&mut self, out: &mut [T], rates: &[T]) {
        assert_eq!(out.len(), rates.len(), "a rate for each element");
        for (y, rate) in out.iter_mut().zip(rates) {
            let rate = rate.widen().to_f64();
            *y = T::from_f64(if rate < 10.0 { self.few(rate) } else { self.many(rate) });
        }
    }

    /// A Poisson number: units are multiplied until the product is below exp(-rate).
    fn few(&mut self, rate: f64) -> f64 {
        if rate == 0.0 {
            return 0.0;
        }
        let (bound, mut product, mut count) = ((-rate).exp(), 1.0, 0.0);
        loop {
            product *= self.unit_f64();
            if product <= bound {
                return count;
            }
            count += 1.0;
        }
    }

    /// A Poisson number of a rate from 10 on, by transformed rejection (PTRS in Hörmann, "The
    /// transformed rejection method for generating Poisson random variables", 1993).
    fn many(&mut self, rate: f64) -> f64 {
        let b = 0.931 + 2.53 * rate.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let quick = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.unit_f64() - 0.5, self.unit_f64());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + rate + 0.43).floor();
            if us >= 0.07 && v <= quick {
                return k;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let density = -rate + k * rate.ln() - ln_factorial(k);
            if v.ln() + inverse_alpha.ln() - (a / (us * us) + b).ln() <= density {
                return k;
            }
        }
    }

    /// Numbers of trials up to the first success, of probability `p`.
    pub fn fill_geometric<T: Sample>(&mut self, out: &mut [T], p: f64) {
        let ln_failure = (-p).ln_1p();
        self.fill_from_units(out, |u| T::from_f64((u.ln() / ln_failure).ceil()));
    }
}

/// Logarithm of k!: a sum for small k, else Stirling's series, exact to 1e-14 from 10 on.
fn ln_factorial(k: f64) -> f64 {
    if k < 10.0 {
        return (2..=k as u32).map(|i| f64::from(i).ln()).sum();
    }
    let x = k + 1.0;
    let i = 1.0 / (x * x);
    let series = (1.0 / 12.0 - i * (1.0 / 360.0 - i * (1.0 / 1260.0 - i / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series
}
