//! A factorisation `A = B C` of the workload, as far as training needs it: the noise matrix `C^{-1}` and the sensitivity of C.

mod buffered;
mod build;
mod closed_form;
mod dense;
mod file;
mod name;
mod optimised;

use serde::{Deserialize, Serialize};

pub use buffered::MOST_BUFFERS;
pub use build::{BuildOptions, band_scan};
pub use dense::LARGEST_OPTIMUM;
pub use file::StrategyFile;
pub use name::Name;

pub(crate) use closed_form::check_bands;

use crate::blt::Blt;
use crate::coefficients;
use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::sensitivity::{self, Sensitivity};

/// How the strategy matrix C, or its inverse, is given. All are lower-triangular, n x n.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "form")]
#[non_exhaustive]
pub enum Form {
    /// `C^{-1} = toep(ct)` with p coefficients: noise is a moving average of p fresh vectors.
    Inverse {
        /// ct, of length p <= n.
        coefficients: Vec<f64>,
    },
    /// `C = toep(c)` with p coefficients: noise is autoregressive in its p-1 last values.
    Direct {
        /// c, of length p <= n.
        coefficients: Vec<f64>,
    },
    /// `C^{-1} = diag(scale) toep(ct)`: a moving average with a factor for each step.
    ScaledInverse {
        /// The factor of each of the n rows, above 0.
        scale: Vec<f64>,
        /// ct, of length p <= n.
        coefficients: Vec<f64>,
    },
    /// A banded `C^{-1}` whose rows differ: `C^{-1}[m, m-k] = rows[m * band + k]` for k <= m.
    InverseRows {
        /// The number of diagonals p.
        band: usize,
        /// n rows of p entries; entries with k > m are not read.
        rows: Vec<f64>,
    },
    /// A buffered linear Toeplitz matrix: few exponentials.
    Buffered {
        /// Its parameters.
        blt: Blt,
    },
}

/// Writes row m of a lower-triangular matrix into a slice of length m+1.
pub(crate) type RowWriter<'a> = Box<dyn FnMut(usize, &mut [f64]) + 'a>;

/// A named noise strategy for a fixed number of steps.
///
/// ```
/// use thalweg_private::{Pattern, Ratios, Strategy, Workload, evaluate};
///
/// let workload = Workload::new(Ratios::exponential(1024, 0.1)?);
/// let prefix = evaluate(&workload, &Strategy::prefix_root(&workload), Pattern::Single)?;
/// let aware = evaluate(&workload, &Strategy::lr_root(&workload), Pattern::Single)?;
/// assert!(aware.max_se < prefix.max_se); // 2.304888 against 2.544006
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Strategy {
    name: Name,
    steps: usize,
    #[serde(flatten)]
    form: Form,
}

/// A strategy as it lies in a file.
#[derive(Deserialize)]
struct Unchecked {
    name: Name,
    steps: usize,
    #[serde(flatten)]
    form: Form,
}

impl TryFrom<Unchecked> for Strategy {
    type Error = Error;

    fn try_from(read: Unchecked) -> Result<Self> {
        Self::new(read.name, read.steps, read.form)
    }
}

impl Strategy {
    /// A strategy of one's own.
    ///
    /// # Errors
    /// [`Error::Value`] when the form does not fit the number of steps, holds values that are not finite, or is singular.
    pub fn new(name: Name, steps: usize, form: Form) -> Result<Self> {
        if steps == 0 {
            return Err(Error::value("the number of steps", 0, "at least 1"));
        }
        match &form {
            Form::Inverse { coefficients } | Form::Direct { coefficients } => check_band(coefficients, steps)?,
            Form::ScaledInverse { scale, coefficients } => {
                check_band(coefficients, steps)?;
                if scale.len() != steps || !scale.iter().all(|&value| value.is_finite() && value > 0.0) {
                    return Err(Error::value(
                        "the row scales of the strategy",
                        format!("{} values", scale.len()),
                        "one finite number above 0 a step",
                    ));
                }
            }
            Form::InverseRows { band, rows } => {
                let whole = *band >= 1 && *band <= steps && rows.len() == band * steps;
                if !whole || !rows.iter().all(|value| value.is_finite()) || rows.iter().step_by(*band).any(|&d| d == 0.0) {
                    return Err(Error::value(
                        "the noise matrix",
                        format!("{} values in {band} bands", rows.len()),
                        "finite, band * steps values, with no 0 on its diagonal",
                    ));
                }
            }
            Form::Buffered { blt } => blt.check()?,
        }
        Ok(Self { name, steps, form })
    }

