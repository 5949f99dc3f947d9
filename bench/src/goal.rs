//! What is to be reached, and whether it is.

use serde::Serialize;

use crate::clock::median;
use crate::comparison::{Comparison, Row, Spread};
use crate::measurement::EventLogSpeed;

/// A goal, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What is measured.
    pub name: String,
    /// What must hold.
    pub bound: Bound,
    /// The rounds.
    pub measured: Spread,
    /// Whether the median is within the bound.
    pub met: bool,
}

/// A bound on a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Not above.
    AtMost(f64),
    /// Below.
    Under(f64),
    /// Not below.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::Under(bound) => value < bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl Goal {
    fn new(name: impl Into<String>, bound: Bound, measured: Spread) -> Self {
        Self { name: name.into(), bound, measured, met: bound.holds(measured.median) }
    }
}

/// All goals whose sides were both measured.
pub fn goals(comparison: &Comparison) -> Vec<Goal> {
    let private =
        ["mlp", "cnn3", "resnet", "transformer"].into_iter().filter_map(|task| private_goals(comparison, task)).flatten();
    let steps = private.chain(plain_goal(comparison)).chain(loop_goals(comparison));
    let steps = steps.chain(vote_goals(comparison)).chain(dynamics_goals(comparison));
    steps.chain(mathematics_goals(comparison)).chain(event_log_goals(&comparison.event_log)).collect()
}

/// CPU time against the peer's faster mode, memory against its leaner one.
fn private_goals(comparison: &Comparison, task: &str) -> Option<[Goal; 2]> {
    let ours = comparison.row("thalweg", task, "private")?;
    let peers = [comparison.row("pytorch", task, "hooks")?, comparison.row("pytorch", task, "ghost")?];
    let least = |value: fn(&Row) -> f64| if value(peers[0]) < value(peers[1]) { peers[0] } else { peers[1] };
    let (faster, leaner) = (least(|row| median(&row.cpu_ms)), least(|row| median(&row.peak_mib)));
    Some([
        Goal::new(
            format!("{task}, private step: CPU time, ratio to Opacus {}", faster.mode),
            Bound::AtMost(1.0),
            Spread::of_ratios(&ours.cpu_ms, &faster.cpu_ms),
        ),
        Goal::new(
            format!("{task}, private step: peak memory, ratio to Opacus {}", leaner.mode),
            Bound::AtMost(0.2),
            Spread::of_ratios(&ours.peak_mib, &leaner.peak_mib),
        ),
    ])
}

fn plain_goal(comparison: &Comparison) -> Option<Goal> {
    let ours = comparison.row("thalweg", "cnn", "adamw")?;
    let theirs = comparison.row("pytorch", "cnn", "adamw")?;
    let ratio = Spread::of_ratios(&ours.cpu_ms, &theirs.cpu_ms);
    Some(Goal::new("cnn, plain AdamW step: CPU time, ratio to PyTorch", Bound::AtMost(1.5), ratio))
}

