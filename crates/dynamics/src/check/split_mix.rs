//! The generator in which vector files write their random arrays.

use serde::Deserialize;
use serde_json::Value;

use super::{Row, Sheet, read};
use crate::error::{Error, Result};

/// Steele, Lea and Flood's SplitMix64 (2014). For reference runs alone: others draw from the named streams of their seed.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number in [0, 1), of 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * 2f64.powi(-53)
    }

    /// The next normal number: Box and Muller's cosine of two draws; the sine is dropped.
    pub fn normal(&mut self) -> f64 {
        let first = 1.0 - self.uniform();
        let second = self.uniform();
        (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos()
    }

    /// The next normal numbers.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }
}

#[derive(Deserialize)]
struct File {
    tol: Tolerances,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Tolerances {
    uniform: f64,
    normal: f64,
}

#[derive(Deserialize)]
struct Case {
    seed: u64,
    u64: Vec<String>,
    uniform: Vec<f64>,
    normal: Vec<f64>,
}

pub(super) fn check(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: File = read(name, value)?;
    let mut sheet = Sheet::new(name);
    for case in &file.cases {
        sheet.case(name, &format!("seed {}", case.seed));
        let stream = || SplitMix64::new(case.seed);
        let mut bits = stream();
        let parsed =
            |text: &String| text.parse::<u64>().map_err(|_| Error::value("an entry of \"u64\"", text, "a 64-bit number"));
        let expected = case.u64.iter().map(parsed).collect::<Result<Vec<u64>>>()?;
        let same = expected.iter().all(|&expected| bits.next_u64() == expected);
        sheet.same("64-bit numbers are the same", true, same);
        let mut uniform = stream();
        let measured: Vec<f64> = case.uniform.iter().map(|_| uniform.uniform()).collect();
        sheet.all_near("uniform numbers", &case.uniform, &measured, file.tol.uniform);
        let mut normal = stream();
        sheet.all_near("normal numbers", &case.normal, &normal.normals(case.normal.len()), file.tol.normal);
    }
    Ok(sheet.rows)
}
