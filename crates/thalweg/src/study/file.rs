//! The study file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result};
use toml::{Table, Value};

use crate::study::{Claim, Rule};

/// A study as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Names its folder in the store.
    pub name: String,
    /// A headline.
    pub title: String,
    /// Who claims it.
    pub source: String,
    /// Why it cannot be tested on this kind of machine; then there are no cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_testable_here: Option<String>,
    /// How verdicts are reached.
    pub rule: Rule,
    /// What is claimed.
    #[serde(default, rename = "claim")]
    pub claims: Vec<Claim>,
    /// The seeds that decide.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// A value tuned for each setting apart, on other seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// The configuration that all cells share.
    #[serde(default)]
    pub base: Table,
    /// What each setting changes in it.
    #[serde(default, rename = "setting")]
    pub settings: Vec<Setting>,
}

/// One arm of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// As the rule names it.
    pub name: String,
    /// Dotted keys and their values, such as `"privacy.mechanism" = "lr-root"`.
    #[serde(default)]
    pub change: Table,
}

/// A value chosen for each setting by its mean quantity over the tuning seeds, which take no part in the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The dotted key.
    pub key: String,
    /// The values tried.
    pub values: Vec<Value>,
    /// The seeds for choosing; none of the deciding ones.
    pub seeds: Vec<u64>,
    /// What else changes in the tuning runs, such as `"data.validation" = 5000`, so that no value is chosen on the test examples.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub change: Table,
}

impl StudyFile {
    /// Reads a study.
    ///
    /// # Errors
    /// [`Error::Input`] with file, line and what would be right.
    pub fn read(path: &Path) -> Result<(Self, String)> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        let study = Self::parse(&text, &path.display().to_string())?;
        Ok((study, text))
    }

    /// Reads a study from text; `source` names it in errors.
    ///
    /// # Errors
    /// [`Error::Input`] with line, key and what would be right.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        let in_source = |reason: &dyn std::fmt::Display| Error::input(format!("{source}: {}", reason.to_string().trim_end()));
        let study: Self = toml::from_str(text).map_err(|error| in_source(&error))?;
        study.validate().map_err(|reason| in_source(&reason))?;
        Ok(study)
    }

    fn validate(&self) -> Result<(), String> {
        self.rule.validate()?;
        if self.claims.is_empty() {
            return Err("there is no [[claim]]; a study puts at least one to the test".to_owned());
        }
        self.claims.iter().try_for_each(Claim::validate)?;
        if self.not_testable_here.is_some() {
            return Ok(());
        }
        for name in self.claims.iter().flat_map(|claim| [&claim.better, &claim.than]) {
            if !self.settings.iter().any(|setting| setting.name == *name) {
                let names: Vec<&str> = self.settings.iter().map(|setting| setting.name.as_str()).collect();
                return Err(format!("claim: there is no setting {name:?}; there are {names:?}"));
            }
        }
        if self.seeds.is_empty() {
            return Err("seeds = []; name at least one seed, and at least rule.least_seeds for a verdict".to_owned());
        }
        if let Some(seed) = repeated(&self.seeds) {
            return Err(format!("seeds: {seed} is there twice; a repeated run is no new evidence"));
        }
        let Some(tuning) = &self.tuning else { return Ok(()) };
        if tuning.values.is_empty() || tuning.seeds.is_empty() {
            return Err("tuning: give at least one value and one seed".to_owned());
        }
        match tuning.seeds.iter().find(|seed| self.seeds.contains(seed)) {
            Some(seed) => Err(format!("tuning.seeds: seed {seed} also decides; what was tuned on it cannot be judged by it")),
            None => Ok(()),
        }
    }
}

fn repeated(seeds: &[u64]) -> Option<u64> {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