/// The loop's share, measured in the step itself and around an objective that costs nothing.
fn loop_goals(comparison: &Comparison) -> Vec<Goal> {
    let share = |mode, step, name: &str| {
        let part = comparison.row("thalweg", "mlp", mode)?;
        let whole = comparison.row("thalweg", "mlp", step)?;
        Some(Goal::new(name, Bound::Under(0.02), Spread::of_ratios(&part.cpu_ms, &whole.cpu_ms)))
    };
    [
        share("loop", "private", "mlp, the loop's share of the clipped, noised step"),
        share("loop", "plain-logged", "mlp, the loop's share of a plain step, within training"),
        share("loop-alone", "plain-logged", "mlp, the loop's share of a plain step, around a free objective"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Account, optimised strategy and noise of private training: the time, and what came out.
fn mathematics_goals(comparison: &Comparison) -> Vec<Goal> {
    let time = |task: &str, peer: &str, bound: f64| {
        let (ours, theirs) = (comparison.row("thalweg", task, "alone")?, comparison.row(peer, task, "alone")?);
        let ratio = Spread::of_ratios(&ours.cpu_ms, &theirs.cpu_ms);
        Some(Goal::new(format!("{task}: CPU time, ratio to {peer}"), Bound::AtMost(bound), ratio))
    };
    let value = |task: &str, peer: &str, what: &str, bound: f64| {
        let (ours, theirs) = (comparison.row("thalweg", task, "alone")?, comparison.row(peer, task, "alone")?);
        let ratio = Spread::of_ratios(&ours.values, &theirs.values);
        Some(Goal::new(format!("{task}: {what}, ratio to {peer}"), Bound::AtMost(bound), ratio))
    };
    let limit = || {
        let [noise, gaussian, ring] = ["alone", "gaussian", "ring"].map(|mode| comparison.row("thalweg", "noise", mode));
        let (noise, gaussian, ring) = (noise?, gaussian?, ring?);
        let larger: Vec<f64> = gaussian.cpu_ms.iter().zip(&ring.cpu_ms).map(|(a, b)| a.max(*b)).collect();
        let ratio = Spread::of_ratios(&noise.cpu_ms, &larger);
        Some(Goal::new("noise: CPU time, ratio to the larger limit of this machine", Bound::AtMost(2.0), ratio))
    };
    let on_two = || {
        let [ours, theirs] = ["thalweg", "jax-privacy"].map(|engine| comparison.row(engine, "noise", "2-threads"));
        let ratio = Spread::of_ratios(&ours?.wall_ms, &theirs?.wall_ms);
        Some(Goal::new("noise: time on two threads, ratio to jax-privacy", Bound::AtMost(0.5), ratio))
    };
    [
        time("account", "dp-accounting", 0.1),
        value("account", "dp-accounting", "epsilon", 1.005),
        time("account-4", "dp-accounting", 0.1),
        value("account-4", "dp-accounting", "epsilon", 1.005),
        time("optimise", "jax-privacy", 0.2),
        value("optimise", "jax-privacy", "error", 1.0),
        time("noise", "jax-privacy", 0.5),
        on_two(),
        limit(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A vote against the peers that add what nobody may see, by user; over loopback against in process; and what a user uploads.
fn vote_goals(comparison: &Comparison) -> Vec<Goal> {
    let time = |name: &str, task: &str, [mode, peer, peers_mode]: [&str; 3], bound: f64| {
        let ours = comparison.row("thalweg", task, mode)?;
        let theirs = comparison.row(peer, task, peers_mode)?;
        Some(Goal::new(name, Bound::AtMost(bound), Spread::of_ratios(&ours.cpu_ms, &theirs.cpu_ms)))
    };
    let bits = |name: &str, mode: &str, bound: f64| {
        let row = comparison.row("thalweg", "vote-traffic", mode)?;
        Some(Goal::new(format!("vote, bits up for a user and coordinate: {name}"), Bound::AtMost(bound), Spread::of(&row.values)))
    };
    let flower = ["oneround", "flower", "secagg+"];
    [
        time("vote of 24 on 7,850: CPU time, ratio to Flower SecAgg+", "vote-7850", flower, 0.1),
        time("vote of 24 on 1,000,000: CPU time, ratio to Flower SecAgg+", "vote-1000000", flower, 0.1),
        time("vote of 24 on 1,000,000: CPU time, ratio to Prio3SumVec", "vote-1000000", ["oneround", "prio", "sumvec"], 0.2),
        time(
            "vote of 100 on 1,000,000: CPU time over loopback with TLS, ratio to in process",
            "vote-100x1000000",
            ["loopback", "thalweg", "in-process"],
            3.0,
        ),
        bits("openings in groups of 3, as published", "openings-beaver-3-bits", 12.0),
        bits("openings in groups of 3, packed", "openings-beaver-3-packed", 12.0),
        bits("one round of 24, with the share of the result", "oneround-packed", 10.0),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The labs of exact dynamics: CPU time on one thread, time on the wall on two.
fn dynamics_goals(comparison: &Comparison) -> Vec<Goal> {
    let goal = |task: &str, peer: &str, mode: &str, what: &str, time: fn(&Row) -> &[f64], bound: f64| {
        let (ours, theirs) = (comparison.row("thalweg", task, mode)?, comparison.row(peer, task, mode)?);
        let name = format!("{task}: {what}, ratio to {peer}");
        Some(Goal::new(name, Bound::AtMost(bound), Spread::of_ratios(time(ours), time(theirs))))
    };
    let alone = |task, peer, bound| goal(task, peer, "alone", "CPU time", |row| &row.cpu_ms, bound);
    let on_two = |task, peer, bound| goal(task, peer, "2-threads", "time on two threads", |row| &row.wall_ms, bound);
    [
        alone("icl", "jax", 1.0),
        on_two("icl", "jax", 1.0),
        alone("icl", "numpy", 0.2),
        alone("deq", "numpy", 0.1),
        alone("relu", "pytorch", 1.0),
        on_two("relu", "pytorch", 1.0),
        alone("features", "numpy", 0.1),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn event_log_goals(rounds: &[EventLogSpeed]) -> Vec<Goal> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let spread = |value: &dyn Fn(&EventLogSpeed) -> f64| Spread::of(&rounds.iter().map(value).collect::<Vec<_>>());
    let speed = Goal::new("event log: events a second on the wall", Bound::AtLeast(1e5), spread(&|log| log.per_second));
    let shares = first.runs.iter().enumerate().map(|(at, run)| {
        let name = format!("event log: share of a run of {}, an event every {} steps", run.task, run.log_every);
        Goal::new(name, Bound::Under(0.01), spread(&|log| log.runs[at].share))
    });
    std::iter::once(speed).chain(shares).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::tests::line;

    #[test]
    fn the_faster_and_the_leaner_mode_are_chosen_apart() {
        let lines = line("pytorch", "mlp", "hooks", &[30.0], 500.0)
            + &line("pytorch", "mlp", "ghost", &[20.0], 800.0)
            + &line("thalweg", "mlp", "private", &[25.0], 90.0);
        let goals = goals(&Comparison::from_lines(&lines).unwrap());
        let [time, memory] = &goals[..] else { panic!("{goals:?}") };
        assert!(time.name.contains("ghost") && time.measured.median == 1.25 && !time.met, "{time:?}");
        assert!(memory.name.contains("hooks") && memory.measured.median == 0.18 && memory.met, "{memory:?}");
    }

    #[test]
    fn noise_is_judged_by_the_larger_limit() {
        let lines = line("thalweg", "noise", "alone", &[300.0], 9.0)
            + &line("thalweg", "noise", "gaussian", &[100.0], 9.0)
            + &line("thalweg", "noise", "ring", &[200.0], 9.0);
        let goals = goals(&Comparison::from_lines(&lines).unwrap());
        let [limit] = &goals[..] else { panic!("{goals:?}") };
        assert!(limit.measured.median == 1.5 && limit.met, "{limit:?}");
    }

    #[test]
    fn votes_are_judged_by_time_and_by_bits() {
        let lines = line("thalweg", "vote-7850", "oneround", &[1.0], 9.0)
            + &line("flower", "vote-7850", "secagg+", &[8.0], 9.0)
            + &line("thalweg", "vote-100x1000000", "in-process", &[10.0], 9.0)
            + &line("thalweg", "vote-100x1000000", "loopback", &[25.0], 9.0);
        let goals = goals(&Comparison::from_lines(&lines).unwrap());
        let [peer, network] = &goals[..] else { panic!("{goals:?}") };
        assert!(peer.measured.median == 0.125 && !peer.met, "{peer:?}");
        assert!(network.measured.median == 2.5 && network.met, "{network:?}");
    }

    #[test]
    fn two_threads_are_judged_on_the_wall() {
        let lines = line("thalweg", "relu", "2-threads", &[50.0], 9.0) + &line("pytorch", "relu", "2-threads", &[100.0], 9.0);
        let goals = goals(&Comparison::from_lines(&lines).unwrap());
        let [relu] = &goals[..] else { panic!("{goals:?}") };
        assert!(relu.measured.median == 0.5 && relu.met && relu.name.contains("two threads"), "{relu:?}");
    }

    #[test]
    fn what_was_not_measured_is_not_judged_and_nan_meets_nothing() {
        assert_eq!(goals(&Comparison::default()), []);
        for bound in [Bound::AtMost(1.0), Bound::Under(1.0), Bound::AtLeast(1.0)] {
            assert!(!bound.holds(f64::NAN), "{bound:?}");
        }
        assert!(Bound::AtMost(1.0).holds(1.0) && !Bound::Under(1.0).holds(1.0) && Bound::AtLeast(1.0).holds(1.0));
    }
}