    /// The mechanism's name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// The number of steps n.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How it is given.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Whether the noise of each step is independent of all others.
    pub fn is_identity(&self) -> bool {
        matches!(&self.form, Form::Inverse { coefficients } | Form::Direct { coefficients } if coefficients.len() == 1)
    }

    /// How many vectors of the model's size the noise stream keeps, beside the one it returns.
    pub fn memory_vectors(&self) -> usize {
        match &self.form {
            Form::Inverse { coefficients } | Form::Direct { coefficients } | Form::ScaledInverse { coefficients, .. } => {
                coefficients.len() - 1
            }
            Form::InverseRows { band, .. } => band - 1,
            // Buffers are f64, twice as large as the f32 vectors they stand for.
            Form::Buffered { blt } => 2 * blt.buffers(),
        }
    }

    /// The first column of C where C is a Toeplitz matrix, without trailing zeros.
    pub fn toeplitz(&self) -> Option<Vec<f64>> {
        match &self.form {
            Form::Inverse { coefficients } if coefficients.len() == 1 => Some(vec![1.0 / coefficients[0]]),
            Form::Inverse { coefficients } => Some(coefficients::inverse(coefficients, self.steps)),
            Form::Direct { coefficients } => Some(coefficients.clone()),
            Form::Buffered { blt } => Some(blt.column(self.steps)),
            Form::ScaledInverse { .. } | Form::InverseRows { .. } => None,
        }
    }

    /// The number of diagonals of C, where C is a banded Toeplitz matrix.
    pub fn bands(&self) -> Option<usize> {
        match &self.form {
            Form::Direct { coefficients } => Some(coefficients.len()),
            Form::Inverse { coefficients } if coefficients.len() == 1 => Some(1),
            _ => None,
        }
    }

    /// Writes the rows of `C^{-1}` one after the other: `write(m, out)` fills `out[0..=m]`.
    pub(crate) fn noise_rows(&self) -> RowWriter<'_> {
        let reversed = |ct: &[f64], m: usize, factor: f64, out: &mut [f64]| {
            out.fill(0.0);
            for (out, ct) in out[..=m].iter_mut().rev().zip(ct) {
                *out = factor * ct;
            }
        };
        match &self.form {
            Form::Inverse { coefficients } => Box::new(move |m, out| reversed(coefficients, m, 1.0, out)),
            Form::ScaledInverse { scale, coefficients } => Box::new(move |m, out| reversed(coefficients, m, scale[m], out)),
            Form::InverseRows { band, rows } => Box::new(move |m, out| reversed(&rows[m * band..(m + 1) * band], m, 1.0, out)),
            Form::Direct { coefficients } => {
                let ct = coefficients::inverse(coefficients, self.steps);
                Box::new(move |m, out| reversed(&ct, m, 1.0, out))
            }
            Form::Buffered { blt } => {
                let ct = blt.inverse_column(self.steps);
                Box::new(move |m, out| reversed(&ct, m, 1.0, out))
            }
        }
    }

    /// The sensitivity of C for this pattern and clip norm 1, by the sharpest rule that applies.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] when C is no Toeplitz matrix and too large for the matrix bound.
    pub fn sensitivity(&self, pattern: Pattern) -> Result<Sensitivity> {
        let pattern = pattern.checked()?;
        if let Some(c) = self.toeplitz() {
            if c.iter().any(|value| !value.is_finite()) {
                return Err(Error::unsuitable(self.name, "its strategy matrix overflows; use fewer steps or other coefficients"));
            }
            return Ok(sensitivity::of_toeplitz(&c, self.steps, pattern));
        }
        if let Form::ScaledInverse { scale, coefficients } = &self.form {
            let factors: Vec<f64> = scale.iter().map(|scale| 1.0 / scale).collect();
            return Ok(sensitivity::of_scaled_toeplitz(&coefficients::inverse(coefficients, self.steps), &factors, pattern));
        }
        if self.steps > LARGEST_DENSE {
            return Err(Error::unsuitable(
                self.name,
                format!("its sensitivity for {pattern} needs an n x n matrix, kept for at most {LARGEST_DENSE} steps"),
            ));
        }
        Ok(sensitivity::of_gram(&gram(&self.matrix(), self.steps), self.steps, pattern))
    }

    /// C itself, row-major, n x n.
    pub fn matrix(&self) -> Vec<f64> {
        let n = self.steps;
        let mut matrix = vec![0.0; n * n];
        let mut row = vec![0.0; n];
        let mut noise_row = self.noise_rows();
        for m in 0..n {
            // Row m of C^{-1} C = I, solved for row m of C.
            noise_row(m, &mut row[..=m]);
            let (above, current) = matrix.split_at_mut(m * n);
            let current = &mut current[..=m];
            current[m] = 1.0;
            for (t, &entry) in row[..m].iter().enumerate().filter(|(_, entry)| **entry != 0.0) {
                for (current, above) in current[..=t].iter_mut().zip(&above[t * n..]) {
                    *current -= entry * above;
                }
            }
            current.iter_mut().for_each(|value| *value /= row[m]);
        }
        matrix
    }
}

