//! Gradient flows in time: Dormand and Prince's explicit Runge-Kutta method of order 8.
//!
//! The steps come from the crate `differential-equations`. Its interpolated outputs lose three digits, so [`solve`] lands a step
//! on every requested time instead.

use std::cell::Cell;

use differential_equations::error::Error as SolverError;
use differential_equations::methods::ExplicitRungeKutta;
use differential_equations::ode::{ODE, OrdinaryNumericalMethod};
use differential_equations::status::Status;

use crate::error::{Error, Result};

/// How exactly a flow is followed: a step's error is kept below `absolute + relative |y|`, in the mean over the unknowns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    relative: f64,
    absolute: f64,
    most_steps: usize,
}

impl Tolerance {
    /// Below this a relative tolerance asks for more than `f64` holds.
    pub const LEAST_RELATIVE: f64 = 1e-14;

    /// A tolerance, with an absolute one of a hundredth of the relative one.
    ///
    /// # Errors
    /// [`Error::Value`] unless 1e-14 <= relative < 1: below that, rounding decides and not the method.
    pub fn new(relative: f64) -> Result<Self> {
        if (Self::LEAST_RELATIVE..1.0).contains(&relative) {
            return Ok(Self { relative, absolute: relative / 100.0, ..Self::default() });
        }
        Err(Error::value("the relative tolerance of the flow", relative, "in [1e-14, 1); below that rounding decides"))
    }

    /// With at most that many steps.
    pub fn with_most_steps(self, most_steps: usize) -> Self {
        Self { most_steps, ..self }
    }
}

impl Default for Tolerance {
    /// 1e-11 relative, 1e-13 absolute, 200 000 steps.
    fn default() -> Self {
        Self { relative: 1e-11, absolute: 1e-13, most_steps: 200_000 }
    }
}

/// The states of a flow at the requested times.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// The times, as requested.
    pub times: Vec<f64>,
    /// One state for each time.
    pub states: Vec<Vec<f64>>,
    /// How often the right-hand side was evaluated.
    pub evaluations: usize,
}

impl Trajectory {
    /// The state at the last time.
    pub fn last(&self) -> &[f64] {
        self.states.last().expect("a trajectory has at least its start")
    }
}

/// Follows `dy/dt = rhs(y)` from `start` at `times[0]` through all `times`. The right-hand side writes the derivative of its first
/// argument into its second.
///
/// ```
/// use thalweg_dynamics::ode::{self, Tolerance};
///
/// // A pendulum of small swing, over one period.
/// let swing = |y: &[f64], dy: &mut [f64]| (dy[0], dy[1]) = (y[1], -y[0]);
/// let path = ode::solve(swing, &[1.0, 0.0], &[0.0, std::f64::consts::TAU], &Tolerance::default())?;
/// assert!((path.last()[0] - 1.0).abs() < 1e-10);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] when a start is not finite or times do not increase; [`Error::Flow`] when the flow cannot be continued.
pub fn solve(rhs: impl Fn(&[f64], &mut [f64]), start: &[f64], times: &[f64], tolerance: &Tolerance) -> Result<Trajectory> {
    check(start, times)?;
    let mut path = Trajectory { times: times.to_vec(), states: vec![start.to_vec()], evaluations: 0 };
    let (Some(&first), Some(&end)) = (times.first(), times.last()) else { unreachable!("checked above") };
    if times.len() == 1 || start.is_empty() {
        path.states = vec![start.to_vec(); times.len()];
        return Ok(path);
    }
    let flow = Flow { rhs, broken_at: Cell::new(f64::INFINITY) };
    let mut method =
        ExplicitRungeKutta::dop853().rtol(tolerance.relative).atol(tolerance.absolute).max_steps(tolerance.most_steps);
    path.evaluations += method.init(&flow, first, end, &start.to_vec()).map_err(|error| flow.failure(&error))?.function;
    for &time in &times[1..] {
        path.evaluations += reach(time, &flow, &mut method)?;
        path.states.push(method.y().clone());
    }
    Ok(path)
}

/// Steps until `time`; the last step is shortened to end there. Returns the number of evaluations.
fn reach<F, M>(time: f64, flow: &Flow<F>, method: &mut M) -> Result<usize>
where
    F: Fn(&[f64], &mut [f64]),
    M: OrdinaryNumericalMethod<f64, Vec<f64>>,
{
    let mut evaluations = 0;
    let rounding = 4.0 * f64::EPSILON * time.abs();
    while time - method.t() > rounding {
        let own = method.h();
        let shortened = method.t() + own >= time - rounding;
        if shortened {
            method.set_h(time - method.t());
        }
        match method.step(flow) {
            Ok(counts) => evaluations += counts.function,
            // The flow is only stiff: it is followed in as many steps as stability asks for.
            Err(SolverError::Stiffness { t, y }) => {
                evaluations += method.init(flow, t, t + 2.0 * own.abs(), &y).map_err(|error| flow.failure(&error))?.function;
                method.set_h(own);
                continue;
            }
            Err(error) => return Err(flow.failure(&error)),
        }
        let accepted = !matches!(method.status(), Status::RejectedStep);
        if accepted && method.y().iter().any(|value| !value.is_finite()) {
            return Err(Error::flow(method.t(), "a value is no longer finite"));
        }
        if accepted && shortened {
            method.set_h(own);
        }
    }
    Ok(evaluations)
}

