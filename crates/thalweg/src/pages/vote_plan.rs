//! The page of a plan for a secure vote.

use std::path::{Path, PathBuf};

use thalweg_descent::{Error, Result};
use thalweg_report::format::{count, percent};
use thalweg_report::table::TableError;
use thalweg_report::{Axis, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};
use thalweg_vote::plan::Plan;
use thalweg_vote::{Protocol, Settings, costs, leakage};

use crate::pages::{drawing, write};

/// The layouts that are drawn: name, protocol, group size.
const LAYOUTS: [(&str, Protocol, u16); 6] = [
    ("beaver", Protocol::Beaver, 0),
    ("beaver, groups of 3", Protocol::Beaver, 3),
    ("lean", Protocol::Lean, 0),
    ("lean, groups of 3", Protocol::Lean, 3),
    ("oneround", Protocol::OneRound, 0),
    ("sealed, groups of 3", Protocol::Sealed, 3),
];

/// The numbers of users that are drawn.
const USERS: [usize; 19] = [3, 4, 5, 6, 9, 12, 15, 18, 24, 30, 36, 48, 60, 72, 99, 126, 150, 198, 249];

/// The coordinates for which costs are drawn: one chunk, so that headers and padding do not show.
const COORDINATES: u32 = 8_000;

/// All modes of a plan as a table.
///
/// # Errors
/// Never: the rows have as many cells as there are columns.
pub fn vote_modes(plan: &Plan) -> Result<Table, TableError> {
    let mut table = Table::new([
        Column::text("mode"),
        Column::number("group", NumberFormat::Count),
        Column::number("bits up", NumberFormat::Fixed(2)),
        Column::number("bytes up", NumberFormat::Count),
        Column::number("from dealer", NumberFormat::Count),
        Column::number("depth", NumberFormat::Count),
        Column::number("leak, bits", NumberFormat::Fixed(4)),
        Column::number("complete at 5 %", NumberFormat::Percent(1)),
        Column::number("as the vote of all", NumberFormat::Percent(1)),
        Column::number("attackers", NumberFormat::Count),
    ]);
    for mode in &plan.modes {
        table.row([
            mode.mode.clone().into(),
            f64::from(mode.group).into(),
            mode.bits_up_per_coordinate.into(),
            (mode.bytes_up as f64).into(),
            mode.bytes_from_dealer.into(),
            (mode.depth as f64).into(),
            mode.leak_bits.into(),
            mode.complete_at_5_percent.into(),
            mode.agreement.into(),
            (mode.attackers as f64).into(),
        ])?;
    }
    Ok(table)
}

/// Draws a plan: the table of its modes, and how cost and leakage grow with the number of users.
///
/// # Errors
/// When the page cannot be written.
pub fn write_vote_plan(users: usize, coordinates: u32, plan: &Plan, path: &Path) -> Result<PathBuf> {
    let modes = Section::new("Modes")
        .facts([
            ("recommended", plan.recommended.clone()),
            ("published scheme: a user saves", percent(plan.saving_user, 2)),
            ("published total: a user of each group against one user", percent(plan.saving_total_paper, 2)),
            ("all users against all", percent(plan.saving_total_all, 2)),
        ])
        .prose(
            "Group 0 is one group of all. Bits up are openings and shares of the result for each coordinate; bytes up are a user's, with \
             headers. The leak is what the aggregator learns of one user's sign in a coordinate. Attackers are the least users who \
             decide every coordinate while they follow the rules. Savings count openings alone.",
        )
        .table(drawing(vote_modes(plan))?);
    let growth = Section::new("With the number of users").figure(costs_figure(users)?).figure(leakage_figure(users)?);
    let cautions = Section::new("Before you trust it").prose(
        "All modes are semi-honest and need a dealer that colludes with nobody: dealer and aggregator together read every sign. \
         oneround, survivors and sealed are our own constructions and were not reviewed by a cryptographer. The published scheme is \
         known to us by its abstract; its cost model is fitted to the two percentages published there.",
    );
    let subtitle = format!("{users} users, {} coordinates", count(coordinates.into()));
    let page = Page::new("A plan for a secure vote").subtitle(subtitle).section(modes).section(growth).section(cautions);
    write(page, path)
}

/// The numbers of users to draw, with the plan's own.
fn numbers(users: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = USERS.into_iter().chain([users]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn costs_figure(users: usize) -> Result<Figure> {
    let mut chart = XyChart::new(Axis::new("users").log(), Axis::new("bits up for each coordinate").log());
    for (name, protocol, group_size) in LAYOUTS {
        let settings = Settings { protocol, group_size, ..Settings::new(COORDINATES) };
        let points: Vec<(f64, f64)> = numbers(users)
            .into_iter()
            .filter(|&n| settings.check(n).is_ok())
            .map(|n| Ok((n as f64, bits_up(&settings, n)?)))
            .collect::<Result<_>>()?;
        chart = chart.line(Line::new(name, points));
    }
    let figure = drawing(Figure::xy("What a user sends", &chart.level("plain signs", 1.0)))?;
    Ok(figure.caption(
        "Openings and shares of the result, without headers. Groups make the cost constant, and show the groups' votes.",
    ))
}

fn bits_up(settings: &Settings, users: usize) -> Result<f64> {
    let largest = settings.group_sizes(users).first().copied().unwrap_or(users);
    let sent = costs::upload(settings, users, largest).map_err(Error::input)?;
    Ok(8.0 * (sent.openings + sent.finals) as f64 / f64::from(settings.coordinates))
}

fn leakage_figure(users: usize) -> Result<Figure> {
    let mut chart = XyChart::new(Axis::new("users").log(), Axis::new("bits learnt of a sign").log());
    let grouped = Settings { group_size: 3, ..Settings::new(1) };
    let (mut flat, mut visible, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for n in numbers(users) {
        let sizes = grouped.group_sizes(n);
        let smallest = sizes.last().copied().unwrap_or(n);
        let x = n as f64;
        flat.push((x, leakage::of_vote(n, 0, grouped.ties.inner).map_err(Error::input)?.bits));
        visible.push((x, leakage::of_vote(smallest, 0, grouped.ties.inner).map_err(Error::input)?.bits));
        if sizes.len() > 1 {
            sealed.push((x, leakage::of_sealed_vote(&sizes, grouped.ties).map_err(Error::input)?.bits));
        }
    }
    chart = chart.line(Line::new("one group of all", flat));
    chart = chart.line(Line::new("groups of 3, their votes seen", visible));
    chart = chart.line(Line::new("groups of 3, sealed", sealed));
    let figure = drawing(Figure::xy("What a result says about one user", &chart))?;
    Ok(figure.caption("Mutual information of a sign and what the aggregator sees, for uniform signs. Plain signs leak 1 bit."))
}
