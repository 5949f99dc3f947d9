//! What the probes of a run wrote.

use thalweg_descent::{Record, Result};
use thalweg_report::format::significant;
use thalweg_report::{Axis, Column, Figure, Line, NumberFormat, Section, Table, XyChart};

use crate::compose::{ProbeConfig, ProbeName, TrainingConfig};
use crate::pages::drawing;
use crate::pages::series::over_steps;

/// Lines that a chart tells apart.
const LINES: usize = 6;

/// Invariants that are drawn; all are in the table.
const DRAWN: usize = 4;

type Series = Vec<(f64, f64)>;

/// One section for each kind of probe that wrote something, and one that lays them over the training curve.
pub(super) fn sections(config: &TrainingConfig, records: &[Record]) -> Result<Vec<Section>> {
    let probe = &config.probe;
    let mut sections = Vec::new();
    for name in &probe.names {
        sections.extend(match name {
            ProbeName::Invariants => invariants(records)?,
            ProbeName::Spectra => spectra(probe, records)?,
            ProbeName::Subspaces => subspaces(probe, records)?,
            ProbeName::Autocorrelation => autocorrelation(probe, records)?,
            ProbeName::NoiseScale => noise_scale(probe, records)?,
            ProbeName::Margins => margins(probe, records)?,
            // Drawn over the training curve.
            ProbeName::Seen => None,
        });
    }
    if let Some(section) = over_the_curve(records)? {
        sections.insert(0, section);
    }
    Ok(sections)
}

/// The names between a prefix and a suffix among the quantities of the records, in the order in which they were written.
fn names(records: &[Record], prefix: &str, suffix: &str) -> Vec<String> {
    let name = |key: &String| Some(key.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned());
    let of = |record: &Record| record.as_json().keys().filter_map(name).collect::<Vec<_>>();
    records.iter().map(of).find(|names| !names.is_empty()).unwrap_or_default()
}

/// A quantity of every matrix over the steps, with the matrix's name.
fn of_matrices(records: &[Record], prefix: &str, suffix: &str) -> Vec<(String, Series)> {
    let series = |name: String| {
        let found = over_steps(records, &format!("{prefix}{name}{suffix}"));
        (name, found)
    };
    names(records, prefix, suffix).into_iter().map(series).collect()
}

/// Charts of many lines, as many to a chart as can be told apart.
fn charts(mut section: Section, title: &str, label: &str, lines: &[(String, Series)]) -> Result<Section> {
    for (at, lines) in lines.chunks(LINES).enumerate() {
        let chart = XyChart::new(Axis::new("step"), Axis::new(label));
        let chart = lines.iter().fold(chart, |chart, (name, series)| chart.line(Line::new(name.clone(), series.clone())));
        let title = if at == 0 { title.to_owned() } else { format!("{title}, continued") };
        section = section.figure(drawing(Figure::xy(title, &chart))?);
    }
    Ok(section)
}

fn spectra(probe: &ProbeConfig, records: &[Record]) -> Result<Option<Section>> {
    let ranks = of_matrices(records, "spectrum.", ".effective_rank");
    if ranks.is_empty() {
        return Ok(None);
    }
    let section = Section::new("Spectra").prose(format!(
        "The effective rank is the exponential of the entropy of a matrix's singular values: how many directions it uses. The marginal \
         one leaves out the {} largest. Singular values count by the rule {}, before any is left out.",
        probe.drop, probe.rank
    ));
    let section = charts(section, "Effective rank", "effective rank", &ranks)?;
    let marginal = of_matrices(records, "spectrum.", ".marginal_rank");
    charts(section, "Marginal effective rank", "effective rank of the rest", &marginal).map(Some)
}

