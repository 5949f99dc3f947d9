//! A conserved quantity watched along a descent, with its predicted drift.

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Observe, Real, Record, Stateful, View};

use crate::conserved::Conserved;
use crate::error::{Error, Result};

/// How finely the run's numbers are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The run is in `f32`.
    Single,
    /// The run is in `f64`.
    Double,
}

impl Precision {
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            Self::Single => f64::from(f32::EPSILON),
            Self::Double => f64::EPSILON,
        }
    }
}

/// Watches a [`Conserved`] quantity: what it is, what theory says that it should be by now, and whether both agree to rounding.
///
/// The prediction is summed from the updates' own forms, never from their first-order effect: otherwise a wrong gradient would predict
/// its own drift. So it must see every step.
///
/// ```
/// use thalweg_probes::conserved::{Conserved, Part};
/// use thalweg_probes::monitor::{Monitor, Precision};
///
/// // The loss (p q - 1)^2 / 2 does not change under (c p, q / c).
/// let balance = Conserved::Balance { plus: vec![Part::new(0, 1, 1)], minus: vec![Part::new(1, 1, 1)] };
/// let mut theta = [2.0, 0.1];
/// let mut monitor = Monitor::new(balance, &theta, Precision::Double)?;
/// for _ in 0..100 {
///     let error = theta[0] * theta[1] - 1.0;
///     let gradient = [error * theta[1], error * theta[0]];
///     monitor.before_step(&theta, &gradient, 0.1);
///     theta = [theta[0] - 0.1 * gradient[0], theta[1] - 0.1 * gradient[1]];
/// }
/// let found = monitor.report(&theta)?;
/// assert!(found.drift[0].abs() > 1e-3 && found.agrees);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Monitor {
    quantity: Conserved,
    epsilon: f64,
    parameters: usize,
    start: Vec<f64>,
    predicted: Vec<f64>,
    defect: f64,
    /// `|theta|^2 + sum rate^2 |update|^2`: the size of the numbers whose rounding errors add up.
    size: f64,
    steps: u64,
}

/// What a monitor found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The quantity.
    pub value: Vec<f64>,
    /// The quantity less its start.
    pub drift: Vec<f64>,
    /// The drift that plain steps along true gradients would have made.
    pub predicted: Vec<f64>,
    /// The largest difference of both.
    pub residual: f64,
    /// How large rounding may make it: `64 eps (|theta|^2 + sum rate^2 |update|^2) sqrt(steps + 1)`.
    pub tolerance: f64,
    /// The largest form of parameters and update over the steps: 0 to rounding for true gradients.
    pub defect: f64,
    /// Whether drift and prediction agree to rounding.
    pub agrees: bool,
}

impl Monitor {
    /// Watches a quantity from the parameters at the start.
    ///
    /// # Errors
    /// [`Error::Value`] when the quantity does not fit the parameters.
    pub fn new(quantity: Conserved, start: &[f64], precision: Precision) -> Result<Self> {
        let value = quantity.value(start)?;
        let (predicted, size) = (vec![0.0; value.len()], start.iter().map(|value| value * value).sum());
        Ok(Self {
            quantity,
            epsilon: precision.epsilon(),
            parameters: start.len(),
            start: value,
            predicted,
            defect: 0.0,
            size,
            steps: 0,
        })
    }

    /// Notes a step `theta <- theta - rate update`.
    ///
    /// # Panics
    /// When parameters or update have another length than the start.
    pub fn before_step(&mut self, parameters: &[f64], update: &[f64], rate: f64) {
        let defect = self.quantity.defect(parameters, update);
        self.defect = defect.into_iter().map(f64::abs).fold(self.defect, f64::max);
        self.note(update, rate);
    }

