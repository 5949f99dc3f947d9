//! Where theory has a line across a grid of parameters.

use serde::Serialize;

use super::lab::Lab;
use super::sweep::Sweep;

/// A line that theory draws over a sweep's grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TheoryLine {
    /// What it says.
    pub says: &'static str,
    /// Values of x and y on it.
    pub points: Vec<[f64; 2]>,
    /// The same in places of the grid: (0, 0) is the first of both.
    #[serde(skip)]
    pub places: Vec<(f64, f64)>,
}

/// A lab's parameters by their names.
type Named<'a> = dyn Fn(&str) -> f64 + 'a;

/// A claim that holds on one side of the line.
struct Claim {
    says: &'static str,
    holds: fn(&Named<'_>) -> bool,
}

const FEATURES: [Claim; 2] = [
    Claim {
        says: "n snr^q = 1: signal is learned above, without privacy (order only)",
        holds: |of| of("n") * of("snr").powf(of("power")) >= 1.0,
    },
    Claim {
        says: "epsilon = snr^(1-q) / n: noise stays memorised above (order only)",
        holds: |of| of("epsilon") >= of("snr").powf(1.0 - of("power")) / of("n"),
    },
];

const ICL: [Claim; 1] =
    [Claim { says: "cut-off: with shorter contexts the weakest mode is never learned", holds: weakest_is_learned }];

const DEQ: [Claim; 1] = [Claim {
    says: "radius^2 = eta E[x^2] (1 + target^2)^2: inside, no minimum is stable",
    holds: |of| of("radius").powi(2) >= of("eta") * of("moment") * (1.0 + of("target").powi(2)).powi(2),
}];

const RELU: [Claim; 1] =
    [Claim { says: "eta = 4 / (5 depth): the theorem asks for no more", holds: |of| of("eta") <= 0.8 / of("depth") }];

/// With all modes active the cut-off over N is `sum_b sqrt(s_b) / (N + 1 + d)`; the weakest mode is the first to fall below it.
fn weakest_is_learned(of: &Named<'_>) -> bool {
    let modes = of("modes");
    let weaker = of("condition").powf(-1.0 / (modes - 1.0).max(1.0));
    // In units of the largest variance.
    let strengths = (0..modes as usize).map(|mode| weaker.powi(mode as i32).sqrt());
    let weakest = weaker.powf(modes - 1.0).sqrt();
    (of("context") + 1.0 + modes) * weakest > strengths.sum::<f64>()
}

/// Steps from one place of the grid to the next in which a line is sought.
const STEPS: usize = 8;

impl Sweep {
    /// The lines of theory over the grid; none where theory says nothing of these axes.
    pub fn theory(&self) -> Vec<TheoryLine> {
        let claims: &[Claim] = match self.lab() {
            Lab::Features => &FEATURES,
            Lab::Icl => &ICL,
            Lab::Deq => &DEQ,
            Lab::Relu => &RELU,
        };
        claims.iter().filter_map(|claim| self.line(claim)).collect()
    }

    /// Where a claim begins to hold, sought along one axis and then along the other; the better line of both.
    fn line(&self, claim: &Claim) -> Option<TheoryLine> {
        let (x, y) = (&self.grid().x, &self.grid().y);
        let holds = |column: f64, row: f64| {
            let value = |name: &str| match name {
                name if name == x.name => x.at(column),
                name if name == y.name => y.at(row),
                name => self.value(name),
            };
            (claim.holds)(&value)
        };
        let [columns, rows] = [x, y].map(|axis| axis.values.len());
        let upwards = along(columns).filter_map(|column| Some((column, change(rows, |row| holds(column, row))?)));
        let sideways = along(rows).filter_map(|row| Some((change(columns, |column| holds(column, row))?, row)));
        let (upwards, sideways): (Vec<_>, Vec<_>) = (upwards.collect(), sideways.collect());
        // A share of the lines that were tried, so that the axis with more places has no advantage.
        let share = |found: &[(f64, f64)], places: usize| found.len() as f64 / along(places).count() as f64;
        let places = if share(&upwards, columns) >= share(&sideways, rows) { upwards } else { sideways };
        let points = places.iter().map(|(column, row)| [x.at(*column), y.at(*row)]).collect();
        (places.len() > 1).then_some(TheoryLine { says: claim.says, points, places })
    }

