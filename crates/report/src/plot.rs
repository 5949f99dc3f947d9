//! Charts as values, drawn as SVG.
//!
//! A chart names its series and axes; colours come from CSS custom properties of the page, with fallbacks, so that light and dark
//! themes govern one and the same picture, and a picture saved alone still looks right. Series differ by dash as well as by colour.

mod axis;
mod heat_map;
mod row_chart;
mod svg;
mod xy_chart;

pub use axis::{Axis, Scale};
pub use heat_map::{HeatMap, Tile};
pub use row_chart::{Row, RowChart};
pub use xy_chart::{Line, Sample, XyChart};

/// What cannot be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A logarithmic axis cannot show it.
    #[error("series {series:?} has the value {value} on the logarithmic axis {axis:?}; only numbers above 0 fit there")]
    NotPositive {
        /// The series.
        series: String,
        /// The axis.
        axis: String,
        /// The value.
        value: f64,
    },
}

/// A titled picture with a caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) caption: Option<String>,
    pub(crate) svg: String,
}

impl Figure {
    /// Draws a chart over two axes.
    ///
    /// # Errors
    /// [`PlotError`].
    pub fn xy(title: impl Into<String>, chart: &XyChart) -> Result<Self, PlotError> {
        let title = title.into();
        Ok(Self { svg: chart.to_svg(&title)?, title, caption: None })
    }

    /// Draws a chart of rows.
    pub fn rows(title: impl Into<String>, chart: &RowChart) -> Self {
        let title = title.into();
        Self { svg: chart.to_svg(&title), title, caption: None }
    }

    /// Draws values over a grid.
    pub fn heat_map(title: impl Into<String>, map: &HeatMap) -> Self {
        let title = title.into();
        Self { svg: map.to_svg(&title), title, caption: None }
    }

    /// Adds a sentence below.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = Some(caption.into());
        self
    }

    /// The picture alone.
    pub fn svg(&self) -> &str {
        &self.svg
    }
}
