//! Ctrl-C: the first asks the run to stop at the end of its step and to save; the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

use thalweg::descent::{Error, Result};

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag that Ctrl-C (or a termination signal) sets.
pub(crate) fn on_ctrl_c() -> Result<&'static AtomicBool> {
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            // The last checkpoint is whole whatever happens now.
            std::process::exit(130);
        }
    };
    match ctrlc::set_handler(handler) {
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(&STOP),
        Err(error) => Err(Error::piece("listening for Ctrl-C", error)),
    }
}