    fn value(&self, name: &str) -> f64 {
        let default = self.lab().defaults().iter().find(|(known, _)| *known == name).map(|(_, default)| *default);
        self.fixed().get(name).copied().or(default).unwrap_or(f64::NAN)
    }
}

fn along(places: usize) -> impl Iterator<Item = f64> {
    (0..=(places.max(1) - 1) * STEPS).map(|step| step as f64 / STEPS as f64)
}

/// The first place at which a claim begins or ends to hold.
fn change(places: usize, holds: impl Fn(f64) -> bool) -> Option<f64> {
    let steps: Vec<f64> = along(places).collect();
    let pair = steps.windows(2).find(|pair| holds(pair[0]) != holds(pair[1]))?;
    let (mut low, mut high, at_low) = (pair[0], pair[1], holds(pair[0]));
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if holds(middle) == at_low {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::phase::{Grid, Parameters};

    fn sweep(folder: &std::path::Path, lab: Lab, x: &str, y: &str) -> Sweep {
        Sweep::open(lab, Parameters::new(), Grid::new(x.parse().unwrap(), y.parse().unwrap(), 1).unwrap(), folder).unwrap()
    }

    fn line(lab: Lab, x: &str, y: &str) -> Vec<TheoryLine> {
        sweep(tempfile::tempdir().unwrap().path(), lab, x, y).theory()
    }

    /// The lab computes the cut-off by an active set.
    #[test]
    fn the_cut_off_is_where_the_lab_loses_its_weakest_mode() {
        for (context, condition) in [(2.0, 2.0), (8.0, 32.0), (9.0, 32.0), (30.0, 512.0), (60.0, 512.0), (5.0, 8.0)] {
            let given = [("context", context), ("condition", condition)].map(|(name, value)| (name.to_owned(), value));
            let given: Parameters = given.into();
            let never = Lab::Icl.run(&given, 0).unwrap()["never_learned"];
            let of = |name: &str| match name {
                "modes" => 4.0,
                name => given[name],
            };
            assert_eq!(weakest_is_learned(&of), never == 0.0, "{context} {condition}: {never}");
        }
    }

    #[test]
    fn lines_lie_where_their_formulas_say() {
        let [learned, memorised] = &line(Lab::Features, "snr=0.01,0.1,1", "epsilon=1,2,4,inf")[..] else { panic!("two lines") };
        // n^(-1/3) at any epsilon.
        assert!(learned.points.iter().all(|[snr, _]| (snr - 500f64.powf(-1.0 / 3.0)).abs() < 1e-9), "{learned:?}");
        assert_eq!(learned.points.len(), 25);
        assert!(memorised.points.iter().all(|[snr, epsilon]| (epsilon * snr * snr * 500.0 - 1.0).abs() < 1e-9), "{memorised:?}");
        let [stable] = &line(Lab::Deq, "eta=0.003,0.01,0.03,0.1", "radius=0.1,0.3,1")[..] else { panic!("one line") };
        assert!(stable.points.iter().all(|[eta, radius]| (radius * radius / (eta * 25.0 / 3.0) - 1.0).abs() < 1e-9));
        let [rate] = &line(Lab::Relu, "eta=0.1,0.3,1", "depth=1,2,3")[..] else { panic!("one line") };
        assert!(rate.points.iter().all(|[eta, depth]| (eta * depth - 0.8).abs() < 1e-9), "{rate:?}");
    }

    #[test]
    fn other_axes_have_no_line() {
        assert!(line(Lab::Relu, "points=8,16", "width=64,128").is_empty());
        assert!(line(Lab::Deq, "steps=10,20", "radius=5,6").is_empty());
        // Both sides are on the grid, but on one row there is no line to draw.
        assert!(line(Lab::Features, "snr=0.01,1", "clip=1").is_empty());
    }
}
