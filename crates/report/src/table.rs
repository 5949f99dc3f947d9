//! One table value, printed on a terminal or set in HTML.

use maud::{Markup, html};
use unicode_width::UnicodeWidthStr;

use crate::NumberFormat;
use crate::escape::Safe;

/// A table: columns with their kind, and rows of as many cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// The head of a column, and how its numbers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    title: String,
    format: Option<NumberFormat>,
}

/// What stands in one place.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number.
    Number(f64),
    /// A mean and the half-width of its interval.
    Estimate(f64, f64),
    /// Nothing.
    Empty,
}

/// A row that does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row of {found} cells in a table of {expected} columns")]
pub struct TableError {
    expected: usize,
    found: usize,
}

impl Column {
    /// Words, to the left.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), format: None }
    }

    /// Numbers, to the right.
    pub fn number(title: impl Into<String>, format: NumberFormat) -> Self {
        Self { title: title.into(), format: Some(format) }
    }

    fn write(&self, cell: &Cell) -> String {
        let format = self.format.unwrap_or(NumberFormat::Significant(4));
        match cell {
            Cell::Text(text) => text.clone(),
            Cell::Number(value) => format.write(*value),
            Cell::Estimate(mean, half_width) => format.write_estimate(*mean, *half_width),
            Cell::Empty => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Empty, Self::Number)
    }
}

impl Table {
    /// Without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`TableError`] when it has not one cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> Result<(), TableError> {
        let cells: Vec<Cell> = cells.into_iter().collect();
        if cells.len() != self.columns.len() {
            return Err(TableError { expected: self.columns.len(), found: cells.len() });
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Aligned text for a terminal, one line a row, without a line end after the last.
    pub fn to_text(&self) -> String {
        let written: Vec<Vec<String>> =
            self.rows.iter().map(|row| self.columns.iter().zip(row).map(|(column, cell)| column.write(cell)).collect()).collect();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| written.iter().chain([&titles]).map(|row| row[i].width()).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.columns).zip(&widths).map(|((text, column), width)| {
                let space = " ".repeat(width - text.width());
                if column.format.is_some() { format!("{space}{text}") } else { format!("{text}{space}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let rule = widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  ");
        let lines = [line(&titles), rule].into_iter().chain(written.iter().map(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn to_markup(&self) -> Markup {
        let class = |column: &Column| column.format.map(|_| "number");
        html! {
            div.scroll tabindex="0" {
                table {
                    thead { tr { @for column in &self.columns { th scope="col" class=[class(column)] { (Safe(&column.title)) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr { @for (column, cell) in self.columns.iter().zip(row) {
                                td class=[class(column)] { (Safe(&column.write(cell))) }
                            } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_aligned_by_display_width() {
        let mut table = Table::new([Column::text("name"), Column::number("acc.", NumberFormat::Percent(1))]);
        table.row(["größe 日本".into(), 0.5.into()]).unwrap();
        table.row(["x".into(), Cell::Empty]).unwrap();
        let text = table.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["name          acc.", "──────────  ──────", "größe 日本  50.0\u{202f}%", "x"]);
        assert!(table.row(["alone".into()]).is_err());
    }
}
