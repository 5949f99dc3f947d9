//! `thalweg vote dealer`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::Result;
use thalweg::vote::net::{DealerProcess, Traffic, run_dealer};
use thalweg::vote::wire::Party;

use super::failed;
use super::network::{WatchOptions, describe_traffic, folder, listen, run, stop_on_ctrl_c};
use crate::cli::console::Console;

/// Run the dealer of a vote over a network: it prepares shared randomness, and never sees a vote
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote dealer --keys keys/dealer --listen 0.0.0.0:7001

Dealer and aggregator together can read every vote: run them on different machines under different administrations. It ends when the
aggregator has finished, or at Ctrl-C.")]
pub(crate) struct Dealer {
    /// The dealer's folder, from `vote keys`
    #[arg(long, value_name = "FOLDER")]
    keys: PathBuf,
    /// Where to listen for users and the aggregator
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    listen: String,
    #[command(flatten)]
    watch: WatchOptions,
}

#[derive(Serialize)]
struct Document {
    traffic: Traffic,
}

impl Dealer {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        let keys = folder(&self.keys, "the dealer", |party| *party == Party::Dealer)?;
        let work = async {
            let listener = listen(&self.listen, console).await?;
            let process = DealerProcess { folder: keys, listener, watch: self.watch.open(console).await? };
            run_dealer(process, stop_on_ctrl_c()?).await.map_err(failed)
        };
        let traffic = run(work)?;
        let text = describe_traffic(&traffic);
        console.result(&Document { traffic }, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
