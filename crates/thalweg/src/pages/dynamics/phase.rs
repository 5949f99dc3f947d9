//! The page of a phase diagram.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_report::format::significant;
use thalweg_report::{Column, Figure, HeatMap, NumberFormat, Page, Section, Table, Tile};

use super::write_computed;
use crate::compose::phase::{Found, Sweep, label};
use crate::pages::drawing;

/// Draws each measure of a sweep over its grid. `required` are the least x that reach an accuracy, for each value of y.
///
/// # Errors
/// When the page cannot be written.
pub fn write_phase_page(sweep: &Sweep, found: &Found, required: &[(f64, Option<f64>)], path: &Path) -> Result<PathBuf> {
    let grid = sweep.grid();
    let mut page = Page::new(format!("Phase diagram: {} by {} and {}", sweep.lab(), grid.x.name, grid.y.name)).subtitle(format!(
        "The mean over {} {} in each place.",
        grid.seeds,
        if grid.seeds == 1 { "seed" } else { "seeds" }
    ));
    if found.finished < found.cells {
        page = page.banner(format!("{} of {} cells are computed; the rest is marked …", found.finished, found.cells));
    }
    let mut maps = Section::new("What is found where");
    for (measure, words) in sweep.lab().measures() {
        maps = maps.figure(Figure::heat_map(*words, &map(sweep, found, measure)));
    }
    page = page.section(maps);
    if !required.is_empty() {
        page = page.section(thresholds(sweep, required)?);
    }
    if let Some(section) = failures(found)? {
        page = page.section(section);
    }
    write_computed(page.section(settings(sweep)), path)
}

fn map(sweep: &Sweep, found: &Found, measure: &str) -> HeatMap {
    let (x, y) = (&sweep.grid().x, &sweep.grid().y);
    let mut map = HeatMap::new(&x.name, x.ticks(), &y.name, y.ticks());
    // Half is what guessing gets.
    if measure.ends_with("accuracy") {
        map = map.range(0.5, 1.0).format(NumberFormat::Fixed(2));
    } else if measure.ends_with("error") {
        map = map.range(0.0, 0.5).format(NumberFormat::Fixed(2));
    }
    for (at, place) in found.places.iter().enumerate() {
        let tile = match place.values.get(measure) {
            Some(mean) if place.measured + place.failed < sweep.grid().seeds => Tile::Partial(mean.mean),
            Some(mean) => Tile::Value(mean.mean),
            None if place.failed > 0 => Tile::Failed,
            None => Tile::Missing,
        };
        map = map.tile(at % x.values.len(), at / x.values.len(), tile);
    }
    sweep.theory().into_iter().fold(map, |map, line| map.curve(line.says, line.places))
}

fn thresholds(sweep: &Sweep, required: &[(f64, Option<f64>)]) -> Result<Section> {
    let mut table = Table::new([Column::text(&sweep.grid().y.name), Column::text(format!("{} needed", sweep.grid().x.name))]);
    for (y, needed) in required {
        let needed = needed.map_or_else(|| "more than the grid has".to_owned(), |x| significant(x, 3));
        drawing(table.row([label(*y).into(), needed.into()]))?;
    }
    let value = |name: &str| {
        let default = sweep.lab().defaults().iter().find(|(known, _)| *known == name).map(|(_, default)| *default);
        sweep.fixed().get(name).copied().or(default).unwrap_or(f64::NAN)
    };
    let (n, power) = (value("n"), value("power"));
    let swept = ["n", "power"].contains(&sweep.grid().y.name.as_str());
    let orders = (!swept).then(|| {
        [
            ("theory without privacy, order only, constant 1", format!("n^(-1/q) = {}", significant(n.powf(-1.0 / power), 3))),
            ("noise stays memorised under privacy, order only, constant 1", "while epsilon >= snr^(1-q)/n".to_owned()),
        ]
    });
    Ok(Section::new("What 90 % of unseen examples need")
        .prose("The least value at which the mean accuracy on unseen examples reaches 90 %, by straight lines between places.")
        .table(table)
        .facts(orders.into_iter().flatten()))
}

fn failures(found: &Found) -> Result<Option<Section>> {
    let mut table =
        Table::new([Column::text("x"), Column::text("y"), Column::number("failed", NumberFormat::Count), Column::text("why")]);
    let failed = found.places.iter().filter(|place| place.failed > 0);
    let mut any = false;
    for place in failed {
        any = true;
        let why = place.reason.clone().unwrap_or_default();
        drawing(table.row([label(place.x).into(), label(place.y).into(), f64::from(place.failed).into(), why.into()]))?;
    }
    Ok(any.then(|| Section::new("What failed").table(table)))
}

fn settings(sweep: &Sweep) -> Section {
    let swept = [&sweep.grid().x.name, &sweep.grid().y.name];
    let value = |name: &str, default: f64| sweep.fixed().get(name).copied().unwrap_or(default);
    let rest = sweep.lab().defaults().iter().filter(|(name, _)| !swept.iter().any(|swept| swept == name));
    Section::new("What stays").facts(rest.map(|(name, default)| (*name, label(value(name, *default)))))
}
