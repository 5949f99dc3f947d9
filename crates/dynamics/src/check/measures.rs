//! Vector files of measurements on any run.

use std::collections::BTreeMap;

use faer::Mat;
use serde::Deserialize;
use serde_json::Value;
use thalweg_probes::autocorrelation::{autocorrelation, curvature};
use thalweg_probes::{RankRule, spectrum, subspace, svd};

use super::{Row, Sheet, read};
use crate::error::{Error, Result};
use crate::matrix;

#[derive(Deserialize)]
struct File {
    tol: f64,
    matrices: BTreeMap<String, Table>,
    subspace: Vec<Subspace>,
    principal_angles: Vec<Angles>,
    autocorr: Autocorrelation,
}

#[derive(Deserialize)]
struct Table {
    values: Vec<Vec<f64>>,
    singular_values: Vec<f64>,
    erank: Vec<f64>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct Subspace {
    M_t: String,
    M_inf: String,
    rank: Option<usize>,
    relative: f64,
    absolute: Option<f64>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct Angles {
    A: String,
    B: String,
    k: usize,
    angles: Vec<f64>,
}

#[derive(Deserialize)]
#[allow(non_snake_case, reason = "the names of the file")]
struct Autocorrelation {
    max_lag: usize,
    A: Vec<f64>,
    curvature: Vec<f64>,
}

/// Both sides of a distance keep singular values above this share of the largest.
const SUBSPACE_RULE: RankRule = RankRule::Relative(1e-10);

pub(super) fn check(name: &str, value: Value) -> Result<Vec<Row>> {
    let file: File = read(name, value)?;
    let mut sheet = Sheet::new(name);
    let mut tables: BTreeMap<&str, Mat<f64>> = BTreeMap::new();
    for (label, table) in &file.matrices {
        sheet.case(name, label);
        let columns = table.values.first().map_or(0, Vec::len);
        let found = matrix::from_rows(label, &table.values.concat(), table.values.len(), columns)?;
        sheet.all_near("singular values", &table.singular_values, &svd::singular_values(found.as_ref())?, file.tol);
        for (dropped, expected) in table.erank.iter().enumerate() {
            let rank = spectrum::effective_rank(found.as_ref(), RankRule::DOUBLE, dropped)?;
            sheet.near(&format!("effective rank without the first {dropped}"), *expected, rank.value, file.tol);
        }
        tables.insert(label, found);
    }
    let table = |label: &str| {
        tables.get(label).ok_or_else(|| Error::value("a matrix", format!("{label:?}"), "one of the file's matrices"))
    };
    for case in &file.subspace {
        let rule = case.rank.map_or(SUBSPACE_RULE, RankRule::Fixed);
        sheet.case(name, &format!("{} to {} by {rule:?}", case.M_t, case.M_inf));
        let found = subspace::distance(table(&case.M_t)?.as_ref(), table(&case.M_inf)?.as_ref(), rule)?;
        sheet.near("relative distance", case.relative, found.relative, file.tol);
        if let Some(absolute) = case.absolute {
            sheet.near("distance", absolute, found.absolute, file.tol);
        }
    }
    for case in &file.principal_angles {
        sheet.case(name, &format!("{} and {}", case.A, case.B));
        let found = subspace::principal_angles(table(&case.A)?.as_ref(), table(&case.B)?.as_ref(), RankRule::Fixed(case.k))?;
        sheet.all_near("principal angles", &case.angles, &found, file.tol);
    }
    sheet.case(name, "1 / (1 + 0.1 t)");
    let series: Vec<f64> = (0..50).map(|t| 1.0 / (1.0 + 0.1 * f64::from(t))).collect();
    let found = autocorrelation(&series, file.autocorr.max_lag)?;
    sheet.all_near("autocorrelation", &file.autocorr.A, &found, file.tol);
    sheet.all_near("curvature of the autocorrelation", &file.autocorr.curvature, &curvature(&found), file.tol);
    Ok(sheet.rows)
}