    /// Notes a step `theta <- (1 - rate decay) theta - rate update`, which scales the quantity.
    ///
    /// # Errors
    /// [`Error::Value`] for a quantity about a centre other than 0, which decay does not scale.
    ///
    /// # Panics
    /// As [`before_step`](Self::before_step).
    pub fn before_decayed_step(&mut self, parameters: &[f64], update: &[f64], rate: f64, decay: f64) -> Result<()> {
        let Some(power) = self.quantity.power() else {
            let expected = "0: decay pulls towards 0 and this quantity has another centre";
            return Err(Error::value("the weight decay", decay, expected));
        };
        let kept = (1.0 - rate * decay).powi(power);
        for (predicted, start) in self.predicted.iter_mut().zip(&self.start) {
            *predicted = kept * (start + *predicted) - start;
        }
        self.before_step(parameters, update, rate);
        Ok(())
    }

    fn note(&mut self, update: &[f64], rate: f64) {
        assert_eq!(update.len(), self.parameters, "an update is as long as the parameters");
        for (predicted, form) in self.predicted.iter_mut().zip(self.quantity.of_update(update)) {
            *predicted += rate * rate * form;
        }
        self.size += rate * rate * update.iter().map(|value| value * value).sum::<f64>();
        self.steps += 1;
    }

    /// Measures the quantity and compares.
    ///
    /// # Errors
    /// [`Error::Value`] for parameters of another length.
    pub fn report(&self, parameters: &[f64]) -> Result<Report> {
        let value = self.quantity.value(parameters)?;
        let drift: Vec<f64> = value.iter().zip(&self.start).map(|(now, start)| now - start).collect();
        let gaps = drift.iter().zip(&self.predicted).map(|(drift, predicted)| (drift - predicted).abs());
        let residual = gaps.fold(0.0, |worst: f64, gap| if gap.is_nan() { f64::NAN } else { worst.max(gap) });
        let tolerance = 64.0 * self.epsilon * self.size * ((self.steps + 1) as f64).sqrt();
        let (predicted, defect) = (self.predicted.clone(), self.defect);
        Ok(Report { value, drift, predicted, residual, tolerance, defect, agrees: residual <= tolerance })
    }
}

impl Stateful for Monitor {
    fn save(&self) -> Vec<u8> {
        encode(&(&self.predicted, self.defect, self.size, self.steps))
    }

    fn restore(&mut self, state: &[u8]) -> thalweg_descent::Result<()> {
        (self.predicted, self.defect, self.size, self.steps) = decode("monitor", state)?;
        Ok(())
    }
}

/// Writes `conserved.drift` and `conserved.predicted` (the entries of the largest residual), `conserved.residual` and
/// `conserved.agrees`, after every step that it is shown.
impl<F: Real> Observe<F> for Monitor {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> thalweg_descent::Result<()> {
        let update: Vec<f64> = view.update.iter().map(|value| value.to_f64()).collect();
        self.note(&update, view.rate);
        let parameters: Vec<f64> = view.parameters.iter().map(|value| value.to_f64()).collect();
        let found =
            self.report(&parameters).map_err(|error| thalweg_descent::Error::piece("watching a conserved quantity", error))?;
        let gap = |at: &usize| (found.drift[*at] - found.predicted[*at]).abs();
        let worst = (0..found.drift.len()).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0);
        let at_worst = |values: &[f64]| values.get(worst).copied().unwrap_or(0.0);
        record.put_number("conserved.drift", at_worst(&found.drift));
        record.put_number("conserved.predicted", at_worst(&found.predicted));
        record.put_number("conserved.residual", found.residual);
        record.put("conserved.agrees", found.agrees);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conserved::Part;

    /// Two linear layers A (2 x 2) and B (2 x 3) that learn a matrix; the gradient of half the squared error.
    fn gradient(theta: &[f64]) -> Vec<f64> {
        let (a, b) = theta.split_at(4);
        let target = [1.0, -0.5, 0.2, 0.3, 0.8, -1.0];
        let error = |i: usize, j: usize| a[2 * i] * b[j] + a[2 * i + 1] * b[3 + j] - target[3 * i + j];
        let of_a = (0..4).map(|at| (0..3).map(|j| error(at / 2, j) * b[3 * (at % 2) + j]).sum());
        let of_b = (0..6).map(|at| (0..2).map(|i| error(i, at % 3) * a[2 * i + at / 3]).sum());
        of_a.chain(of_b).collect()
    }

