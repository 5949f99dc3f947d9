//! Times rounds of the secure vote, all parties' work counted.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin vote_round -- TASK
//! ```
//!
//! | task | a line for |
//! |---|---|
//! | `7850`, `1000000`, ... | a round of 24 users in this process, on so many coordinates; the peers' side is `peers/flower_secagg.py` and `peers/prio` |
//! | `loopback USERS D` | a round of so many users in one process: over loopback with TLS (`loopback`), and without a network (`in-process`) |
//! | `traffic` | the bits that a user uploads, by mode |
//!
//! Times are CPU milliseconds of a whole round, divided by the users; `value` is the bits that a user uploads for each coordinate:
//! openings and shares of the result (`openings-...`: openings alone), without headers.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::time::Duration;

use cpu_time::ProcessTime;
use thalweg_bench::measurement::{Measurement, StepCost, peak_mib};
use thalweg_vote::machine::Tally;
use thalweg_vote::net::{
    AggregatorProcess, ClientProcess, DealerProcess, PartyFolder, Watch, authority, run_aggregator, run_client, run_dealer,
};
use thalweg_vote::simulate::RoundReport;
use thalweg_vote::{Encoding, Protocol, Settings, Simulation, SimulationConfig, Switch, Tie, plain};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// As in the peers' script.
const USERS: usize = 24;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["traffic"] => traffic(),
        ["loopback", users, coordinates] => loopback(users.parse()?, coordinates.parse()?),
        [coordinates] => {
            let coordinates = coordinates.parse()?;
            let (cpu_ms, report) = rounds(&Settings::new(coordinates), USERS, if coordinates > 100_000 { 2 } else { 5 })?;
            print(&format!("vote-{coordinates}"), "oneround", cpu_ms, Some(bits(&report, coordinates)));
            Ok(())
        }
        _ => Err("which of COORDINATES, loopback USERS COORDINATES, and traffic?".into()),
    }
}

fn vote(user: usize, c: usize) -> i8 {
    if (user * 31 + c * 17) % 5 < 2 { 1 } else { -1 }
}

fn votes(user: usize, coordinates: u32) -> Vec<i8> {
    (0..coordinates as usize).map(|c| vote(user, c)).collect()
}

/// CPU milliseconds of rounds, by user, and the last of them; the result is checked.
fn rounds(settings: &Settings, users: usize, count: usize) -> Outcome<(Vec<f64>, RoundReport)> {
    let votes: Vec<Vec<i8>> = (0..users).map(|user| votes(user, settings.coordinates)).collect();
    let mut session = Simulation::new(SimulationConfig::new(settings.clone(), users))?;
    let mut times = Vec::new();
    loop {
        let began = ProcessTime::now();
        let report = session.round(&votes)?;
        times.push(1e3 * began.elapsed().as_secs_f64() / users as f64);
        let outcome = report.outcome.as_ref().ok_or("a round without a result")?;
        let beacon = session.given_beacon(outcome.round);
        if session.expected(&votes, outcome, &beacon)? != outcome.tally {
            return Err("a result is not the plain vote".into());
        }
        if times.len() > count {
            // The first round warms up.
            return Ok((times.split_off(1), report));
        }
    }
}

fn bits(report: &RoundReport, coordinates: u32) -> f64 {
    let most = report.ledger.users.iter().map(|user| user.open_up + user.final_up).max().unwrap_or_default();
    8.0 * most as f64 / f64::from(coordinates)
}