fn check(start: &[f64], times: &[f64]) -> Result<()> {
    if let Some(at) = start.iter().position(|value| !value.is_finite()) {
        return Err(Error::value(format!("unknown {at} at the start of the flow"), start[at], "finite"));
    }
    if times.is_empty() || times.iter().any(|time| !time.is_finite()) {
        return Err(Error::value("the times of the flow", format!("{times:?}"), "one or more finite numbers"));
    }
    match times.windows(2).position(|pair| pair[1] <= pair[0]) {
        Some(at) => Err(Error::value(format!("time {} of the flow", at + 1), times[at + 1], format!("above {}", times[at]))),
        None => Ok(()),
    }
}

/// A right-hand side that notes where it first stopped being finite.
struct Flow<F> {
    rhs: F,
    broken_at: Cell<f64>,
}

impl<F: Fn(&[f64], &mut [f64])> Flow<F> {
    fn failure(&self, error: &SolverError<f64, Vec<f64>>) -> Error {
        let broken = self.broken_at.get();
        let near = |t: f64| broken.is_finite() && broken <= t + 1e-3 * t.abs().max(1.0);
        match error {
            SolverError::MaxSteps { t, .. } | SolverError::StepSize { t, .. } if near(*t) => {
                Error::flow(broken, "the right-hand side is not finite")
            }
            SolverError::MaxSteps { t, .. } => Error::flow(*t, "the steps allowed are used up: end earlier, or allow more"),
            SolverError::StepSize { t, .. } => Error::flow(*t, "no step is short enough: the flow leaves every bound there"),
            SolverError::BadInput { msg } => Error::flow(0.0, msg),
            _ => Error::flow(0.0, "the solver failed"),
        }
    }
}

impl<F: Fn(&[f64], &mut [f64])> ODE<f64, Vec<f64>> for Flow<F> {
    fn diff(&self, t: f64, y: &Vec<f64>, dydt: &mut Vec<f64>) {
        (self.rhs)(y, dydt);
        if dydt.iter().any(|value| !value.is_finite()) {
            self.broken_at.set(self.broken_at.get().min(t));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oscillator_error(relative: f64) -> f64 {
        let swing = |y: &[f64], dy: &mut [f64]| (dy[0], dy[1]) = (y[1], -y[0]);
        let times: Vec<f64> = (0..=40).map(f64::from).collect();
        let path = solve(swing, &[1.0, 0.0], &times, &Tolerance::new(relative).unwrap()).unwrap();
        path.times.iter().zip(&path.states).map(|(t, y)| (y[0] - t.cos()).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn tighter_tolerances_come_closer() {
        let errors = [1e-5, 1e-7, 1e-9, 1e-11].map(oscillator_error);
        assert!(errors.windows(2).all(|pair| pair[1] < pair[0] / 10.0), "{errors:?}");
        assert!(errors[3] < 1e-9, "{errors:?}");
    }

    #[test]
    fn a_stiff_flow_is_followed_to_its_end() {
        // Rates 1 and 1000: a thousand steps and more are kept short by stability alone.
        let stiff = |y: &[f64], dy: &mut [f64]| (dy[0], dy[1]) = (-y[0], -1000.0 * y[1]);
        let path = solve(stiff, &[1.0, 1.0], &[0.0, 20.0], &Tolerance::default()).unwrap();
        assert!((path.last()[0] - (-20.0f64).exp()).abs() < 1e-12);
        assert!(path.last()[1].abs() < 1e-10);
    }

    #[test]
    fn a_pole_is_an_error_with_its_time() {
        let pole = |y: &[f64], dy: &mut [f64]| dy[0] = y[0] * y[0];
        let error = solve(pole, &[1.0], &[0.0, 2.0], &Tolerance::default()).unwrap_err();
        assert!(matches!(error, Error::Flow { time, .. } if (time - 1.0).abs() < 1e-3), "{error}");
    }

    #[test]
    fn a_broken_right_hand_side_is_named() {
        let broken = |y: &[f64], dy: &mut [f64]| dy[0] = if y[0] > 0.5 { f64::NAN } else { 1.0 };
        let error = solve(broken, &[0.0], &[0.0, 2.0], &Tolerance::default().with_most_steps(5000)).unwrap_err();
        assert!(error.to_string().contains("right-hand side is not finite"), "{error}");
    }

    #[test]
    fn bad_input_is_refused() {
        let still = |_: &[f64], dy: &mut [f64]| dy.fill(0.0);
        let ok = Tolerance::default();
        assert!(solve(still, &[f64::NAN], &[0.0, 1.0], &ok).is_err());
        assert!(solve(still, &[1.0], &[], &ok).is_err());
        assert!(solve(still, &[1.0], &[0.0, 1.0, 1.0], &ok).unwrap_err().to_string().contains("time 2"));
        assert!(solve(still, &[1.0], &[0.0, f64::INFINITY], &ok).is_err());
        assert!(Tolerance::new(1e-15).is_err() && Tolerance::new(1.0).is_err() && Tolerance::new(f64::NAN).is_err());
        assert_eq!(solve(still, &[1.0], &[3.0], &ok).unwrap().last(), [1.0]);
        assert_eq!(solve(still, &[], &[0.0, 1.0], &ok).unwrap().states, [[], []] as [[f64; 0]; 2]);
        assert_eq!(solve(still, &[2.0], &[0.0, 1e6], &ok).unwrap().last(), [2.0]);
    }
}
