//! Schedules on the command line.

use std::path::Path;

use thalweg::descent::{Error, Result, Schedule};

/// What `--schedule` accepts: a schedule's usual spelling, or `file:PATH` of rates.
pub(crate) fn schedule(text: &str) -> Result<Schedule> {
    match text.strip_prefix("file:") {
        Some(path) => of_file(Path::new(path)),
        None => text.parse(),
    }
}

/// Rates in the order of the steps, separated by commas or white space; a `#` begins a remark.
fn of_file(path: &Path) -> Result<Schedule> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Error::input(format!("{name}: {error}")))?;
    let mut rates = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let numbers = line.split('#').next().unwrap_or_default();
        for word in numbers.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
            let rate = word.parse::<f64>().map_err(|_| Error::input(format!("{name}, line {}: {word:?} is no rate", at + 1)))?;
            rates.push(rate);
        }
    }
    Schedule::listed(&rates).map_err(|error| Error::input(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_a_file_and_bad_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rates.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            schedule(&format!("file:{}", path.display()))
        };
        assert_eq!(read("0.4, 0.2\n# a remark\n0.1 0.05\n").unwrap(), "rates:1,0.5,0.25,0.125".parse().unwrap());
        for (text, part) in [("1\n2 x\n", "line 2"), ("", "no rates"), ("1\n-1\n", "rate 2"), ("1 0", "above 0")] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("rates.txt"), "{error}");
        }
        assert!(schedule("file:/nowhere/rates").unwrap_err().to_string().contains("/nowhere/rates"));
        assert_eq!(schedule("linear:0.5").unwrap(), "linear:0.5".parse().unwrap());
    }
}
