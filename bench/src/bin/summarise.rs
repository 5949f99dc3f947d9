//! Compares what both sides measured.
//!
//! ```text
//! summarise MEASUREMENTS.jsonl RESULTS.json README.md
//! ```
//!
//! Reads lines of JSON, prints the tables, writes them to the second argument as JSON and into the third below the line
//! `<!-- results -->`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;

use thalweg_bench::comparison::Comparison;
use thalweg_bench::goal::goals;
use thalweg_bench::page::page;
use thalweg_descent::store::write_atomically;

const MARK: &str = "<!-- results -->\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [measurements, results, readme] =
        arguments.try_into().map_err(|_| "usage: summarise MEASUREMENTS.jsonl RESULTS.json README.md")?;
    let comparison = Comparison::from_lines(&std::fs::read_to_string(measurements)?)?;
    let page = page(&comparison);
    println!("{page}");
    let json = serde_json::json!({ "goals": goals(&comparison), "comparison": comparison });
    write_atomically(Path::new(&results), (serde_json::to_string_pretty(&json)? + "\n").as_bytes())?;
    let text = std::fs::read_to_string(&readme)?;
    let (story, _) = text.split_once(MARK).ok_or_else(|| format!("{readme} has no line {MARK:?}"))?;
    write_atomically(Path::new(&readme), format!("{story}{MARK}\n{page}").as_bytes())?;
    Ok(())
}