fn subspaces(probe: &ProbeConfig, records: &[Record]) -> Result<Option<Section>> {
    let distances = of_matrices(records, "subspace.", ".distance");
    if distances.is_empty() {
        return Ok(None);
    }
    let target = match &probe.target {
        Some(path) => path.display().to_string(),
        None => "this run's start".to_owned(),
    };
    let vacuous = names(records, "subspace.", ".vacuous");
    let mut section = Section::new("Subspaces").prose(format!(
        "How much of a target matrix lies outside of the row space of the present one, as a share of the target. The targets are the \
         matrices of {target}; a row space is spanned by the singular vectors that count by the rule {}.",
        probe.subspace_rank
    ));
    if !vacuous.is_empty() {
        section = section.prose(format!(
            "By this rule these have full row space at times, and their distance says nothing then: {}.",
            vacuous.join(", ")
        ));
    }
    charts(section, "Distance from the target", "share outside", &distances).map(Some)
}

fn autocorrelation(probe: &ProbeConfig, records: &[Record]) -> Result<Option<Section>> {
    let curvature = over_steps(records, "autocorrelation.curvature");
    if curvature.is_empty() {
        return Ok(None);
    }
    let section = Section::new("How the loss forgets itself").prose(format!(
        "The second difference of the autocorrelation of the last {} losses, at a lag of {}.",
        probe.window, probe.lag
    ));
    charts(section, "Curvature of the loss's autocorrelation", "curvature", &[("curvature".to_owned(), curvature)]).map(Some)
}

fn noise_scale(probe: &ProbeConfig, records: &[Record]) -> Result<Option<Section>> {
    let scale = over_steps(records, "noise_scale.scale");
    let variance = over_steps(records, "noise_scale.variance");
    if variance.is_empty() {
        return Ok(None);
    }
    let section = Section::new("Gradient noise").prose(format!(
        "The variance of single examples' gradients over the squared norm of their mean, from {} examples: the batch size beyond which \
         larger batches bring little. Where noise hides the mean there is no estimate, and a gap.",
        probe.examples
    ));
    let section = charts(section, "Gradient noise scale", "examples", &[("noise scale".to_owned(), scale)])?;
    charts(section, "Variance of a gradient", "squared norm", &[("variance".to_owned(), variance)]).map(Some)
}

fn margins(probe: &ProbeConfig, records: &[Record]) -> Result<Option<Section>> {
    let least = over_steps(records, "margin.least");
    if least.is_empty() {
        return Ok(None);
    }
    let section = Section::new("Margins").prose(format!(
        "On {} training examples: by how much the label's score exceeds the best other one, and the margin by which one linear model of \
         the network's present gradients could tell the examples apart, in a bracket of its optimum.",
        probe.examples
    ));
    let of = |name: &str| over_steps(records, name);
    let outputs = [("least".to_owned(), least), ("mean".to_owned(), of("margin.mean"))];
    let section = charts(section, "Margins of the scores", "margin", &outputs)?;
    let kernel = [("lower".to_owned(), of("margin.kernel.lower")), ("upper".to_owned(), of("margin.kernel.upper"))];
    charts(section, "Margin of the tangent kernel", "margin", &kernel).map(Some)
}

fn invariants(records: &[Record]) -> Result<Option<Section>> {
    let quantities = names(records, "invariant.", ".residual");
    let Some(finding) = records.iter().rev().find_map(|record| record.get("invariants.finding")?.as_str()) else {
        return Ok(None);
    };
    let mut section = Section::new("What descent conserves").prose(
        "Gradient flow keeps these quantities; a plain step moves each by the squared rate times the same form of its gradient, which is \
         the prediction.",
    );
    section = section.prose(meaning(finding));
    let number = |title: &str| Column::number(title, NumberFormat::Significant(3));
    let mut table =
        Table::new([Column::text("quantity"), number("drift"), number("predicted"), number("residual"), number("allowed")]);
    let last = |name: &str, what: &str| {
        let key = format!("invariant.{name}.{what}");
        records.iter().rev().find_map(|record| record.number(&key))
    };
    for name in &quantities {
        let values = ["drift", "predicted", "residual", "allowed"].map(|what| last(name, what).into());
        let [drift, predicted, residual, allowed] = values;
        drawing(table.row([name.as_str().into(), drift, predicted, residual, allowed]))?;
    }
    section = section.table(table);
    for name in quantities.iter().take(DRAWN) {
        let of = |what: &str| over_steps(records, &format!("invariant.{name}.{what}"));
        let chart = XyChart::new(Axis::new("step"), Axis::new("change"))
            .line(Line::new("measured", of("drift")))
            .line(Line::new("predicted from the step size", of("predicted")));
        section = section.figure(drawing(Figure::xy(format!("Drift of {name}"), &chart))?);
    }
    Ok(Some(section))
}

