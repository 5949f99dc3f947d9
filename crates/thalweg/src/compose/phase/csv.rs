//! A sweep as a table for other programs.

use std::fmt::Write;

use super::grid::label;
use super::sweep::{Found, Sweep};

/// A line for each place: both parameters, measured and failed seeds, and mean, lowest and highest of each measure; fields are empty
/// where nothing was measured. Infinity is `inf`.
pub fn csv(sweep: &Sweep, found: &Found) -> String {
    let measures = sweep.lab().measures();
    let mut text = format!("{},{},measured,failed", sweep.grid().x.name, sweep.grid().y.name);
    for (measure, _) in measures {
        // Writing to a string cannot fail.
        let _ = write!(text, ",{measure},{measure}_lowest,{measure}_highest");
    }
    for place in &found.places {
        let _ = write!(text, "\n{},{},{},{}", label(place.x), label(place.y), place.measured, place.failed);
        for (measure, _) in measures {
            let _ = match place.values.get(*measure) {
                Some(mean) => write!(text, ",{},{},{}", mean.mean, mean.lowest, mean.highest),
                None => write!(text, ",,,"),
            };
        }
    }
    text.push('\n');
    text
}
