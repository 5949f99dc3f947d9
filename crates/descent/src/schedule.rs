//! Learning-rate schedules: values known before the run.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The ratio chi of a step's learning rate to the base rate, as a function of the step alone.
///
/// A schedule never looks at a loss, so that a privacy mechanism can read it before the first step. `end` is the ratio of the
/// last rate to the base rate, in (0, 1]; it is reached exactly at the last step. With s = t / (n - 1), t = 0 .. n - 1:
///
/// | schedule | written | chi |
/// |---|---|---|
/// | constant | `constant` | 1 |
/// | exponential | `exponential:END` | end^s |
/// | linear | `linear:END` | (1 - s) + end s |
/// | cosine | `cosine:END` | end + (1 - end)(1 + cos(pi s)) / 2 |
/// | polynomial | `polynomial:END` | end / (end + (1 - end) s) |
/// | step | `step:DROPS:END` | end^(j / drops), j = the number of drops so far, equally spaced |
/// | warm-up | `warmup:STEPS+REST` | (t + 1) / (steps + 1) for the first steps, then the rest, no warm-up, on the steps that remain |
/// | listed | `rates:R1,R2,..` | R_t / R_1, one rate a step |
///
/// ```
/// use thalweg_descent::Schedule;
///
/// let schedule: Schedule = "exponential:0.25".parse()?;
/// assert_eq!(schedule.ratios(3), [1.0, 0.5, 0.25]);
/// assert!("exponential:0".parse::<Schedule>().is_err());
/// # Ok::<(), thalweg_descent::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Schedule {
    /// The base rate throughout.
    #[default]
    Constant,
    /// A constant factor from step to step.
    Exponential {
        /// Last ratio.
        end: f64,
    },
    /// A straight line.
    Linear {
        /// Last ratio.
        end: f64,
    },
    /// Half a cosine wave.
    Cosine {
        /// Last ratio.
        end: f64,
    },
    /// The inverse of a straight line, as 1/t decay.
    Polynomial {
        /// Last ratio.
        end: f64,
    },
    /// A staircase of equal factors.
    Step {
        /// The number of drops, at least 1.
        drops: u64,
        /// Last ratio.
        end: f64,
    },
    /// A linear rise before another schedule.
    WarmUp {
        /// The steps of the rise.
        steps: u64,
        /// What follows.
        then: Box<Schedule>,
    },
    /// One ratio a step, the first of them 1.
    Listed {
        /// The ratios, each above 0.
        ratios: Arc<[f64]>,
    },
}

impl Schedule {
    /// A schedule of one's own: one rate a step, of which the ratios to the first count.
    ///
    /// # Errors
    /// [`Error::Input`] when there is none, or one is not a number above 0.
    pub fn listed(rates: &[f64]) -> Result<Self> {
        if let Some(at) = rates.iter().position(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return Err(Error::input(format!("rate {} of the schedule is {}; it must be a number above 0", at + 1, rates[at])));
        }
        let Some(first) = rates.first() else { return Err(Error::input("the schedule lists no rates")) };
        let ratios: Arc<[f64]> = rates.iter().map(|rate| rate / first).collect();
        match ratios.iter().find(|ratio| !(**ratio > 0.0 && ratio.is_finite())) {
            Some(ratio) => Err(Error::input(format!("the schedule's rates are too far apart: one is {ratio:e} times the first"))),
            None => Ok(Self::Listed { ratios }),
        }
    }

    /// The ratio of step `step` in a run of `steps`; past the end, the last ratio.
    pub fn ratio(&self, step: u64, steps: u64) -> f64 {
        let last = steps.saturating_sub(1);
        let s = if last == 0 { 0.0 } else { step.min(last) as f64 / last as f64 };
        match self {
            Self::Constant => 1.0,
            Self::Exponential { end } => end.powf(s),
            // Written so that the last ratio is `end` however small that is, as the two below.
            Self::Linear { end } => (1.0 - s) + end * s,
            Self::Cosine { end } => end + (1.0 - end) * (1.0 + (std::f64::consts::PI * s).cos()) / 2.0,
            Self::Polynomial { end } => end / (end + (1.0 - end) * s),
            Self::Step { drops, end } => {
                // A schedule need not be validated: more drops than steps must not overflow.
                let stair = u128::from(step.min(last)) * (u128::from(*drops) + 1) / u128::from(steps.max(1));
                end.powf(stair as f64 / *drops as f64)
            }
            Self::WarmUp { steps: rise, then } => {
                if step < *rise {
                    (step + 1) as f64 / rise.saturating_add(1) as f64
                } else {
                    then.ratio(step - rise, steps.saturating_sub(*rise))
                }
            }
            Self::Listed { ratios } => ratios[usize::try_from(step).unwrap_or(usize::MAX).min(ratios.len() - 1)],
        }
    }