/// A finding in a sentence.
fn meaning(finding: &str) -> &'static str {
    match finding {
        "agree" => "Here all drift as predicted, to rounding and to the noise that was added.",
        "non_plain_optimizer" => {
            "Here the steps were no plain gradient steps (momentum, Adam, a decay that is not the step's own), so that nothing is \
             predicted; the drift shows what they did instead."
        }
        "correlated_noise" => {
            "Here noise is added whose steps are correlated: drift and prediction part by an amount that is not predicted, and nothing \
             is said of the gradient."
        }
        _ => {
            "Here a drift is NOT the predicted one although the steps are plain: the gradient is wrong, or the network lacks the symmetry."
        }
    }
}

/// Each measure as a share of its largest value, over the accuracies.
fn over_the_curve(records: &[Record]) -> Result<Option<Section>> {
    let mean = |prefix: &str, suffix: &str| mean_of(&of_matrices(records, prefix, suffix));
    let curvature = over_steps(records, "autocorrelation.curvature").into_iter().map(|(x, y)| (x, y.abs())).collect();
    let measures = [
        ("effective rank", mean("spectrum.", ".effective_rank")),
        ("marginal effective rank", mean("spectrum.", ".marginal_rank")),
        ("subspace distance", mean("subspace.", ".distance")),
        ("curvature of the autocorrelation", curvature),
    ];
    let measures: Vec<(&str, Series)> = measures.into_iter().filter(|(_, series): &(_, Series)| series.len() > 1).collect();
    let curves = [
        ("accuracy on training examples", over_steps(records, "seen.accuracy")),
        ("test accuracy", over_steps(records, "test.accuracy")),
    ];
    let mut curves: Vec<(&str, Series)> = curves.into_iter().filter(|(_, series)| series.len() > 1).collect();
    if curves.is_empty() {
        curves.push(("test loss", over_steps(records, "test.loss")));
        curves[0].1 = shares(&curves[0].1);
    }
    if measures.is_empty() {
        return Ok(None);
    }
    let chart = XyChart::new(Axis::new("step").log(), Axis::new("share of the largest value"));
    let chart = curves.into_iter().fold(chart, |chart, (name, series)| chart.line(Line::new(name, series)));
    let mut facts = Vec::new();
    let mut drawn = chart;
    for (name, series) in measures {
        facts.push((name, significant(largest(&series), 4)));
        drawn = drawn.line(Line::new(name, shares(&series)));
    }
    let caption = "Ranks and distances are means over the weight matrices. That two things happen together says nothing of why.";
    let figure = drawing(Figure::xy("Measures over the training curve", &drawn))?.caption(caption);
    Ok(Some(
        Section::new("Over the training curve")
            .prose("Each measure is drawn as a share of its largest value, which the list gives.")
            .facts(facts)
            .figure(figure),
    ))
}

/// The mean over matrices at the steps that the first of them has.
fn mean_of(matrices: &[(String, Series)]) -> Series {
    let Some((_, first)) = matrices.first() else { return Vec::new() };
    let mean = |at: usize| {
        let values = matrices.iter().filter_map(|(_, series)| series.get(at)).map(|(_, value)| value);
        values.sum::<f64>() / matrices.len() as f64
    };
    first.iter().enumerate().map(|(at, (step, _))| (*step, mean(at))).collect()
}

fn largest(series: &Series) -> f64 {
    series.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn shares(series: &Series) -> Series {
    let largest = largest(series);
    series.iter().map(|(x, y)| (*x, if largest > 0.0 { y / largest } else { 0.0 })).collect()
}
