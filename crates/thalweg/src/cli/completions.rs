//! `thalweg completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use thalweg::descent::Result;

/// Print a script that completes commands in a shell
#[derive(Args)]
#[command(after_help = "Example:\n  thalweg completions bash > ~/.local/share/bash-completion/completions/thalweg")]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run<C: CommandFactory>(&self) -> Result<ExitCode> {
        clap_complete::generate(self.shell, &mut C::command(), "thalweg", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
