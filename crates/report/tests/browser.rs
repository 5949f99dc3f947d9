//! A page in a real browser.

#[path = "support/browser.rs"]
mod browser;

use browser::{Browser, measured};
use thalweg_report::{
    Axis, Column, Figure, Finding, Interval, Line, NumberFormat, Page, Row, RowChart, Section, Table, Verdict, XyChart,
};

fn page() -> Page {
    let curve = |level: f64| (0..40).map(move |i| (f64::from(i) * 11.0, level - 0.6 / f64::from(i + 1), level - 0.7, level));
    let chart = XyChart::new(Axis::new("step"), Axis::new("test accuracy").percent())
        .line(Line::new("identity", curve(0.8)))
        .line(Line::new("learning-rate-aware root", curve(0.93)))
        .level("chance", 0.1);
    let rows = RowChart::new(Axis::new("difference in test accuracy"))
        .row(Row::new("lr-root − prefix-root", 0.012, Interval::spanning(0.008, 0.016)).values([0.0, 0.01, 0.02]))
        .threshold("no difference", 0.0);
    let mut table = Table::new([Column::text("method"), Column::number("a long heading of a column", NumberFormat::Fixed(3))]);
    for i in 0..4 {
        table.row([format!("a method with a rather long name {i}").into(), f64::from(i).into()]).unwrap();
    }
    let long = "x".repeat(300);
    Page::new("A page").banner("NOT PRIVATE").section(
        Section::new("Everything")
            .prose(long.as_str())
            .table(table)
            .figure(Figure::xy("Curves", &chart).unwrap())
            .figure(Figure::rows("Differences", &rows))
            .finding(Finding::new("better", "0.012", Verdict::Holds))
            .source("config.toml", long),
    )
}

#[test]
fn a_page_renders_on_a_desk_and_on_a_phone_in_light_and_dark() {
    let Some(browser) = Browser::find() else { return };
    let html = page().to_html();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    std::fs::write(&path, &html).unwrap();
    let console = browser.load(&path, &[]).console;
    assert!(console.is_empty(), "{console:?}");
    let light = measured(&browser, &html, 1100, &["--window-size=1300,900"]);
    assert!(light.contains("width=1100 overflow=false") && light.contains("svgs=2 drawn=2"), "{light}");
    let phone = measured(&browser, &html, 360, &[]);
    assert!(phone.contains("width=360 overflow=false") && phone.contains("drawn=2"), "{phone}");
    let dark = measured(&browser, &html, 1100, &["--blink-settings=preferredColorScheme=0"]);
    let background = |seen: &str| seen.split("background=").nth(1).and_then(|rest| rest.split(" svgs").next()).map(str::to_owned);
    assert_ne!(background(&light), background(&dark), "dark mode is another page");
}

#[test]
fn a_broken_page_is_caught() {
    let Some(browser) = Browser::find() else { return };
    let html = page().to_html().replace("overflow-wrap:anywhere", "white-space:nowrap").replace("<path", "<nothing");
    let phone = measured(&browser, &html, 360, &[]);
    assert!(phone.contains("width=360 overflow=true") && !phone.contains("drawn=2"), "the check can fail: {phone}");
}