/// Uploads of 24 users on 8,000 coordinates.
fn traffic() -> Outcome<()> {
    let in_threes = |protocol, encoding| Settings { protocol, group_size: 3, encoding, ..Settings::new(8_000) };
    let one_round = |encoding| Settings { encoding, ..Settings::new(8_000) };
    let rows = [
        ("beaver-3-bits", in_threes(Protocol::Beaver, Encoding::Bits)),
        ("beaver-3-packed", in_threes(Protocol::Beaver, Encoding::BaseP)),
        ("lean-3-packed", in_threes(Protocol::Lean, Encoding::BaseP)),
        ("oneround-bits", one_round(Encoding::Bits)),
        ("oneround-packed", one_round(Encoding::BaseP)),
    ];
    for (name, settings) in rows {
        let (cpu_ms, report) = rounds(&settings, USERS, 1)?;
        let openings = report.ledger.users.iter().map(|user| user.open_up).max().unwrap_or_default();
        print("vote-traffic", &format!("openings-{name}"), cpu_ms.clone(), Some(8.0 * openings as f64 / 8_000.0));
        print("vote-traffic", name, cpu_ms, Some(bits(&report, 8_000)));
    }
    Ok(())
}

fn loopback(users: usize, coordinates: u32) -> Outcome<()> {
    let settings = Settings::new(coordinates);
    let task = format!("vote-{users}x{coordinates}");
    let (cpu_ms, report) = rounds(&settings, users, 1)?;
    print(&task, "in-process", cpu_ms, Some(bits(&report, coordinates)));
    drop(report);
    let expected = {
        let votes: Vec<Vec<i8>> = (0..users).map(|user| votes(user, coordinates)).collect();
        Tally::Vote(plain::flat(votes.iter().map(Vec::as_slice), Tie::Zero, &[])?)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    authority::issue(&keys, &settings, users as u16)?;
    let began = ProcessTime::now();
    runtime.block_on(networked(keys, users as u16, coordinates, expected))?;
    print(&task, "loopback", vec![1e3 * began.elapsed().as_secs_f64() / users as f64], None);
    Ok(())
}

/// A round over TLS, in which every client checks the result.
async fn networked(keys: std::path::PathBuf, users: u16, coordinates: u32, expected: Tally) -> Outcome<()> {
    let read = |role: String| PartyFolder::read(&keys.join(role));
    let patience = Duration::from_secs(3_600);
    let (for_users, for_dealer) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (aggregator, dealer) = (for_users.local_addr()?.to_string(), for_dealer.local_addr()?.to_string());
    // Nobody stops them.
    let (_stop, stopped) = watch::channel(false);
    let process = AggregatorProcess {
        folder: read("aggregator".into())?,
        listener: for_users,
        dealer: dealer.clone(),
        rounds: 1,
        gather: patience,
        step: patience,
        whole: patience,
        restart: Switch::Off,
        watch: Watch::default(),
    };
    let process_of_dealer = DealerProcess { folder: read("dealer".into())?, listener: for_dealer, watch: Watch::default() };
    let dealing = tokio::spawn(run_dealer(process_of_dealer, stopped.clone()));
    let stop = stopped.clone();
    let adding = tokio::spawn(async move { run_aggregator(process, stop, |_| ()).await });
    let mut voting = Vec::new();
    for user in 0..users {
        let process = ClientProcess {
            folder: read(format!("user-{user}"))?,
            aggregator: aggregator.clone(),
            dealer: dealer.clone(),
            patience,
            away: patience,
            watch: Watch::default(),
        };
        let (stop, expected) = (stopped.clone(), expected.clone());
        voting.push(tokio::spawn(async move {
            let mut right = false;
            let ballot = |_| Ok(votes(user.into(), coordinates));
            run_client(process, stop, ballot, |end| right = end.tally.as_ref() == Some(&expected)).await.map(|_| right)
        }));
    }
    for client in voting {
        if !client.await?? {
            return Err("a result is not the plain vote".into());
        }
    }
    adding.await??;
    dealing.await??;
    Ok(())
}

fn print(task: &str, mode: &str, cpu_ms: Vec<f64>, value: Option<f64>) {
    let cost = StepCost {
        engine: "thalweg".to_owned(),
        task: task.to_owned(),
        mode: mode.to_owned(),
        cpu_ms,
        wall_ms: vec![],
        peak_mib: peak_mib(),
        start_mib: 0.0,
        value,
    };
    println!("{}", Measurement::Step(cost).to_line());
}
