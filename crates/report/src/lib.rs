//! Numbers become pictures and pages.
//!
//! A method hands over plain numbers; this crate turns them into charts (SVG), tables (terminal and HTML) and one
//! self-contained page for each run: no script, no network, readable in light and dark, on a phone and on paper.
//! It knows nothing of descents, runs or files.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@format`] | how a number is written: significant digits, mean ± half-width, percent, durations, bytes |
//! | [`interval`] | a finite interval, low to high |
//! | [`table`] | one [`Table`] value, printed on a terminal or set in HTML |
//! | [`plot`] | charts as values ([`XyChart`], [`RowChart`], [`HeatMap`]), drawn as SVG into a [`Figure`] |
//! | [`verdict`] | what a study may say of a claim, and the [`Finding`] that says it |
//! | [`page`] | the [`Page`]: title, banner, sections of prose, facts, tables, figures and findings |
//!
//! ```
//! use thalweg_report::{Axis, Column, Figure, Line, NumberFormat, Page, Section, Table, XyChart};
//!
//! let chart = XyChart::new(Axis::new("step"), Axis::new("test accuracy").percent())
//!     .line(Line::new("DP-SGD", [(0.0, 0.1, 0.08, 0.12), (100.0, 0.7, 0.66, 0.75), (200.0, 0.8, 0.77, 0.82)]));
//! let figure = Figure::xy("Accuracy on the way down", &chart)?.caption("Mean of 10 seeds; band: lowest to highest.");
//!
//! let mut table = Table::new([Column::text("method"), Column::number("epsilon", NumberFormat::Fixed(2))]);
//! table.row(["DP-SGD".into(), 3.0.into()])?;
//! println!("{}", table.to_text());
//!
//! let page = Page::new("Digits").section(Section::new("Results").table(table).figure(figure));
//! assert!(page.to_html().starts_with("<!DOCTYPE html>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod format;
pub mod interval;
pub mod page;
pub mod plot;
pub mod table;
pub mod verdict;

mod escape;

pub use format::NumberFormat;
pub use interval::Interval;
pub use page::{Page, Section};
pub use plot::{Axis, Figure, HeatMap, Line, PlotError, Row, RowChart, Sample, Scale, Tile, XyChart};
pub use table::{Cell, Column, Table, TableError};
pub use verdict::{Finding, Verdict};
