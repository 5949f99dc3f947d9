//! The workload: which linear map of the gradients the optimiser computes.
//!
//! With rates `eta chi_t` the iterates of SGD are `theta_m - theta_0 = -eta sum_{t<=m} chi_t g_t`, that is, `-eta A_chi G`
//! with the lower-triangular matrix `A_chi[m,t] = chi_t` for `t <= m`. Its columns are scaled, so it is no Toeplitz matrix
//! unless the rate is constant. Momentum and weight decay change the map, not the idea.

use serde::{Deserialize, Serialize};
use thalweg_descent::Schedule;

use crate::error::{Error, Result};

/// The learning-rate ratios chi_1..chi_n of a run: finite, above 0, known before the run.
///
/// ```
/// use thalweg_private::Ratios;
///
/// let ratios = Ratios::exponential(4, 0.125)?;
/// assert_eq!(ratios.values(), [1.0, 0.5, 0.25, 0.125]);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Ratios(Vec<f64>);

impl Ratios {
    /// Any vector of ratios.
    ///
    /// # Errors
    /// [`Error::Value`] when it is empty or an entry is not a finite number above 0.
    pub fn new(chi: Vec<f64>) -> Result<Self> {
        if chi.is_empty() {
            return Err(Error::value("the number of steps", 0, "at least 1"));
        }
        for (step, &value) in chi.iter().enumerate() {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::value(
                    &format!("the rate ratio of step {step}"),
                    value,
                    "a finite number above 0 (a final ratio of 0 makes the workload singular: end at a small ratio instead)",
                ));
            }
        }
        Ok(Self(chi))
    }

    /// The ratios of a schedule over `steps` steps.
    ///
    /// # Errors
    /// [`Error::Value`] when there are no steps, or the schedule reaches 0; [`Error::Unsuitable`] when it is of another length.
    pub fn of_schedule(schedule: &Schedule, steps: u64) -> Result<Self> {
        if steps > 0 {
            schedule.validate(steps).map_err(|error| Error::unsuitable("the schedule", error.to_string()))?;
        }
        Self::new(schedule.ratios(steps))
    }

    /// A constant rate: the prefix-sum workload.
    ///
    /// # Errors
    /// [`Error::Value`] for 0 steps.
    pub fn constant(steps: usize) -> Result<Self> {
        Self::new(vec![1.0; steps])
    }

    /// `chi_t = beta^{(t-1)/(n-1)}`: the ratio falls from 1 to `beta`.
    ///
    /// # Errors
    /// [`Error::Value`] for 0 steps or a `beta` outside (0, 1].
    pub fn exponential(steps: usize, beta: f64) -> Result<Self> {
        Self::falling(steps, beta, |x| beta.powf(x))
    }

    /// `chi_t = 1 - (1-beta)(t-1)/(n-1)`.
    ///
    /// # Errors
    /// As [`exponential`](Self::exponential).
    pub fn linear(steps: usize, beta: f64) -> Result<Self> {
        Self::falling(steps, beta, |x| 1.0 - (1.0 - beta) * x)
    }

    /// `chi_t = beta + (1-beta)(1+cos(pi (t-1)/(n-1)))/2`.
    ///
    /// # Errors
    /// As [`exponential`](Self::exponential).
    pub fn cosine(steps: usize, beta: f64) -> Result<Self> {
        Self::falling(steps, beta, |x| beta + (1.0 - beta) * (1.0 + (std::f64::consts::PI * x).cos()) / 2.0)
    }

    /// `chi_t = 1/(1+(1/beta-1)(t-1)/(n-1))`.
    ///
    /// # Errors
    /// As [`exponential`](Self::exponential).
    pub fn polynomial(steps: usize, beta: f64) -> Result<Self> {
        Self::falling(steps, beta, |x| 1.0 / (1.0 + (1.0 / beta - 1.0) * x))
    }

    fn falling(steps: usize, beta: f64, ratio: impl Fn(f64) -> f64) -> Result<Self> {
        if !(beta > 0.0 && beta <= 1.0) {
            return Err(Error::value("the end ratio beta", beta, "in (0, 1]"));
        }
        let span = steps.saturating_sub(1).max(1) as f64;
        Self::new((0..steps).map(|t| ratio(t as f64 / span)).collect())
    }

    /// The number of steps n.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one step")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The ratios in order.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Whether all ratios are the same.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|&value| value == self.0[0])
    }

    /// The per-step factor alpha with `chi_t = alpha^{t-1}`, where the ratios are of that form.
    pub fn exponential_factor(&self) -> Option<f64> {
        let n = self.0.len();
        if n == 1 {
            return Some(1.0);
        }
        let alpha = (self.0[n - 1] / self.0[0]).powf(1.0 / (n - 1) as f64);
        let matches = |(t, &value): (usize, &f64)| (value / alpha.powf(t as f64) - 1.0).abs() < 1e-9;
        (self.0[0] == 1.0 && self.0.iter().enumerate().all(matches)).then_some(alpha)
    }
}

