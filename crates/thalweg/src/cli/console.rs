//! What a person, or a script, sees.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one place that talks to the terminal")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use thalweg::descent::{Error, Result};

/// Standard output and standard error: a document for scripts, or prose and tables for people.
pub(crate) struct Console {
    json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints the command's result: the document with `--json`, the text otherwise.
    pub(crate) fn result(&self, document: &impl Serialize, text: &str) -> Result<()> {
        let mut output = if self.json {
            serde_json::to_string_pretty(document).map_err(|error| Error::piece("writing JSON", error))?
        } else {
            text.trim_end().to_owned()
        };
        output.push('\n');
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader like `head` has had enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Error::piece("writing to standard output", error)),
        }
    }

    /// Tells a person something on the way, on standard error.
    pub(crate) fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Prints an error and gives its exit code.
    pub(crate) fn fail(&self, error: &Error) -> ExitCode {
        eprintln!("error: {error}");
        self.failed(error.to_string(), if error.is_input() { 2 } else { 1 })
    }

    /// Prints why a call was not understood; help and version are answers, and end the process.
    pub(crate) fn misunderstood(&self, error: &clap::Error) -> ExitCode {
        if !error.use_stderr() {
            error.exit();
        }
        // When standard error is gone, there is still the document.
        let _ = error.print();
        let text = error.render().to_string();
        let reason = text.split("\n\n").next().unwrap_or_default();
        self.failed(reason.trim_start_matches("error: ").to_owned(), 2)
    }

    /// The document of a failure, for scripts.
    fn failed(&self, error: String, exit_code: u8) -> ExitCode {
        #[derive(Serialize)]
        struct Failure {
            error: String,
            exit_code: u8,
        }
        if self.json {
            // When standard output is gone too, there is nobody left to tell.
            let _ = self.result(&Failure { error, exit_code }, "");
        }
        ExitCode::from(exit_code)
    }

    /// A progress bar of that length, on standard error; nothing where that is no terminal.
    pub(crate) fn progress(&self, length: u64) -> ProgressBar {
        let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }
}
