//! Text from outside (run names, labels, configs), made safe for XML and HTML.

use maud::{Escaper, Render};
use std::fmt::Write;

/// Text set into markup: escaped, and characters that XML 1.0 forbids replaced by U+FFFD.
pub(crate) struct Safe<'a>(pub(crate) &'a str);

impl Render for Safe<'_> {
    fn render_to(&self, buffer: &mut String) {
        let legal: String = self.0.chars().map(legal_in_xml).collect();
        Escaper::new(buffer).write_str(&legal).expect("writing to a String cannot fail");
    }
}

fn legal_in_xml(c: char) -> char {
    match c {
        '\t' | '\n' => c,
        // HTML forbids U+007F..U+009F as well, and reads a lone carriage return as a line end.
        '\r' => '\n',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c if is_noncharacter(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_do_not_pass() {
        let shown = Safe("<b a=\"1\">&\u{0}\u{1b}[31m\u{ffff}").render().into_string();
        assert_eq!(shown, "&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}\u{fffd}[31m\u{fffd}");
    }
}