    /// The ratios of all steps.
    pub fn ratios(&self, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| self.ratio(step, steps)).collect()
    }

    /// Checks the schedule's own numbers, and that it reaches its end within `steps`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the value.
    pub fn validate(&self, steps: u64) -> Result<()> {
        match self {
            Self::Constant => Ok(()),
            Self::Exponential { end } | Self::Linear { end } | Self::Cosine { end } | Self::Polynomial { end } => check_end(*end),
            Self::Step { drops, end } => {
                check_end(*end)?;
                if *drops == 0 || *drops >= steps {
                    return Err(Error::input(format!(
                        "schedule {self}: {drops} drops in {steps} steps; there must be at least 1 and fewer than steps"
                    )));
                }
                Ok(())
            }
            Self::WarmUp { steps: rise, then } => {
                if *rise >= steps {
                    return Err(Error::input(format!(
                        "schedule {self}: the warm-up takes {rise} of {steps} steps; it must leave at least one"
                    )));
                }
                if matches!(**then, Self::WarmUp { .. }) {
                    return Err(warm_up_twice());
                }
                then.validate(steps - rise)
            }
            Self::Listed { ratios } if ratios.len() as u64 == steps => Ok(()),
            Self::Listed { ratios } => {
                let rates = ratios.len();
                Err(Error::input(format!(
                    "the schedule lists {rates} rates and the run takes {steps} steps; list one rate a step"
                )))
            }
        }
    }
}

fn warm_up_twice() -> Error {
    Error::input("a warm-up follows a warm-up; give one, of all its steps")
}