impl TryFrom<Vec<f64>> for Ratios {
    type Error = Error;

    fn try_from(chi: Vec<f64>) -> Result<Self> {
        Self::new(chi)
    }
}

impl From<Ratios> for Vec<f64> {
    fn from(ratios: Ratios) -> Self {
        ratios.0
    }
}

/// The map from gradients to iterates, up to the factor `-eta`: rates, momentum and weight decay.
///
/// The optimiser is `m <- momentum m + g; theta <- (1 - decay chi_t) theta - eta chi_t m`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Workload {
    ratios: Ratios,
    momentum: f64,
    decay: f64,
}

/// A workload as it lies in a file.
#[derive(Deserialize)]
struct Unchecked {
    ratios: Ratios,
    momentum: f64,
    decay: f64,
}

impl TryFrom<Unchecked> for Workload {
    type Error = Error;

    fn try_from(read: Unchecked) -> Result<Self> {
        Self::new(read.ratios).with_momentum(read.momentum)?.with_decay(read.decay)
    }
}

impl Workload {
    /// SGD with these rates: the matrix `A_chi`.
    pub fn new(ratios: Ratios) -> Self {
        Self { ratios, momentum: 0.0, decay: 0.0 }
    }

    /// With heavy-ball momentum, `m <- momentum m + g`. The normalised form differs by a constant factor only.
    ///
    /// # Errors
    /// [`Error::Value`] outside [0, 1).
    pub fn with_momentum(mut self, momentum: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::value("the momentum", momentum, "in [0, 1)"));
        }
        self.momentum = momentum;
        Ok(self)
    }

    /// With weight decay: step t multiplies the parameters by `1 - decay chi_t`; `decay` is the initial rate times the
    /// weight-decay factor.
    ///
    /// # Errors
    /// [`Error::Value`] when negative, or so large that `decay chi_t >= 1`.
    pub fn with_decay(mut self, decay: f64) -> Result<Self> {
        let largest = self.ratios.values().iter().fold(0.0f64, |a, &b| a.max(b));
        if !(decay >= 0.0 && decay * largest < 1.0) {
            return Err(Error::value("rate times weight decay", decay, "at least 0, and below 1 at every step"));
        }
        self.decay = decay;
        Ok(self)
    }

    /// The rate ratios.
    pub fn ratios(&self) -> &Ratios {
        &self.ratios
    }

    /// The number of steps n.
    pub fn steps(&self) -> usize {
        self.ratios.len()
    }

    /// The momentum.
    pub fn momentum(&self) -> f64 {
        self.momentum
    }

    /// The weight decay times the initial rate.
    pub fn decay(&self) -> f64 {
        self.decay
    }

    /// Whether it is `A_chi` alone, without momentum and decay.
    pub fn is_plain(&self) -> bool {
        self.momentum == 0.0 && self.decay == 0.0
    }

    /// The factor alpha of a workload whose column j is the first one shifted down by j, times alpha^j.
    ///
    /// So it is for exponential rates without decay, and for constant rates.
    pub fn shift_factor(&self) -> Option<f64> {
        if self.ratios.is_constant() {
            return Some(1.0);
        }
        if self.decay == 0.0 { self.ratios.exponential_factor() } else { None }
    }

    /// The product `A x`: the iterates for the gradients `-x`. A shorter x is continued with zeros.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let (mut velocity, mut state) = (0.0, 0.0);
        let step = |(t, chi): (usize, &f64)| {
            velocity = self.momentum * velocity + x.get(t).copied().unwrap_or(0.0);
            state = (1.0 - self.decay * chi) * state + chi * velocity;
            state
        };
        self.ratios.values().iter().enumerate().map(step).collect()
    }

    /// The product `A^T y` for y of length n.
    pub fn apply_transposed(&self, y: &[f64]) -> Vec<f64> {
        let (mut velocity, mut state) = (0.0, 0.0);
        let mut product = y.to_vec();
        for (value, chi) in product.iter_mut().zip(self.ratios.values()).rev() {
            state += *value;
            velocity = self.momentum * velocity + chi * state;
            state *= 1.0 - self.decay * chi;
            *value = velocity;
        }
        product
    }

    /// Walks over the rows of `A X` for a lower-triangular X given row by row, in O(n^2) time and O(n) memory.
    ///
    /// `row(m, out)` writes row m of X (`out` has length m+1); `visit(m, values)` gets row m of `A X` (length m+1).
    pub fn rows_times(&self, mut row: impl FnMut(usize, &mut [f64]), mut visit: impl FnMut(usize, &[f64])) {
        let n = self.steps();
        let (mut input, mut velocity, mut state) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for (m, &chi) in self.ratios.values().iter().enumerate() {
            row(m, &mut input[..=m]);
            let keep = 1.0 - self.decay * chi;
            for ((velocity, state), &input) in velocity.iter_mut().zip(&mut state).zip(&input[..=m]) {
                *velocity = self.momentum * *velocity + input;
                *state = keep * *state + chi * *velocity;
            }
            visit(m, &state[..=m]);
        }
    }

    /// The matrix A itself, row-major, n x n.
    pub fn matrix(&self) -> Vec<f64> {
        let n = self.steps();
        let mut matrix = vec![0.0; n * n];
        self.rows_times(
            |m, row| {
                row.fill(0.0);
                row[m] = 1.0;
            },
            |m, row| matrix[m * n..=m * n + m].copy_from_slice(row),
        );
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_workload_matches_the_small_case() {
        let workload = Workload::new(Ratios::exponential(4, 0.125).unwrap()).with_momentum(0.5).unwrap();
        let expected =
            [[1.0, 0.0, 0.0, 0.0], [1.25, 0.5, 0.0, 0.0], [1.3125, 0.625, 0.25, 0.0], [1.328125, 0.65625, 0.3125, 0.125]];
        for (found, expected) in workload.matrix().iter().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn decay_matches_the_optimiser_itself() {
        let ratios = Ratios::linear(7, 0.2).unwrap();
        let workload = Workload::new(ratios.clone()).with_momentum(0.7).unwrap().with_decay(0.3).unwrap();
        let gradients: Vec<f64> = (0..7).map(|t| (t as f64 * 1.7).sin()).collect();
        let (mut theta, mut m) = (0.0, 0.0);
        for (t, chi) in ratios.values().iter().enumerate() {
            m = 0.7 * m + gradients[t];
            theta = (1.0 - 0.3 * chi) * theta + chi * m;
            let row = &workload.matrix()[t * 7..(t + 1) * 7];
            let product: f64 = row.iter().zip(&gradients).map(|(a, g)| a * g).sum();
            assert!((product - theta).abs() < 1e-14);
        }
    }

    #[test]
    fn products_are_those_of_the_matrix() {
        let workload = Workload::new(Ratios::cosine(7, 0.2).unwrap()).with_momentum(0.7).unwrap().with_decay(0.3).unwrap();
        let matrix = workload.matrix();
        let x: Vec<f64> = (0..7).map(|t| (t as f64 * 1.7).sin()).collect();
        let (product, transposed) = (workload.apply(&x), workload.apply_transposed(&x));
        for i in 0..7 {
            let row: f64 = (0..7).map(|j| matrix[i * 7 + j] * x[j]).sum();
            let column: f64 = (0..7).map(|j| matrix[j * 7 + i] * x[j]).sum();
            assert!((product[i] - row).abs() < 1e-14 && (transposed[i] - column).abs() < 1e-14);
        }
        assert_eq!(workload.apply(&[1.0])[6], matrix[42]);
    }

    #[test]
    fn shifted_columns_are_found_where_they_are() {
        let exponential = Workload::new(Ratios::exponential(6, 0.2).unwrap()).with_momentum(0.5).unwrap();
        let constant = Workload::new(Ratios::new(vec![0.4; 6]).unwrap()).with_momentum(0.5).unwrap().with_decay(0.1).unwrap();
        for workload in [exponential.clone(), constant] {
            let (alpha, matrix) = (workload.shift_factor().unwrap(), workload.matrix());
            for (m, j) in (0..6).flat_map(|m| (0..=m).map(move |j| (m, j))) {
                assert!((matrix[m * 6 + j] - alpha.powi(j as i32) * matrix[(m - j) * 6]).abs() < 1e-14);
            }
        }
        assert_eq!(exponential.with_decay(0.1).unwrap().shift_factor(), None);
        assert_eq!(Workload::new(Ratios::linear(6, 0.5).unwrap()).shift_factor(), None);
    }

    #[test]
    fn bad_rates_are_refused_with_the_step() {
        for (chi, place) in [(vec![], "steps"), (vec![1.0, 0.0], "step 1"), (vec![f64::NAN], "step 0"), (vec![-1.0], "step 0")] {
            assert!(Ratios::new(chi).unwrap_err().to_string().contains(place));
        }
        for beta in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(Ratios::exponential(5, beta).unwrap_err().to_string().contains("(0, 1]"));
        }
        assert_eq!(Ratios::exponential(1, 0.3).unwrap().values(), [1.0]);
    }

    #[test]
    fn exponential_factor_is_found_only_where_it_is() {
        let alpha = Ratios::exponential(100, 0.25).unwrap().exponential_factor().unwrap();
        assert!((alpha - 0.986_094_612_259).abs() < 1e-12);
        assert!(Ratios::linear(100, 0.25).unwrap().exponential_factor().is_none());
        assert_eq!(Ratios::constant(9).unwrap().exponential_factor(), Some(1.0));
    }
}