    fn quantity() -> Conserved {
        Conserved::Product { left: Part::new(0, 2, 2), right: Part::new(4, 2, 3) }
    }

    const START: [f64; 10] = [0.5, -0.3, 0.8, 0.1, 0.2, 0.7, -0.4, 0.6, -0.1, 0.3];

    /// Descends with a way to make an update of a gradient, and a weight decay.
    fn descend(steps: usize, decay: f64, mut update: impl FnMut(Vec<f64>) -> Vec<f64>) -> Report {
        let (mut theta, rate) = (START.to_vec(), 0.1);
        let mut monitor = Monitor::new(quantity(), &theta, Precision::Double).unwrap();
        for _ in 0..steps {
            let update = update(gradient(&theta));
            monitor.before_decayed_step(&theta, &update, rate, decay).unwrap();
            theta.iter_mut().zip(&update).for_each(|(theta, update)| *theta = (1.0 - rate * decay) * *theta - rate * update);
        }
        monitor.report(&theta).unwrap()
    }

    #[test]
    fn plain_descent_drifts_as_predicted() {
        let found = descend(200, 0.0, |gradient| gradient);
        assert!(found.agrees && found.residual < 1e-14 && found.defect < 1e-14, "{found:?}");
        assert!(found.drift.iter().any(|drift| drift.abs() > 1e-2));
    }

    #[test]
    fn a_gradient_wrong_by_a_hundredth_is_found_in_ten_steps() {
        let found = descend(10, 0.0, |mut gradient| {
            gradient[..4].iter_mut().for_each(|entry| *entry *= 1.01);
            gradient
        });
        assert!(!found.agrees && found.residual > 100.0 * found.tolerance && found.defect > 1e-5, "{found:?}");
    }

    #[test]
    fn momentum_is_found() {
        let mut velocity = vec![0.0; 10];
        let found = descend(10, 0.0, |gradient| {
            velocity.iter_mut().zip(&gradient).for_each(|(velocity, gradient)| *velocity = 0.9 * *velocity + gradient);
            velocity.clone()
        });
        assert!(!found.agrees, "{found:?}");
    }

    #[test]
    fn weight_decay_scales_the_quantity() {
        let found = descend(200, 0.05, |gradient| gradient);
        assert!(found.agrees, "{found:?}");
        let sphere = Conserved::Sphere { entries: 0..2, centre: vec![0.0, 1.0] };
        let mut monitor = Monitor::new(sphere, &[0.0, 0.0], Precision::Double).unwrap();
        let refused = monitor.before_decayed_step(&[0.0, 0.0], &[0.0, 0.0], 0.1, 0.1).unwrap_err();
        assert!(refused.to_string().contains("weight decay"));
    }

    #[test]
    fn values_that_are_no_numbers_never_agree() {
        let monitor = Monitor::new(quantity(), &START, Precision::Double).unwrap();
        assert!(!monitor.report(&[f64::NAN; 10]).unwrap().agrees);
        assert!(monitor.report(&[0.0; 3]).is_err());
        assert!(Monitor::new(quantity(), &[0.0; 3], Precision::Double).is_err());
    }

    #[test]
    fn a_descent_in_single_precision_agrees_at_its_own_tolerance() {
        let mut theta: Vec<f32> = START.map(|value| value as f32).to_vec();
        let wide = |theta: &[f32]| theta.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let mut monitor = Monitor::new(quantity(), &wide(&theta), Precision::Single).unwrap();
        for _ in 0..200 {
            let update: Vec<f32> = gradient(&wide(&theta)).into_iter().map(|value| value as f32).collect();
            monitor.before_step(&wide(&theta), &wide(&update), 0.1);
            theta.iter_mut().zip(&update).for_each(|(theta, update)| *theta -= 0.1 * update);
        }
        let found = monitor.report(&wide(&theta)).unwrap();
        assert!(found.agrees && found.residual > 1e-12, "{found:?}");
    }
}