fn check_end(end: f64) -> Result<()> {
    if end > 0.0 && end <= 1.0 {
        return Ok(());
    }
    Err(Error::input(format!("the schedule's end ratio is {end}; it must be above 0 and at most 1")))
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant => write!(f, "constant"),
            Self::Exponential { end } => write!(f, "exponential:{end}"),
            Self::Linear { end } => write!(f, "linear:{end}"),
            Self::Cosine { end } => write!(f, "cosine:{end}"),
            Self::Polynomial { end } => write!(f, "polynomial:{end}"),
            Self::Step { drops, end } => write!(f, "step:{drops}:{end}"),
            Self::WarmUp { steps, then } => write!(f, "warmup:{steps}+{then}"),
            Self::Listed { ratios } => {
                let ratios: Vec<String> = ratios.iter().map(f64::to_string).collect();
                write!(f, "rates:{}", ratios.join(","))
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("warmup:") {
            let (steps, then) = rest.split_once('+').ok_or_else(|| unknown(text))?;
            // Also a bound on the depth: a schedule is read, shown and dropped by recursion.
            if then.starts_with("warmup:") {
                return Err(warm_up_twice());
            }
            return Ok(Self::WarmUp { steps: number(text, steps)?, then: Box::new(then.parse()?) });
        }
        if let Some(rates) = text.strip_prefix("rates:") {
            let rates: Vec<f64> = rates.split(',').map(|rate| number(text, rate.trim())).collect::<Result<_>>()?;
            return Self::listed(&rates);
        }
        let parts: Vec<&str> = text.split(':').collect();
        let end = |part: &str| -> Result<f64> {
            let end = number(text, part)?;
            check_end(end)?;
            Ok(end)
        };
        match parts[..] {
            ["constant"] => Ok(Self::Constant),
            ["exponential", part] => Ok(Self::Exponential { end: end(part)? }),
            ["linear", part] => Ok(Self::Linear { end: end(part)? }),
            ["cosine", part] => Ok(Self::Cosine { end: end(part)? }),
            ["polynomial", part] => Ok(Self::Polynomial { end: end(part)? }),
            ["step", drops, part] => Ok(Self::Step { drops: number(text, drops)?, end: end(part)? }),
            _ => Err(unknown(text)),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

fn number<T: FromStr>(schedule: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::input(format!("schedule {schedule:?}: {text:?} is not a number of the right kind")))
}

fn unknown(text: &str) -> Error {
    Error::input(format!(
        "unknown schedule {text:?}; there are constant, exponential:END, linear:END, cosine:END, polynomial:END, \
         step:DROPS:END, warmup:STEPS+REST and rates:R1,R2,.., END being the ratio of the last rate to the first, such as 0.1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratios at the start, in the middle and at the end of five steps.
    #[track_caller]
    fn check(text: &str, expected: [f64; 5]) {
        let schedule: Schedule = text.parse().unwrap();
        schedule.validate(5).unwrap();
        for (found, expected) in schedule.ratios(5).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{text}: {:?}, expected {expected}", schedule.ratios(5));
        }
        assert_eq!(schedule.to_string(), text);
    }

    #[test]
    fn each_schedule_has_its_closed_form() {
        check("constant", [1.0; 5]);
        check("exponential:0.0625", [1.0, 0.5, 0.25, 0.125, 0.0625]);
        check("linear:0.2", [1.0, 0.8, 0.6, 0.4, 0.2]);
        let half = std::f64::consts::FRAC_1_SQRT_2 / 2.0;
        check("cosine:0.5", [1.0, 0.75 + half / 2.0, 0.75, 0.75 - half / 2.0, 0.5]);
        check("polynomial:0.2", [1.0, 0.5, 1.0 / 3.0, 0.25, 0.2]);
        check("step:4:0.0625", [1.0, 0.5, 0.25, 0.125, 0.0625]);
        check("step:1:0.1", [1.0, 1.0, 1.0, 0.1, 0.1]);
        check("warmup:2+linear:0.5", [1.0 / 3.0, 2.0 / 3.0, 1.0, 0.75, 0.5]);
        check("rates:1,2,0.1,0.3,0.25", [1.0, 2.0, 0.1, 0.3, 0.25]);
        assert_eq!("rates:4, 2,1".parse::<Schedule>().unwrap().to_string(), "rates:1,0.5,0.25");
    }

    #[test]
    fn every_schedule_ends_at_its_ratio_for_any_length() {
        for text in ["exponential:0.1", "linear:0.1", "cosine:0.1", "polynomial:0.1", "step:3:0.1", "warmup:3+cosine:0.1"] {
            let schedule: Schedule = text.parse().unwrap();
            for steps in [4, 5, 7, 100, 781] {
                let expected = if steps == 4 && text.starts_with("warmup") { 1.0 } else { 0.1 };
                let last = schedule.ratio(steps - 1, steps);
                assert!((last - expected).abs() < 1e-12, "{text} over {steps} steps ends at {last}");
            }
        }
        assert_eq!("exponential:0.1".parse::<Schedule>().unwrap().ratios(1), [1.0]);
    }

    #[test]
    fn the_smallest_end_is_reached_and_never_left_for_nan() {
        for end in [f64::MIN_POSITIVE, 5e-324] {
            for kind in ["exponential", "linear", "cosine", "polynomial", "step:2"] {
                let ratios = format!("{kind}:{end}").parse::<Schedule>().unwrap().ratios(5);
                assert!(ratios.iter().all(|ratio| *ratio > 0.0) && (ratios[0], ratios[4]) == (1.0, end), "{kind}: {ratios:?}");
            }
        }
    }

    #[test]
    fn bad_schedules_are_refused_with_the_value() {
        for (text, part) in [
            ("exponential:0", "0"),
            ("linear:-1", "-1"),
            ("cosine:NaN", "NaN"),
            ("polynomial:1.5", "1.5"),
            ("exponential", "unknown schedule"),
            ("sawtooth:1", "sawtooth"),
            ("step:x:0.1", "\"x\""),
            ("warmup:3", "warmup"),
            ("rates:", "\"\""),
            ("rates:1,0", "rate 2"),
            ("rates:1,inf", "inf"),
            ("rates:1e-300,1e300", "too far apart"),
            ("warmup:3+warmup:3+constant", "follows a warm-up"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("step:9:0.1".parse::<Schedule>().unwrap().validate(5).is_err());
        assert!("rates:1,1,1,1".parse::<Schedule>().unwrap().validate(5).unwrap_err().to_string().contains("4 rates"));
        assert!("warmup:5+constant".parse::<Schedule>().unwrap().validate(5).is_err());
    }
}