/// Above this many steps no n x n matrix is formed.
pub(crate) const LARGEST_DENSE: usize = 2048;

fn check_band(coefficients: &[f64], steps: usize) -> Result<()> {
    if coefficients.is_empty() || coefficients.len() > steps {
        return Err(Error::value("the number of bands", coefficients.len(), &format!("1 to {steps}, the number of steps")));
    }
    if coefficients.iter().any(|value| !value.is_finite()) || coefficients[0] <= 0.0 {
        return Err(Error::value(
            "the coefficients",
            format!("{:?}...", &coefficients[..coefficients.len().min(4)]),
            "finite, the first above 0",
        ));
    }
    Ok(())
}

/// `C^T C` of a row-major lower-triangular C.
fn gram(c: &[f64], n: usize) -> Vec<f64> {
    let mut gram = vec![0.0; n * n];
    for row in c.chunks_exact(n) {
        for (i, &a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            for (out, b) in gram[i * n..(i + 1) * n].iter_mut().zip(row) {
                *out += a * b;
            }
        }
    }
    gram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Ratios, Workload};

    #[test]
    fn matrix_and_noise_rows_are_inverse() {
        let workload = Workload::new(Ratios::cosine(9, 0.2).unwrap()).with_momentum(0.6).unwrap().with_decay(0.1).unwrap();
        let blt = Blt::new(vec![0.3, 0.1], vec![0.9, 0.5]).unwrap();
        let strategies = [
            Strategy::output(&workload),
            Strategy::split(&workload),
            Strategy::lr_root(&workload),
            Strategy::bsr(&workload, 3).unwrap(),
            Strategy::lr_bisr(&workload, 4).unwrap(),
            Strategy::new(Name::Blt, 9, Form::Buffered { blt }).unwrap(),
        ];
        for strategy in strategies {
            let c = strategy.matrix();
            let mut row = [0.0; 9];
            let mut rows = strategy.noise_rows();
            for m in 0..9 {
                rows(m, &mut row[..=m]);
                for t in 0..9 {
                    let product: f64 = (0..=m).map(|k| row[k] * c[k * 9 + t]).sum();
                    let expected = if t == m { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-12, "{} {m} {t}: {product}", strategy.name());
                }
            }
        }
    }

    #[test]
    fn output_is_the_workload_itself() {
        let workload = Workload::new(Ratios::linear(6, 0.3).unwrap()).with_momentum(0.5).unwrap().with_decay(0.2).unwrap();
        for (found, expected) in Strategy::output(&workload).matrix().iter().zip(workload.matrix()) {
            assert!((found - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn bad_forms_are_refused() {
        let toeplitz = |coefficients: &[f64]| Strategy::new(Name::Bisr, 3, Form::Inverse { coefficients: coefficients.to_vec() });
        assert!(toeplitz(&[]).is_err());
        assert!(toeplitz(&[1.0; 4]).is_err());
        assert!(toeplitz(&[0.0, 1.0]).is_err());
        assert!(toeplitz(&[1.0, f64::NAN]).is_err());
        assert!(Strategy::new(Name::Dense, 2, Form::InverseRows { band: 2, rows: vec![1.0, 0.0, 0.0, 1.0] }).is_err());
        assert!(Strategy::new(Name::Split, 2, Form::ScaledInverse { scale: vec![1.0], coefficients: vec![1.0] }).is_err());
    }

    #[test]
    fn strategies_survive_json() {
        let workload = Workload::new(Ratios::exponential(5, 0.2).unwrap());
        let strategy = Strategy::lr_root(&workload);
        let json = serde_json::to_string(&strategy).unwrap();
        assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), strategy);
        let fewer = json.replace("\"steps\":5", "\"steps\":4");
        assert!(serde_json::from_str::<Strategy>(&fewer).unwrap_err().to_string().contains("1 to 4"));
    }
}
