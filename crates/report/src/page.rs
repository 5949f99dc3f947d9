//! One self-contained page: no script, no network, readable in light and dark, on a phone and on paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::escape::Safe;
use crate::plot::Figure;
use crate::table::Table;
use crate::verdict::Finding;

/// A page under construction.
#[derive(Debug, Clone, Default)]
pub struct Page {
    title: String,
    subtitle: Option<String>,
    banner: Option<String>,
    sections: Vec<Section>,
    footer: Option<String>,
}

/// A part of a page, under a heading.
#[derive(Debug, Clone, Default)]
pub struct Section {
    heading: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
enum Block {
    Prose(String),
    Facts(Vec<(String, String)>),
    Table(Table),
    Figure(Figure),
    Finding(Finding),
    Source { summary: String, text: String },
}

impl Page {
    /// An empty page.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A line below the title.
    #[must_use]
    pub fn subtitle(mut self, text: impl Into<String>) -> Self {
        self.subtitle = Some(text.into());
        self
    }

    /// A warning that nobody should miss, above everything else.
    #[must_use]
    pub fn banner(mut self, text: impl Into<String>) -> Self {
        self.banner = Some(text.into());
        self
    }

    /// Appends a section.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// What made the page.
    #[must_use]
    pub fn footer(mut self, text: impl Into<String>) -> Self {
        self.footer = Some(text.into());
        self
    }

    /// The page as HTML.
    pub fn to_html(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (Safe(&self.title)) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        @if let Some(banner) = &self.banner { p.banner role="alert" { (Safe(banner)) } }
                        header {
                            h1 { (Safe(&self.title)) }
                            @if let Some(subtitle) = &self.subtitle { p.subtitle { (Safe(subtitle)) } }
                        }
                        @for section in &self.sections { (section.to_markup()) }
                        @if let Some(footer) = &self.footer { footer { (Safe(footer)) } }
                    }
                }
            }
        }
        .into_string()
    }
}

impl Section {
    /// An empty section.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), blocks: Vec::new() }
    }

    /// A paragraph.
    #[must_use]
    pub fn prose(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Prose(text.into()));
        self
    }

    /// Names and values.
    #[must_use]
    pub fn facts<N: Into<String>, V: Into<String>>(mut self, facts: impl IntoIterator<Item = (N, V)>) -> Self {
        self.blocks.push(Block::Facts(facts.into_iter().map(|(name, value)| (name.into(), value.into())).collect()));
        self
    }

    /// A table.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// A picture.
    #[must_use]
    pub fn figure(mut self, figure: Figure) -> Self {
        self.blocks.push(Block::Figure(figure));
        self
    }

    /// A claim and what came of it.
    #[must_use]
    pub fn finding(mut self, finding: Finding) -> Self {
        self.blocks.push(Block::Finding(finding));
        self
    }

    /// A text to unfold, such as a configuration.
    #[must_use]
    pub fn source(mut self, summary: impl Into<String>, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Source { summary: summary.into(), text: text.into() });
        self
    }

    fn to_markup(&self) -> Markup {
        html! {
            section {
                h2 { (Safe(&self.heading)) }
                @for block in &self.blocks { (block.to_markup()) }
            }
        }
    }
}

impl Block {
    fn to_markup(&self) -> Markup {
        match self {
            Self::Prose(text) => html! { p { (Safe(text)) } },
            Self::Facts(facts) => html! {
                dl { @for (name, value) in facts { div { dt { (Safe(name)) } dd { (Safe(value)) } } } }
            },
            Self::Table(table) => table.to_markup(),
            Self::Figure(figure) => html! {
                figure {
                    h3 { (Safe(&figure.title)) }
                    (PreEscaped(&figure.svg))
                    @if let Some(caption) = &figure.caption { figcaption { (Safe(caption)) } }
                }
            },
            Self::Finding(finding) => finding_markup(finding),
            Self::Source { summary, text } => html! {
                details { summary { (Safe(summary)) } pre tabindex="0" { (Safe(text)) } }
            },
        }
    }
}

fn finding_markup(finding: &Finding) -> Markup {
    html! {
        div.finding {
            p { span class=(finding.verdict.css_class()) { (finding.verdict.sign()) " " (finding.verdict.as_str()) } }
            dl {
                div { dt { "claimed" } dd { (Safe(&finding.claimed)) } }
                div { dt { "measured" } dd { (Safe(&finding.measured)) } }
                @if let Some(interval) = &finding.interval { div { dt { "interval" } dd { (Safe(interval)) } } }
                @if let Some(reason) = &finding.reason { div { dt { "because" } dd { (Safe(reason)) } } }
            }
        }
    }
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Column, Line, NumberFormat, Verdict, XyChart};

    #[test]
    fn everything_is_on_the_page_and_nothing_escapes() {
        let chart = XyChart::new(Axis::new("step"), Axis::new("loss")).line(Line::new("a", [(0.0, 1.0), (1.0, 0.5)]));
        let mut table = Table::new([Column::text("run"), Column::number("loss", NumberFormat::Fixed(2))]);
        table.row(["<script>alert(1)</script>".into(), 0.5.into()]).unwrap();
        let finding = Finding::new("better", "0.4", Verdict::Inconclusive).interval("-0.1 to 0.9").reason("covers 0");
        let page = Page::new("A </title><script>").subtitle("sub").banner("NOT PRIVATE").footer("foot").section(
            Section::new("Results")
                .prose("words")
                .facts([("epsilon", "4")])
                .table(table)
                .figure(Figure::xy("Loss", &chart).unwrap().caption("cap"))
                .finding(finding)
                .source("config.toml", "a = \"<b>\""),
        );
        let html = page.to_html();
        for part in ["sub", "NOT PRIVATE", "foot", "words", "epsilon", "cap", "inconclusive", "covers 0", "a = "] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("<script") && html.matches("<svg").count() == 1);
    }
}
