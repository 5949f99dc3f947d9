//! The strategies with a closed form.

use super::{Form, Name, Strategy};
use crate::coefficients::{self, inverse_root, product, root, scaled};
use crate::error::{Error, Result};
use crate::workload::Workload;

impl Strategy {
    /// DP-SGD: independent noise in every step, `C = I`.
    ///
    /// # Errors
    /// [`Error::Value`] for 0 steps.
    pub fn identity(steps: usize) -> Result<Self> {
        Self::new(Name::Identity, steps, Form::Inverse { coefficients: vec![1.0] })
    }

    /// Output perturbation: `C = A`, `B = I`.
    pub fn output(workload: &Workload) -> Self {
        let chi = workload.ratios().values();
        let n = chi.len();
        if workload.is_plain() {
            let coefficients = [1.0, -1.0][..n.min(2)].to_vec();
            let scale = chi.iter().map(|chi| 1.0 / chi).collect();
            return Self { name: Name::Output, steps: n, form: Form::ScaledInverse { scale, coefficients } };
        }
        // v_m = (theta_m - keep_m theta_{m-1}) / chi_m and g_m = v_m - momentum v_{m-1}.
        let (band, momentum) = (n.min(3), workload.momentum());
        let keep = |m: usize| 1.0 - workload.decay() * chi[m];
        let row = |m: usize| {
            let before = if m > 0 { momentum / chi[m - 1] } else { 0.0 };
            let second = if m > 0 { before * keep(m - 1) } else { 0.0 };
            [1.0 / chi[m], -keep(m) / chi[m] - before, second]
        };
        let rows = (0..n).flat_map(|m| row(m).into_iter().take(band)).collect();
        Self { name: Name::Output, steps: n, form: Form::InverseRows { band, rows } }
    }

    /// `C = A_1^{1/2} D`: the root of the workload without its rates, with the rates on the columns.
    pub fn split(workload: &Workload) -> Self {
        let scale = workload.ratios().values().iter().map(|chi| 1.0 / chi).collect();
        let coefficients = prefix_inverse_root(workload);
        Self { name: Name::Split, steps: workload.steps(), form: Form::ScaledInverse { scale, coefficients } }
    }

    /// The Toeplitz square root of the workload at a constant rate: `C = toep(r)` without momentum and decay.
    ///
    /// With momentum `be` and kept fraction `al = 1 - decay`: `ct_k = sum_j rt_j be^j rt_{k-j} al^{k-j}`.
    pub fn prefix_root(workload: &Workload) -> Self {
        Self::inverse_toeplitz(Name::PrefixRoot, workload, prefix_inverse_root(workload))
    }

    /// The learning-rate-aware root: the Toeplitz square root of the column chi; `toep(alpha^j r_j)` for exponential rates.
    ///
    /// With momentum, convolved with `momentum^j r_j`, which has no theory but is a good start.
    pub fn lr_root(workload: &Workload) -> Self {
        Self::inverse_toeplitz(Name::LrRoot, workload, rate_inverse_root(workload))
    }

    /// Banded square root: the first p coefficients of the prefix root.
    ///
    /// # Errors
    /// [`Error::Value`] unless 1 <= p <= n.
    pub fn bsr(workload: &Workload, bands: usize) -> Result<Self> {
        let c = product(&scaled(&root(workload.steps()), 1.0 - workload.decay()), &momentum_root(workload), workload.steps());
        Self::banded(Name::Bsr, workload, c, bands)
    }

    /// Banded square root of the rates: the first p coefficients of the learning-rate-aware root.
    ///
    /// # Errors
    /// As [`bsr`](Self::bsr).
    pub fn lr_bsr(workload: &Workload, bands: usize) -> Result<Self> {
        let c = product(&rate_root(workload), &momentum_root(workload), workload.steps());
        Self::banded(Name::LrBsr, workload, c, bands)
    }

    /// Banded inverse square root: the first p coefficients of the prefix root's inverse.
    ///
    /// # Errors
    /// As [`bsr`](Self::bsr).
    pub fn bisr(workload: &Workload, bands: usize) -> Result<Self> {
        Self::banded_inverse(Name::Bisr, workload, prefix_inverse_root(workload), bands)
    }

