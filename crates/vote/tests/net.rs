//! Whole votes over loopback, with TLS and certificates on both sides.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg_vote::machine::{Reason, Tally};
use thalweg_vote::net::{
    AggregatorProcess, ClientProcess, ClientRound, DealerProcess, FrameLog, PartyFolder, RoundEnd, Traffic, Watch, authority,
    run_aggregator, run_client, run_dealer,
};
use thalweg_vote::wire::Party;
use thalweg_vote::{Error, Protocol, Settings, Simulation, SimulationConfig, Switch, Tie, plain};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const COORDINATES: usize = 300;

fn votes(user: u16, round: u32) -> Vec<i8> {
    let sign = |c: usize| {
        let mixed = (u64::from(user) * 1_000_003 + u64::from(round) * 97 + c as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        2 * (mixed >> 61 & 1) as i8 - 1
    };
    (0..COORDINATES).map(sign).collect()
}

fn expected(users: &[u16], round: u32) -> Tally {
    let votes: Vec<Vec<i8>> = users.iter().map(|&user| votes(user, round)).collect();
    Tally::Vote(plain::flat(votes.iter().map(Vec::as_slice), Tie::Zero, &[]).unwrap())
}

fn settings(protocol: Protocol) -> Settings {
    let mut settings = Settings { protocol, chunk: 100, ..Settings::new(COORDINATES as u32) };
    settings.options.confirm = if protocol == Protocol::Survivors { Switch::Off } else { Switch::On };
    settings
}

type AggregatorTask = JoinHandle<Result<(Vec<RoundEnd>, Traffic), Error>>;
type ClientTask = JoinHandle<Result<(Vec<ClientRound>, Traffic), Error>>;

/// The servers of a session on loopback.
struct Session {
    folder: PathBuf,
    aggregator_at: String,
    dealer_at: String,
    aggregator: AggregatorTask,
    dealer: JoinHandle<Result<Traffic, Error>>,
    stop_servers: watch::Sender<bool>,
    stop_clients: watch::Sender<bool>,
}

impl Session {
    async fn start(folder: &Path, settings: &Settings, users: u16, rounds: u32) -> Self {
        authority::issue(folder, settings, users).unwrap();
        Self::start_in(folder, rounds).await
    }

    async fn start_in(folder: &Path, rounds: u32) -> Self {
        Self::start_within(folder, rounds, [Duration::from_secs(2), Duration::from_secs(60)]).await
    }

    /// With so much time for a step, and for a round.
    async fn start_within(folder: &Path, rounds: u32, [step, whole]: [Duration; 2]) -> Self {
        let read = |role: &str| PartyFolder::read(&folder.join(role)).unwrap();
        let [for_users, for_dealer] =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let aggregator_at = for_users.local_addr().unwrap().to_string();
        let dealer_at = for_dealer.local_addr().unwrap().to_string();
        let (stop_servers, stopped) = watch::channel(false);
        let process = AggregatorProcess {
            folder: read("aggregator"),
            listener: for_users,
            dealer: dealer_at.clone(),
            rounds,
            gather: Duration::from_secs(20),
            step,
            whole,
            restart: Switch::On,
            watch: Watch { metrics: None, frame_log: Some(FrameLog::open(&folder.join("frames.jsonl")).unwrap()) },
        };
        let aggregator_stopped = stopped.clone();
        let aggregator = tokio::spawn(async move {
            let mut ends = Vec::new();
            let traffic = run_aggregator(process, aggregator_stopped, |end| ends.push(end.clone())).await?;
            Ok((ends, traffic))
        });
        let dealer = tokio::spawn(run_dealer(
            DealerProcess { folder: read("dealer"), listener: for_dealer, watch: Watch::default() },
            stopped,
        ));
        Self {
            folder: folder.to_owned(),
            aggregator_at,
            dealer_at,
            aggregator,
            dealer,
            stop_servers,
            stop_clients: watch::channel(false).0,
        }
    }

    fn client(&self, user: u16) -> ClientTask {
        self.client_with(user, &self.dealer_at)
    }

    fn client_with(&self, user: u16, dealer: &str) -> ClientTask {
        let process = ClientProcess {
            folder: PartyFolder::read(&self.folder.join(format!("user-{user}"))).unwrap(),
            aggregator: self.aggregator_at.clone(),
            dealer: dealer.to_owned(),
            patience: Duration::from_secs(20),
            away: Duration::from_secs(20),
            watch: Watch::default(),
        };
        let stop = self.stop_clients.subscribe();
        tokio::spawn(async move {
            let mut rounds = Vec::new();
            let traffic = run_client(process, stop, |round| Ok(votes(user, round)), |round| rounds.push(round.clone())).await?;
            Ok((rounds, traffic))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_gives_everybody_the_plain_vote() {
    let mut grouped = settings(Protocol::Beaver);
    grouped.group_size = 3;
    let mut guarded = settings(Protocol::OneRound);
    (guarded.options.sign_mask, guarded.options.mac) = (Switch::On, Switch::On);
    for (settings, users, is_flat) in [
        (settings(Protocol::OneRound), 5, true),
        (settings(Protocol::Survivors), 5, true),
        (settings(Protocol::Lean), 4, true),
        (guarded, 4, true),
        (grouped, 7, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::start(&folder.path().join("keys"), &settings, users, 2).await;
        let clients: Vec<ClientTask> = (0..users).map(|user| session.client(user)).collect();
        let (ends, traffic) = session.aggregator.await.unwrap().unwrap();
        assert_eq!(ends.iter().map(|end| end.round).collect::<Vec<_>>(), [0, 1]);
        assert!(traffic.refused.is_empty() && traffic.transport_bytes_received > traffic.frame_bytes_received, "{traffic:?}");
        let results: Vec<Tally> = ends.into_iter().map(|end| end.outcome.unwrap().tally).collect();
        for client in clients {
            let (rounds, traffic) = client.await.unwrap().unwrap();
            assert!(rounds.iter().map(|round| round.tally.as_ref()).eq(results.iter().map(Some)), "{rounds:?}");
            assert!(traffic.frames_sent >= 4 && traffic.connections == 2, "{traffic:?}");
        }
        if is_flat {
            let everyone: Vec<u16> = (0..users).collect();
            assert_eq!(results, [expected(&everyone, 0), expected(&everyone, 1)], "{}", settings.protocol);
        }
        session.dealer.await.unwrap().unwrap();
    }
}

/// A user that greets and then falls silent: it cannot reach the dealer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_stalls_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::start(&folder.path().join("keys"), &settings(Protocol::OneRound), 5, 1).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = session.client_with(4, &nowhere.local_addr().unwrap().to_string());
    let clients: Vec<ClientTask> = (0..4).map(|user| session.client(user)).collect();
    let (ends, _) = session.aggregator.await.unwrap().unwrap();
    let outcome = ends[0].outcome.clone().unwrap();
    assert_eq!(outcome.survivors, [0, 1, 2, 3]);
    assert_eq!(outcome.tally, expected(&[0, 1, 2, 3], 0));
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().0[0].tally, Some(expected(&[0, 1, 2, 3], 0)));
    }
    silent.abort();
}

/// Steps have all the time, the round has not: it ends, and says who was missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_ends_at_its_deadline_and_names_who_was_missing() {
    for (group_size, users) in [(0, 5), (3, 6)] {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        authority::issue(&keys, &Settings { group_size, ..settings(Protocol::OneRound) }, users).unwrap();
        let session = Session::start_within(&keys, 1, [Duration::from_secs(50), Duration::from_secs(3)]).await;
        let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = session.client_with(2, &nowhere.local_addr().unwrap().to_string());
        let clients: Vec<ClientTask> = (0..users).filter(|&user| user != 2).map(|user| session.client(user)).collect();
        let (ends, traffic) = session.aggregator.await.unwrap().unwrap();
        assert_eq!(ends[0].missing, [2], "{ends:?}");
        if group_size == 0 {
            assert!(ends[0].outcome.is_none() && ends[0].reason == Some(Reason::DeadlinePassed), "{ends:?}");
            assert_eq!((ends[0].culprit, traffic.rounds_without_result), (Some(Party::User(2)), 1));
        } else {
            // The other group has its vote.
            assert_eq!(ends[0].outcome.as_ref().unwrap().survivors.len(), 3, "{ends:?}");
        }
        for client in clients {
            let (rounds, _) = client.await.unwrap().unwrap();
            assert_eq!(rounds[0].tally.as_ref(), ends[0].outcome.as_ref().map(|outcome| &outcome.tally), "{rounds:?}");
        }
        silent.abort();
    }
}

/// The log of the aggregator has a line for each frame, and the hash that the frame has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_noted_by_their_hash() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::start(&folder.path().join("keys"), &settings(Protocol::OneRound), 3, 1).await;
    let clients: Vec<ClientTask> = (0..3).map(|user| session.client(user)).collect();
    let (_, traffic) = session.aggregator.await.unwrap().unwrap();
    for client in clients {
        client.await.unwrap().unwrap();
    }
    let text = std::fs::read_to_string(folder.path().join("keys/frames.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |key: &str, value: &str| lines.iter().filter(|line| line[key] == value).count();
    assert_eq!(count("way", "sent") as u64, traffic.frames_sent);
    let sent: u64 = lines.iter().filter(|line| line["way"] == "sent").filter_map(|line| line["bytes"].as_u64()).sum();
    assert_eq!(sent, traffic.frame_bytes_sent);
    // TCP carries the frames, and TLS and HTTP/2 around them.
    assert!(traffic.transport_bytes_sent > sent, "{traffic:?}");
    // What came of each user on the wire is what the ledger of a simulation counts, and the formula.
    let of_user = |user: &str| {
        let mine = lines.iter().filter(|line| line["party"] == user && (line["type"] == "Open" || line["type"] == "Final"));
        mine.filter_map(|line| line["bytes"].as_u64()).sum::<u64>()
    };
    let formula = thalweg_vote::costs::upload(&settings(Protocol::OneRound), 3, 3).unwrap().wire();
    let mut simulation = Simulation::new(SimulationConfig::new(settings(Protocol::OneRound), 3)).unwrap();
    let ledger = simulation.round(&(0..3).map(|user| votes(user, 0)).collect::<Vec<_>>()).unwrap().ledger;
    for user in 0..3 {
        let on_the_wire = of_user(&format!("user {user}"));
        assert_eq!((on_the_wire, ledger.users[user].wire_up), (formula, formula), "{lines:?}");
    }
    // Three users: a greeting, a part of the beacon, a signature, and three chunks of openings and of shares each.
    assert_eq!(["Hello", "Beacon", "Open", "Final"].map(|kind| count("type", kind)), [3, 3 + 9, 9, 9]);
    assert!(lines.iter().all(|line| line["sha256"].as_str().unwrap().len() == 64 && line["bytes"].as_u64().unwrap() >= 48));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_loses_a_member_counts_as_nothing() {
    let mut grouped = settings(Protocol::OneRound);
    grouped.group_size = 3;
    let folder = tempfile::tempdir().unwrap();
    let session = Session::start(&folder.path().join("keys"), &grouped, 6, 1).await;
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = session.client_with(2, &nowhere.local_addr().unwrap().to_string());
    let clients: Vec<ClientTask> = [0, 1, 3, 4, 5].map(|user| session.client(user)).into();
    let (ends, _) = session.aggregator.await.unwrap().unwrap();
    let outcome = ends[0].outcome.clone().unwrap();
    assert!(outcome.survivors.len() == 3 && !outcome.survivors.contains(&2), "{outcome:?}");
    assert_eq!(outcome.tally, expected(&outcome.survivors, 0), "the vote of one group is its members' majority");
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().0[0].tally.as_ref(), Some(&outcome.tally));
    }
    silent.abort();
}

/// Who starts again never votes twice with the same randomness; the round that comes next is a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_after_everybody_has_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let session = Session::start(&keys, &settings(Protocol::OneRound), 4, 1).await;
    let clients: Vec<ClientTask> = (0..4).map(|user| session.client(user)).collect();
    assert!(session.aggregator.await.unwrap().unwrap().0[0].outcome.is_some());
    for client in clients {
        client.await.unwrap().unwrap();
    }
    session.dealer.await.unwrap().unwrap();
    let used = std::fs::read_to_string(keys.join("user-0/used.json")).unwrap();
    assert_eq!(used, r#"{"round":0,"attempt":0}"#);

    // An aggregator that has lost its mark opens round 0 again: users and dealer refuse.
    std::fs::remove_file(keys.join("aggregator/used.json")).unwrap();
    let session = Session::start_in(&keys, 2).await;
    let clients: Vec<ClientTask> = (0..4).map(|user| session.client(user)).collect();
    let (ends, _) = session.aggregator.await.unwrap().unwrap();
    assert!(ends[0].outcome.is_none(), "{ends:?}");
    assert_eq!(ends[1].outcome.as_ref().unwrap().tally, expected(&[0, 1, 2, 3], 1));
    for client in clients {
        let (rounds, _) = client.await.unwrap().unwrap();
        assert!(rounds[0].tally.is_none() && rounds[0].reason.as_ref().unwrap().contains("never used again"), "{rounds:?}");
        assert!(rounds[1].tally.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_every_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::start(&folder.path().join("keys"), &settings(Protocol::OneRound), 4, 1).await;
    // One user is missing, so that the others wait.
    let clients: Vec<ClientTask> = (0..3).map(|user| session.client(user)).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ended = async {
        session.stop_clients.send(true).unwrap();
        for client in clients {
            assert!(client.await.unwrap().unwrap_err().to_string().contains("stopped"));
        }
        session.stop_servers.send(true).unwrap();
        assert!(session.aggregator.await.unwrap().unwrap_err().to_string().contains("stopped"));
        session.dealer.await.unwrap().unwrap();
    };
    tokio::time::timeout(Duration::from_secs(15), ended).await.unwrap();
}

#[test]
fn folders_hold_secrets_that_nobody_else_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let made = authority::issue(&keys, &settings(Protocol::OneRound), 3).unwrap();
    assert_eq!(made.len(), 5);
    assert!(authority::issue(&keys, &settings(Protocol::OneRound), 3).unwrap_err().to_string().contains("exists"));
    assert!(authority::issue(&folder.path().join("other"), &settings(Protocol::OneRound), 2).is_err());
    #[cfg(unix)]
    for file in ["key.pem", "secret.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(keys.join("user-1").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let read = |role: &str| PartyFolder::read(&keys.join(role)).map(|folder| folder.party.to_string());
    assert_eq!(read("user-1").unwrap(), "user 1");
    for (file, bad) in [("secret.key", "00"), ("cert.pem", "nothing"), ("key.pem", ""), ("ca.pem", "x"), ("session.json", "{}")] {
        let path = keys.join("user-1").join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, bad).unwrap();
        let error = read("user-1").unwrap_err().to_string();
        assert!(error.contains("user-1") && !error.contains(&String::from_utf8_lossy(&good)[..20]), "{file}: {error}");
        std::fs::remove_file(&path).unwrap();
        assert!(read("user-1").unwrap_err().to_string().contains(file));
        std::fs::write(&path, good).unwrap();
    }
    // Another's certificate does not fit the own key.
    std::fs::copy(keys.join("user-0/cert.pem"), keys.join("user-1/cert.pem")).unwrap();
    assert!(read("user-1").is_err());
}
