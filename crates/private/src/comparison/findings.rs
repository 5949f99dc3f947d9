//! What a comparison says in words, each sentence from its own numbers.

use super::{Comparison, Evaluated};
use crate::evaluation::Objective;
use crate::strategy::Name;

impl Comparison {
    /// The errors of a mechanism, where it is there and was not left out.
    pub fn of(&self, name: Name) -> Option<&Evaluated> {
        self.mechanisms.iter().find(|entry| entry.name == name)?.evaluated()
    }

    /// What is worth knowing before one is chosen: whether the learning-rate-aware root pays here, what optimising gains, which
    /// mechanisms keep every past step, and how far the recommended one is from what none can beat.
    pub fn findings(&self) -> Vec<String> {
        let findings = [self.aware_root(), self.optimised(), self.unbounded_memory(), self.above_the_bound()];
        findings.into_iter().flatten().collect()
    }

    fn aware_root(&self) -> Option<String> {
        let (aware, plain) = (self.of(Name::LrRoot)?, self.of(Name::PrefixRoot)?);
        let (max, mean) = (change(aware.max_se, plain.max_se), change(aware.mean_se, plain.mean_se));
        let verdict = match (aware.max_se < plain.max_se, aware.mean_se < plain.mean_se) {
            _ if aware.max_se == plain.max_se && aware.mean_se == plain.mean_se => return None,
            (true, true) => "it is the better of the two in both errors",
            (true, false) => "it pays where the worst iterate counts, not on average",
            (false, true) => "it pays on average, not where the worst iterate counts",
            (false, false) => "it does not pay here",
        };
        Some(format!("Against prefix-root, lr-root changes MaxSE by {max} and MeanSE by {mean}: {verdict}."))
    }

    fn optimised(&self) -> Option<String> {
        let error = |name| self.of(name).map(|found| found.get(self.objective));
        let (optimised, closed) = (error(Name::Bandinvmf)?, error(Name::Bisr)?.min(error(Name::LrBisr)?));
        let bands = |name| self.of(name).map(|found| found.memory_vectors + 1);
        let measure = measure(self.objective);
        let (change, bands) = (change(optimised, closed), bands(Name::Bandinvmf)?);
        Some(format!(
            "Optimising changes the {measure} of the better of bisr and lr-bisr by {change}: bandinvmf, with p = {bands}."
        ))
    }

    /// Only where that hurts: from about as many steps on as a banded mechanism would keep.
    fn unbounded_memory(&self) -> Option<String> {
        const MANY: usize = 128;
        let full = |found: &Evaluated| found.memory_vectors + 1 >= self.steps;
        let names =
            self.mechanisms.iter().filter(|entry| entry.evaluated().is_some_and(full)).map(|entry| entry.name.to_string());
        let names: Vec<String> = names.collect();
        (self.steps >= MANY && !names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("These keep or draw again the noise of every past step, so that step t costs t vectors: {names}.")
        })
    }

    fn above_the_bound(&self) -> Option<String> {
        let (bound, name) = (self.lower_bound?, self.recommended?);
        let above = 100.0 * (self.of(name)?.mean_se / bound - 1.0);
        Some(format!(
            "The MeanSE of {name} is {above:.1} % above the lower bound, which no mechanism passes and none need reach."
        ))
    }
}

fn measure(objective: Objective) -> &'static str {
    match objective {
        Objective::Mean => "MeanSE",
        Objective::Max => "MaxSE",
    }
}

fn change(new: f64, old: f64) -> String {
    format!("{:+.1} %", 100.0 * (new / old - 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::{CompareOptions, compare};
    use crate::pattern::Pattern;
    use crate::workload::{Ratios, Workload};

    fn findings(steps: usize, beta: f64, pattern: Pattern) -> String {
        let workload = Workload::new(Ratios::exponential(steps, beta).unwrap());
        let options = CompareOptions { bands: Some(4), ..CompareOptions::default() };
        compare(&workload, pattern, &options).unwrap().findings().join("\n")
    }

    #[test]
    fn the_aware_root_wins_both_errors_under_mild_decay_and_one_under_strong() {
        // Golden: 2.235395/2.336711 and 2.091095/2.109010; 1.921814/2.146344 and 1.640086/1.590768.
        let mild = findings(256, 0.5, Pattern::Single);
        assert!(mild.contains("MaxSE by -4.3 % and MeanSE by -0.8 %: it is the better"), "{mild}");
        let strong = findings(256, 0.1, Pattern::Single);
        assert!(strong.contains("MaxSE by -10.5 % and MeanSE by +3.1 %: it pays where the worst"), "{strong}");
        assert!(!findings(256, 1.0, Pattern::Single).contains("lr-root changes"));
    }

    #[test]
    fn optimising_and_memory_are_told() {
        // Golden: at most 5.8694 against 10.82476; a sharper sensitivity finds 5.79.
        let found = findings(512, 0.1, Pattern::separated(64, 8).unwrap());
        assert!(found.contains("by -46.5 %: bandinvmf, with p = 4"), "{found}");
        assert!(found.contains("every past step") && found.contains("prefix-root") && found.contains("lower bound"), "{found}");
        assert!(!findings(64, 0.1, Pattern::Single).contains("every past step"));
    }
}