    /// Banded inverse square root of the rates.
    ///
    /// # Errors
    /// As [`bsr`](Self::bsr).
    pub fn lr_bisr(workload: &Workload, bands: usize) -> Result<Self> {
        Self::banded_inverse(Name::LrBisr, workload, rate_inverse_root(workload), bands)
    }

    /// `C_ij = lambda^{i-j}`, noise `z_t - lambda z_{t-1}`.
    ///
    /// # Errors
    /// [`Error::Value`] unless 0 <= lambda <= 1.
    pub fn lambda_cgd(steps: usize, lambda: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&lambda) {
            return Err(Error::value("lambda", lambda, "in [0, 1]"));
        }
        let coefficients = [1.0, -lambda][..steps.min(2)].to_vec();
        Self::new(Name::LambdaCgd, steps, Form::Inverse { coefficients })
    }

    /// `C = toep(factor^j r_j)`, convolved with `momentum^j r_j`: the family that `alpha-tuned` searches.
    ///
    /// # Errors
    /// [`Error::Value`] unless 0 < factor <= 1.
    pub fn scaled_root(workload: &Workload, factor: f64) -> Result<Self> {
        if !(factor > 0.0 && factor <= 1.0) {
            return Err(Error::value("the factor alpha", factor, "in (0, 1]"));
        }
        let n = workload.steps();
        let ct = product(&scaled(&inverse_root(n), factor), &momentum_inverse_root(workload), n);
        Ok(Self::inverse_toeplitz(Name::AlphaTuned, workload, ct))
    }

    fn inverse_toeplitz(name: Name, workload: &Workload, coefficients: Vec<f64>) -> Self {
        Self { name, steps: workload.steps(), form: Form::Inverse { coefficients } }
    }

    fn banded(name: Name, workload: &Workload, mut coefficients: Vec<f64>, bands: usize) -> Result<Self> {
        check_bands(bands, workload.steps())?;
        coefficients.truncate(bands);
        Self::new(name, workload.steps(), Form::Direct { coefficients })
    }

    fn banded_inverse(name: Name, workload: &Workload, mut coefficients: Vec<f64>, bands: usize) -> Result<Self> {
        check_bands(bands, workload.steps())?;
        coefficients.truncate(bands);
        Self::new(name, workload.steps(), Form::Inverse { coefficients })
    }
}

pub(crate) fn check_bands(bands: usize, steps: usize) -> Result<()> {
    if (1..=steps).contains(&bands) {
        return Ok(());
    }
    Err(Error::value("the number of bands", bands, &format!("1 to {steps}, the number of steps")))
}

fn momentum_root(workload: &Workload) -> Vec<f64> {
    scaled(&root(workload.steps()), workload.momentum())
}

fn momentum_inverse_root(workload: &Workload) -> Vec<f64> {
    scaled(&inverse_root(workload.steps()), workload.momentum())
}

fn prefix_inverse_root(workload: &Workload) -> Vec<f64> {
    let n = workload.steps();
    product(&scaled(&inverse_root(n), 1.0 - workload.decay()), &momentum_inverse_root(workload), n)
}

/// The square root of the column chi (with the first ratio taken as 1), times the decay.
fn rate_root(workload: &Workload) -> Vec<f64> {
    let ratios = workload.ratios();
    let c = ratios.exponential_factor().map_or_else(
        || {
            let chi = ratios.values();
            coefficients::square_root(&chi.iter().map(|value| value / chi[0]).collect::<Vec<_>>())
        },
        |alpha| scaled(&root(ratios.len()), alpha),
    );
    scaled(&c, 1.0 - workload.decay())
}

fn rate_inverse_root(workload: &Workload) -> Vec<f64> {
    let n = workload.steps();
    let inverse = workload.ratios().exponential_factor().map_or_else(
        || coefficients::inverse(&rate_root(workload), n),
        |alpha| scaled(&inverse_root(n), alpha * (1.0 - workload.decay())),
    );
    product(&inverse, &momentum_inverse_root(workload), n)
}
