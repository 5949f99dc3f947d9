//! A vote between real processes on loopback.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

const DIM: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

fn command(folder: &Path, call: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(call.split_whitespace()).env_remove("THALWEG_RUNS").stdin(Stdio::null());
    command
}

#[track_caller]
fn done(folder: &Path, call: &str) {
    let output = command(folder, call).output().unwrap();
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn refused(folder: &Path, call: &str, parts: &[&str]) {
    let output = command(folder, call).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{call}: {message}");
    assert!(parts.iter().all(|part| message.contains(part)) && !message.contains("panicked"), "{call}: {message}");
}

/// A running process whose standard error is read line by line.
struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    fn start(folder: &Path, call: &str) -> Self {
        let mut child = command(folder, call).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// The rest of the first line that has these words.
    #[track_caller]
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no `{words}`: {:?}", self.seen));
            self.seen.push(line.clone());
            if let Some((_, rest)) = line.split_once(words) {
                return rest.trim().to_owned();
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(mut self) -> (ExitStatus, String, Vec<String>) {
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        (status, output, std::mem::take(&mut self.seen))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where the test has failed; an ended process is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gradient(user: usize) -> Vec<f32> {
    (0..DIM).map(|c| if (user * 7 + c * 3) % 5 < 2 { 0.5 } else { -0.25 }).collect()
}

fn majority(users: &[usize]) -> Vec<i64> {
    let sum = |c: usize| users.iter().map(|&user| gradient(user)[c].signum() as i64).sum::<i64>();
    (0..DIM).map(|c| sum(c).signum()).collect()
}

/// Keys for five users, their gradients, and both servers.
struct Session {
    folder: tempfile::TempDir,
    aggregator: Process,
    dealer: Process,
    at: String,
    dealer_at: String,
}

impl Session {
    fn start(aggregator_options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        done(folder.path(), &format!("vote keys --out keys --users 5 --dim {DIM}"));
        for user in 0..5 {
            let bytes = gradient(user).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            std::fs::write(folder.path().join(format!("g{user}.f32")), bytes).unwrap();
        }
        let mut dealer = Process::start(folder.path(), "vote dealer --keys keys/dealer --listen 127.0.0.1:0 --json --verbose");
        let dealer_at = dealer.wait_for("listening on");
        let call = format!(
            "vote aggregator --keys keys/aggregator --listen 127.0.0.1:0 --dealer {dealer_at} --out result.json --json --verbose \
             {aggregator_options}"
        );
        let mut aggregator = Process::start(folder.path(), &call);
        let at = aggregator.wait_for("listening on");
        Self { folder, aggregator, dealer, at, dealer_at }
    }

    fn client(&self, user: usize, dealer_at: &str) -> Process {
        let call = format!(
            "vote client --keys keys/user-{user} --gradient g{user}.f32 --aggregator {} --dealer {dealer_at} --out r{user}.json --json \
             --verbose",
            self.at
        );
        Process::start(self.folder.path(), &call)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

fn votes(value: &Value) -> Vec<i64> {
    value["vote"].as_array().unwrap().iter().map(|vote| vote.as_i64().unwrap()).collect()
}

#[test]
fn seven_processes_vote_twice_and_log_no_secret() {
    let mut session = Session::start("--rounds 2");
    let clients: Vec<Process> = (0..5).map(|user| session.client(user, &session.dealer_at)).collect();
    session.aggregator.wait_for("round 1:");
    let mut logs = Vec::new();
    for client in clients {
        let (status, output, log) = client.end();
        assert!(status.success(), "{log:?}");
        let document: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(document["rounds"].as_array().unwrap().len(), 2);
        logs.extend(log);
    }
    let expected = majority(&[0, 1, 2, 3, 4]);
    for user in 0..5 {
        let rounds = session.read(&format!("r{user}.json"));
        assert_eq!([&rounds[0], &rounds[1]].map(|round| votes(&round["tally"])), [expected.clone(), expected.clone()]);
    }
    let result = session.read("result.json");
    assert_eq!(votes(&result[1]["outcome"]["tally"]), expected);
    let secrets = ["aggregator", "dealer", "user-0", "user-4"].map(|role| {
        let key = std::fs::read_to_string(session.path(&format!("keys/{role}/key.pem"))).unwrap();
        let secret = std::fs::read_to_string(session.path(&format!("keys/{role}/secret.key"))).unwrap();
        [key.lines().nth(1).unwrap().to_owned(), secret]
    });
    for process in [session.aggregator, session.dealer] {
        let (status, output, log) = process.end();
        assert!(status.success(), "{log:?}");
        let document: Value = serde_json::from_str(&output).unwrap();
        assert!(
            document["traffic"]["frames_sent"].as_u64().unwrap() > 0 && document["traffic"]["refused"] == serde_json::json!({})
        );
        logs.extend(log);
    }
    let logs = logs.join("\n");
    assert!(logs.contains("a round is open"), "{logs}");
    assert!(secrets.iter().flatten().all(|secret| secret.len() > 40 && !logs.contains(secret.as_str())));
}

#[cfg(unix)]
#[test]
fn a_client_that_is_killed_in_a_round_is_left_out() {
    let session = Session::start("--step-timeout 2");
    // It greets, and waits for a dealer who never answers.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut killed = session.client(4, &nowhere.local_addr().unwrap().to_string());
    let clients: Vec<Process> = (0..4).map(|user| session.client(user, &session.dealer_at)).collect();
    // Its part of the beacon is out: from now on the others go on without it.
    killed.wait_for("state=planned");
    killed.signal("-KILL");
    for client in clients {
        let (status, _, log) = client.end();
        assert!(status.success(), "{log:?}");
    }
    for user in 0..4 {
        assert_eq!(votes(&session.read(&format!("r{user}.json"))[0]["tally"]), majority(&[0, 1, 2, 3]));
    }
    assert_eq!(session.read("result.json")[0]["outcome"]["survivors"], serde_json::json!([0, 1, 2, 3]));
    let (status, _, log) = session.aggregator.end();
    assert!(status.success(), "{log:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_processes_in_order() {
    let session = Session::start("");
    let client = session.client(0, &session.dealer_at);
    std::thread::sleep(Duration::from_millis(500));
    for (process, code) in [(client, 1), (session.aggregator, 1), (session.dealer, 0)] {
        process.signal("-INT");
        let (status, output, log) = process.end();
        assert_eq!(status.code(), Some(code), "{log:?}");
        assert!(code == 0 || output.contains("stopped"), "{output}");
    }
}

/// The text that an address answers to `GET /metrics`.
fn metrics(at: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_operator_watches_a_session() {
    let mut session = Session::start("--rounds 2 --metrics 127.0.0.1:0 --frame-log frames.jsonl");
    let at = session.aggregator.wait_for("metrics on");
    assert!(metrics(&at).contains("thalweg_vote_rounds_with_result_total 0\n"));
    let clients: Vec<Process> = (0..5).map(|user| session.client(user, &session.dealer_at)).collect();
    session.aggregator.wait_for("round 0:");
    assert!(metrics(&at).contains("thalweg_vote_rounds_with_result_total 1\n") || metrics(&at).contains("result_total 2\n"));
    for client in clients {
        assert!(client.end().0.success());
    }
    let frames = session.path("frames.jsonl");
    let (status, output, log) = session.aggregator.end();
    assert!(status.success(), "{log:?}");
    let document: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(document["rounds"][0]["missing"], serde_json::json!([]));
    let sent = document["traffic"]["frames_sent"].as_u64().unwrap();
    let lines = std::fs::read_to_string(frames).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains("\"way\":\"sent\"")).count() as u64, sent);
}

#[test]
fn certificates_are_renewed_and_one_administration_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "vote keys --out keys --users 3 --dim 10 --keep-authority --organisation Example");
    let certificate = std::fs::read(folder.join("keys/user-1/cert.pem")).unwrap();
    let issue = "vote keys issue --authority keys/authority";
    done(folder, &format!("{issue} --role user-1 --into keys/user-1 --days 30"));
    assert_ne!(std::fs::read(folder.join("keys/user-1/cert.pem")).unwrap(), certificate);
    refused(folder, &format!("{issue} --role user-3 --into keys/user-1"), &["user-3", "user-0 to user-2"]);
    refused(folder, &format!("{issue} --role user-1 --into nowhere"), &["nowhere"]);
    refused(folder, &format!("{issue} --role user-1 --into keys/user-1 --days 0"), &["days"]);
    refused(folder, &format!("{issue} --role user-1 --into keys/user-1 --out x"), &["--into"]);
    refused(folder, "vote keys issue --authority keys/dealer --role user-1 --into keys/user-1", &["ca.key"]);
    let mut dealer = Process::start(folder, "vote dealer --keys keys/dealer --listen 127.0.0.1:0");
    let at = dealer.wait_for("listening on");
    let call = format!("vote aggregator --keys keys/aggregator --listen 127.0.0.1:0 --dealer {at} --gather 1");
    let (_, _, log) = Process::start(folder, &call).end();
    assert!(log.iter().any(|line| line.contains("same organisation")), "{log:?}");
}

#[test]
fn bad_calls_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "vote keys --out keys --users 3 --dim 10");
    refused(folder, "vote keys --out keys --users 3 --dim 10", &["keys", "exists"]);
    refused(folder, "vote keys --users 3 --dim 10", &["--out"]);
    refused(folder, "vote keys --out k", &["--users"]);
    refused(folder, "vote keys --out k --users 3", &["--dim"]);
    refused(folder, "vote keys --out k --users 2 --dim 10", &["smallest group"]);
    refused(folder, "vote keys --out k --users 300 --dim 10 --group 3", &["300", "250"]);
    refused(folder, "vote keys --out k --users 3 --dim 0", &["coordinates"]);
    assert!(!folder.join("k").exists());
    refused(folder, "vote dealer --keys nowhere", &["nowhere"]);
    refused(folder, "vote dealer --keys keys/user-0", &["user 0", "dealer"]);
    refused(folder, "vote aggregator --keys keys/dealer", &["dealer", "aggregator"]);
    refused(folder, "vote aggregator --keys keys/aggregator --listen nonsense", &["nonsense", "HOST:PORT"]);
    refused(folder, "vote aggregator --keys keys/aggregator --step-timeout 0", &["step-timeout"]);
    refused(folder, "vote aggregator --keys keys/aggregator --rounds 0", &["--rounds"]);
    refused(folder, "vote client --keys keys/user-0", &["--gradient"]);
    refused(folder, "vote client --keys keys/aggregator --random", &["user"]);
    refused(folder, "vote client --keys keys/user-0 --gradient g.f32 --seed 1", &["--seed"]);
    std::fs::write(folder.join("keys/user-1/session.json"), "{\"session\": 3}").unwrap();
    refused(folder, "vote client --keys keys/user-1 --random", &["session.json"]);
    let output =
        command(folder, "vote client --keys keys/user-0 --random --away 0.2 --aggregator 127.0.0.1:9 --dealer 127.0.0.1:9")
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
