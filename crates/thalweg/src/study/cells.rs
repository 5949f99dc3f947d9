//! The cells of a study: one run for each setting, tuned value and seed.

use std::str::FromStr;

use thalweg_descent::{Error, Result};
use toml::{Table, Value};

use crate::study::StudyFile;

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its name in the study's store.
    pub id: String,
    /// The setting's name.
    pub setting: String,
    /// The number of the tuned value; 0 without tuning.
    pub value: usize,
    /// The seed.
    pub seed: u64,
    /// The configuration, before defaults.
    pub config: Table,
}

/// The part `index` of `count` of the cells, for one of several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All cells.
    pub const ALL: Self = Self { index: 1, count: 1 };

    /// Whether the cell of that place belongs to the shard.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// `i/n`, i from 1 to n.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(Error::input(format!("shard {text:?}; write i/n with i from 1 to n, such as 2/8"))),
        }
    }
}

/// The keys that a cell's seed goes to: a study is repeatable, its noise too, and so protects nobody.
const SEED_KEYS: [&str; 2] = ["training.seed", "privacy.insecure_seed"];

impl StudyFile {
    /// All cells, in a fixed order. Of those of a deciding seed only one for each setting is run, with the value that tuning chose.
    ///
    /// # Errors
    /// [`Error::Input`] when a dotted key leads through something that is no table.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        if self.not_testable_here.is_some() {
            return Ok(Vec::new());
        }
        let tuned: Vec<Option<&Value>> = match &self.tuning {
            Some(tuning) => tuning.values.iter().map(Some).collect(),
            None => vec![None],
        };
        let tuning_seeds = self.tuning.iter().flat_map(|tuning| &tuning.seeds);
        let seeds: Vec<u64> = tuning_seeds.chain(&self.seeds).copied().collect();
        let mut cells = Vec::new();
        // The tuning seeds first; seed by seed, so that an interrupted study has whole seeds.
        for &seed in &seeds {
            for setting in &self.settings {
                for (value, tuned) in tuned.iter().enumerate() {
                    cells.push(self.cell(&setting.name, &setting.change, value, *tuned, seed)?);
                }
            }
        }
        Ok(cells)
    }

    /// Whether runs of that seed choose the tuned values.
    pub(crate) fn tunes(&self, seed: u64) -> bool {
        self.tuning.as_ref().is_some_and(|tuning| tuning.seeds.contains(&seed))
    }

    fn cell(&self, setting: &str, change: &Table, value: usize, tuned: Option<&Value>, seed: u64) -> Result<Cell> {
        let mut config = self.base.clone();
        for (key, changed) in change {
            set(&mut config, key, changed.clone())?;
        }
        if let (Some(tuning), Some(tuned)) = (&self.tuning, tuned) {
            set(&mut config, &tuning.key, tuned.clone())?;
            let more = tuning.change.iter().filter(|_| self.tunes(seed));
            more.into_iter().try_for_each(|(key, changed)| set(&mut config, key, changed.clone()))?;
        }
        let toml_seed = i64::try_from(seed).map_err(|_| Error::input(format!("seed {seed} is too large for TOML")))?;
        for key in SEED_KEYS {
            set(&mut config, key, Value::Integer(toml_seed))?;
        }
        let id = match self.tuning {
            Some(_) => format!("{setting}.{value}.{seed}"),
            None => format!("{setting}.{seed}"),
        };
        Ok(Cell { id, setting: setting.to_owned(), value, seed, config })
    }
}

/// Sets a dotted key.
fn set(config: &mut Table, key: &str, value: Value) -> Result<()> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or(key);
    let mut table = config;
    for part in parts {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| Error::input(format!("key {key:?}: {part:?} is no table")))?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUDY: &str = r#"
        name = "s"
        title = "t"
        source = "x"
        seeds = [1, 2]
        [rule]
        quantity = "test.accuracy"
        confidence = 0.95
        least_seeds = 2
        [[claim]]
        says = "c"
        better = "a"
        than = "b"
        threshold = 0.0
        [tuning]
        key = "training.rate"
        values = [0.5, 1.0]
        seeds = [9]
        change = { "data.validation" = 300 }
        [base.training]
        epochs = 1
        [[setting]]
        name = "a"
        change = { "privacy.mechanism" = "lr-root" }
        [[setting]]
        name = "b"
    "#;

    #[test]
    fn cells_are_all_combinations_and_shards_divide_them() {
        let cells = StudyFile::parse(STUDY, "s.toml").unwrap().cells().unwrap();
        assert_eq!(cells.len(), 3 * 2 * 2);
        let names: std::collections::BTreeSet<&str> = cells.iter().map(|cell| cell.id.as_str()).collect();
        assert_eq!(names.len(), cells.len());
        let cell = cells.iter().find(|cell| cell.id == "a.1.9").unwrap();
        assert_eq!(cell.config["training"]["rate"].as_float(), Some(1.0));
        assert_eq!(cell.config["training"]["seed"].as_integer(), Some(9));
        assert_eq!(cell.config["training"]["epochs"].as_integer(), Some(1));
        assert_eq!(cell.config["privacy"]["mechanism"].as_str(), Some("lr-root"));
        for cell in &cells {
            let validation = cell.config.get("data").and_then(|data| data.get("validation"));
            assert_eq!(validation.is_some(), cell.seed == 9, "{}: only tuning looks at held-out examples", cell.id);
        }
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        assert!((0..cells.len()).all(|place| shards.iter().filter(|shard| shard.has(place)).count() == 1));
    }

    #[test]
    fn wrong_studies_and_shards_are_refused_with_the_reason() {
        for (from, to, part) in [
            ("seeds = [1, 2]", "seeds = [1, 1]", "twice"),
            ("seeds = [1, 2]", "seeds = []", "at least one seed"),
            ("seeds = [9]", "seeds = [1]", "also decides"),
            ("better = \"a\"", "better = \"z\"", "\"z\""),
            ("better = \"a\"", "better = \"b\"", "itself"),
            ("confidence = 0.95", "confidence = 95", "confidence"),
            ("threshold = 0.0", "threshold = nan", "threshold"),
            ("least_seeds = 2", "least_seeds = 1", "least_seeds"),
            ("least_seeds = 2", "least_seeds = 2\nsimultaneous = \"scheffe\"", "bonferroni"),
            ("says = \"c\"", "said = \"c\"", "said"),
            ("[[claim]]", "[[claims]]", "claims"),
        ] {
            let error = StudyFile::parse(&STUDY.replacen(from, to, 1), "s.toml").unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("s.toml"), "{error}");
        }
        for text in ["0/3", "4/3", "1", "a/b", "1/0", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        let through = StudyFile::parse(&STUDY.replace("training.rate", "training.epochs.x"), "s.toml").unwrap();
        assert!(through.cells().unwrap_err().to_string().contains("no table"));
    }

    #[test]
    fn every_study_of_the_house_is_whole() {
        let studies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
        let files: Vec<_> = std::fs::read_dir(studies).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5);
        for path in files {
            let (study, _) = StudyFile::read(&path).unwrap();
            assert_eq!(path.file_stem().unwrap().to_str(), Some(study.name.as_str()));
            for cell in study.cells().unwrap() {
                let config = crate::compose::TrainingConfig::parse(&cell.config.to_string(), &cell.id).unwrap();
                config.validate().unwrap();
            }
        }
    }
}
