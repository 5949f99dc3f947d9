//! Metrics on request: `GET /metrics` in the text format of Prometheus.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::metrics::{Metrics, Traffic};

/// Requests that are answered at the same time.
const REQUESTS: usize = 8;

/// The most bytes of a request.
const LONGEST_REQUEST: usize = 4_096;

/// How long a request and its answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers until the task is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let requests = Arc::new(Semaphore::new(REQUESTS));
    loop {
        let Ok(permit) = requests.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            // Who asks too slowly, or leaves, gets no answer.
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &metrics)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 512];
        let read = stream.read(&mut part).await?;
        request.extend_from_slice(&part[..read]);
        if read == 0 || request.len() > LONGEST_REQUEST {
            return Ok(());
        }
    }
    let (status, body) = match request.split(|&byte| byte == b' ').take(2).collect::<Vec<_>>()[..] {
        [b"GET", b"/metrics"] => ("200 OK", page(&metrics.snapshot(), metrics.connected())),
        [b"GET", _] => ("404 Not Found", "there is but /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET /metrics\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(traffic: &Traffic, connected: u64) -> String {
    let mut page = String::new();
    let counters = [
        ("rounds_with_result_total", "Rounds that ended with a result.", traffic.rounds_with_result),
        ("rounds_without_result_total", "Rounds that ended without one.", traffic.rounds_without_result),
        ("frames_sent_total", "Frames sent.", traffic.frames_sent),
        ("frame_bytes_sent_total", "Bytes of frames sent.", traffic.frame_bytes_sent),
        ("frames_received_total", "Frames received.", traffic.frames_received),
        ("frame_bytes_received_total", "Bytes of frames received.", traffic.frame_bytes_received),
        ("transport_bytes_sent_total", "Bytes sent by TCP.", traffic.transport_bytes_sent),
        ("transport_bytes_received_total", "Bytes received by TCP.", traffic.transport_bytes_received),
        ("connections_total", "Connections made.", traffic.connections),
        ("connections_refused_total", "Connections refused at handshake or certificate.", traffic.connections_refused),
    ];
    // Writing to a string cannot fail.
    let mut line = |name: &str, help: &str, kind: &str, value: u64| {
        let _ =
            write!(page, "# HELP thalweg_vote_{name} {help}\n# TYPE thalweg_vote_{name} {kind}\nthalweg_vote_{name} {value}\n");
    };
    counters.iter().for_each(|(name, help, value)| line(name, help, "counter", *value));
    line("connected_parties", "Parties that are connected.", "gauge", connected);
    page.push_str("# HELP thalweg_vote_frames_refused_total Frames refused, by fault.\n");
    page.push_str("# TYPE thalweg_vote_frames_refused_total counter\n");
    for (fault, count) in &traffic.refused {
        let _ = writeln!(page, "thalweg_vote_frames_refused_total{{fault=\"{fault}\"}} {count}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn counters_are_told_to_who_asks_for_them_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::default());
        metrics.refuse("WrongRound");
        metrics.ended(true);
        metrics.connect(2);
        tokio::spawn(serve(listener, metrics));
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        for line in [
            "thalweg_vote_rounds_with_result_total 1",
            "thalweg_vote_connected_parties 2",
            "thalweg_vote_frames_refused_total{fault=\"WrongRound\"} 1",
        ] {
            assert!(body.lines().any(|other| other == line), "{line}: {body}");
        }
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        let long = "x".repeat(LONGEST_REQUEST + 600);
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The answer, if any: a closed connection.
        let _ = stream.write_all(long.as_bytes()).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}
