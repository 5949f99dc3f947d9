//! Gets sets of the catalogue with the user's own package clients, or adds an archive, and says how long each step took.
//!
//! ```text
//! cargo run -p thalweg-data --example get -- fashion-mnist imdb
//! cargo run -p thalweg-data --example get -- add cifar10-jpeg cifar10-jpg.tar.zst
//! ```
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::path::Path;
use std::time::Instant;

use thalweg_data::{Cache, GetOptions, Got, Network, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cache = Cache::user()?;
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => list(&cache),
        ["add", name, file] => show(&cache, || cache.add(name, Path::new(file), &GetOptions::default()))?,
        names => {
            let options = GetOptions { network: Network::PackageClient, ..GetOptions::default() };
            for name in names {
                show(&cache, || cache.get(name, &options))?;
            }
        }
    }
    Ok(())
}

fn list(cache: &Cache) {
    for set in cache.list() {
        println!("{:14} {:9} {:>11} bytes  {}", set.name, set.state.to_string(), set.archive_bytes, set.summary);
    }
}

fn show(cache: &Cache, get: impl FnOnce() -> Result<Got>) -> Result<()> {
    let start = Instant::now();
    let got = get()?;
    println!(
        "{}: {:?} in {:.2} s, {} records, {} bytes",
        got.name,
        got.outcome,
        start.elapsed().as_secs_f64(),
        got.records,
        got.bytes
    );
    println!("  content sha256 {}", got.content_sha256);
    let start = Instant::now();
    let set = cache.load(&got.name)?;
    println!("  loaded again in {:.1} ms: {set:?}", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
