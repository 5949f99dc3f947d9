//! Times one user's report in `Prio3SumVec`, with all that both aggregators do for it.
//!
//! ```text
//! prio-peer D
//! ```
//!
//! One bit for each of D coordinates, two aggregators, its own field of 128 bits, chunks of floor(sqrt D), one thread. Prints a line of
//! JSON: CPU milliseconds of a report, and as `value` the bits that the user uploads for each coordinate.

use std::error::Error;

use cpu_time::ProcessTime;
use prio::codec::Encode;
use prio::vdaf::prio3::Prio3;
use prio::vdaf::{Aggregator, Client, Collector, VerifyTransition};

const CONTEXT: &[u8] = b"bench";
const NONCE: [u8; 16] = [7; 16];
const KEY: [u8; 32] = [9; 32];
const REPORTS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let length: usize = std::env::args().nth(1).ok_or("how many coordinates?")?.parse()?;
    let prio = Prio3::new_sum_vec(2, 1, length, length.isqrt())?;
    let bits: Vec<u128> = (0..length as u128).map(|c| c * 17 % 5 / 3).collect();
    let mut cpu_ms = Vec::new();
    let mut uploaded = 0;
    for _ in 0..REPORTS {
        let began = ProcessTime::now();
        let (public, shares) = prio.shard(CONTEXT, &bits, &NONCE)?;
        let mut states = Vec::new();
        let mut verifiers = Vec::new();
        for (id, share) in shares.iter().enumerate() {
            let (state, verifier) = prio.verify_init(&KEY, CONTEXT, id, &(), &NONCE, &public, share)?;
            states.push(state);
            verifiers.push(verifier);
        }
        let message = prio.verifier_shares_to_message(CONTEXT, &(), verifiers)?;
        let mut aggregates = Vec::new();
        for state in states {
            let VerifyTransition::Finish(output) = prio.verify_next(CONTEXT, state, message.clone())? else {
                return Err("one round of verification was expected".into());
            };
            aggregates.push(prio.aggregate(&(), [output])?);
        }
        let sum = prio.unshard(&(), aggregates, 1)?;
        cpu_ms.push(1e3 * began.elapsed().as_secs_f64());
        if sum != bits {
            return Err("the sum is wrong".into());
        }
        uploaded = public.get_encoded()?.len();
        for share in &shares {
            uploaded += share.get_encoded()?.len();
        }
    }
    let bits_up = 8.0 * uploaded as f64 / length as f64;
    println!(
        r#"{{"kind":"step","engine":"prio","task":"vote-{length}","mode":"sumvec","cpu_ms":{cpu_ms:?},"peak_mib":{},"start_mib":0.0,"value":{bits_up}}}"#,
        peak_mib()
    );
    Ok(())
}

/// The most memory that this process has held; 0 where the platform does not tell.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
}
