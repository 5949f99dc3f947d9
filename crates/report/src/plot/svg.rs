//! The pieces that all charts are drawn from.

use std::fmt::Write;

use maud::Render;

use crate::escape::Safe;

/// How many series differ.
pub(crate) const STYLES: usize = 6;

/// Colours of Okabe and Ito, which colour-blind readers can tell apart; the page's theme may override them.
const FALLBACK: [&str; STYLES] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"];
const DASHES: [&str; STYLES] = ["", "7 4", "2 3", "10 3 2 3", "1 4", "12 4"];

/// The colour of a series, as CSS.
pub(crate) fn colour(series: usize) -> String {
    let style = series % STYLES;
    format!("var(--series-{style},{})", FALLBACK[style])
}

/// The dash of a series; empty for a full line.
pub(crate) fn dash(series: usize) -> &'static str {
    DASHES[series % STYLES]
}

/// Colour of words.
pub(crate) const INK: &str = "var(--ink,#1c1c1a)";
/// Colour of secondary words.
pub(crate) const SOFT: &str = "var(--soft,#66645e)";
/// Colour of grid lines.
pub(crate) const HAIR: &str = "var(--hair,#e3e1da)";

/// Text made safe.
pub(crate) fn safe(text: &str) -> String {
    Safe(text).render().into_string()
}

/// An SVG document under construction.
pub(crate) struct Drawing {
    out: String,
}

/// How text lies about its place.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

impl Drawing {
    pub(crate) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut out = String::new();
        let (title, description) = (safe(title), safe(description));
        push(
            &mut out,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
                 font-family=\"system-ui,sans-serif\"><title>{title}</title><desc>{description}</desc>"
            ),
        );
        Self { out }
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, colour: &str, text: &str) {
        let (anchor, text) = (anchor.as_str(), safe(text));
        push(
            &mut self.out,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" style=\"fill:{colour}\">{text}</text>"
            ),
        );
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        push(
            &mut self.out,
            format_args!(
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke-width=\"{width}\"{dash} style=\"stroke:{colour}\"/>"
            ),
        );
    }

    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        push(&mut self.out, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" style=\"fill:{colour}\"/>"));
    }

    /// A filled rectangle from its upper left corner.
    pub(crate) fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str, opacity: f64) {
        push(
            &mut self.out,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" shape-rendering=\"crispEdges\" fill-opacity=\"{opacity:.3}\" \
                 style=\"fill:{colour}\"/>"
            ),
        );
    }

    /// An open path in the series' style.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], series: usize) {
        let dash = if dash(series).is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", dash(series)) };
        let (d, colour) = (path_data(points), colour(series));
        push(
            &mut self.out,
            format_args!(
                "<path class=\"series\" d=\"{d}\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\"{dash} style=\"stroke:{colour}\"/>"
            ),
        );
    }

    /// A closed, faint area in the series' colour.
    pub(crate) fn area(&mut self, points: &[(f64, f64)], series: usize) {
        let (d, colour) = (path_data(points), colour(series));
        push(&mut self.out, format_args!("<path class=\"band\" d=\"{d}Z\" fill-opacity=\"0.16\" style=\"fill:{colour}\"/>"));
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a String cannot fail");
}

fn path_data(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        push(&mut data, format_args!("{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" }));
    }
    data
}
