//! `thalweg vote inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::wire::{
    Abort, ConfirmAll, Fault, Frame, FrameKind, HEADER_LENGTH, HelloList, LARGEST_FRAME, RoundPlan, SurvivorSet, Unsent,
    VoteCode, WHOLE_ROUND, unpack_vectors,
};

use crate::cli::console::Console;

/// Decode frames for people; secrets are not shown
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote simulate --users 3 --dim 20 --frames round.frames
  thalweg vote inspect round.frames

A file holds frames one after the other, as bytes or as hexadecimal digits. Shares, seeds and corrections are checked but not shown.")]
pub(crate) struct Inspect {
    /// The file with frames
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Document {
    frames: Vec<Decoded>,
}

#[derive(Serialize)]
struct Decoded {
    /// Where the frame starts in the file, in bytes.
    at: usize,
    #[serde(rename = "type")]
    kind: String,
    sender: String,
    session: String,
    round: u32,
    attempt: u16,
    /// Nothing for the whole round.
    group: Option<u16>,
    step: u16,
    first_coordinate: u32,
    coordinates: u32,
    /// The order of the elements' field.
    field: Option<u8>,
    payload_bytes: usize,
    contents: String,
}

impl Inspect {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        let name = self.file.display();
        let wrong = |reason: String| Error::input(format!("{name}: {reason}"));
        let bytes = bytes_of(std::fs::read(&self.file).map_err(|error| wrong(error.to_string()))?);
        let bytes = bytes.map_err(wrong)?;
        if bytes.is_empty() {
            return Err(wrong("the file is empty; it should hold frames one after the other".into()));
        }
        let mut frames = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = frame_length(&bytes[at..]);
            let frame = decode(at, &bytes[at..at + length]);
            frames.push(frame.map_err(|fault| wrong(format!("frame {} at byte {at}: {fault}", frames.len())))?);
            at += length;
        }
        let document = Document { frames };
        console.result(&document, &describe(&document)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Hexadecimal text as the bytes that it stands for; other files as they are.
fn bytes_of(file: Vec<u8>) -> Result<Vec<u8>, String> {
    if !file.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace()) {
        return Ok(file);
    }
    let digits: Vec<u8> = file.into_iter().filter(u8::is_ascii_hexdigit).collect();
    let pair =
        |pair: &[u8]| std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    digits.chunks(2).map(pair).collect::<Option<_>>().ok_or_else(|| "an odd number of hexadecimal digits".to_owned())
}

/// The bytes of the first frame by its header, at most those that there are.
fn frame_length(bytes: &[u8]) -> usize {
    let Some(length) = bytes.get(HEADER_LENGTH - 4..HEADER_LENGTH) else { return bytes.len() };
    let payload = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    HEADER_LENGTH.saturating_add(payload.min(LARGEST_FRAME)).min(bytes.len())
}

fn decode(at: usize, bytes: &[u8]) -> Result<Decoded, Fault> {
    let frame = Frame::parse(bytes)?;
    let header = &frame.header;
    Ok(Decoded {
        at,
        kind: header.kind.to_string(),
        sender: header.sender.to_string(),
        session: header.session.0.iter().map(|byte| format!("{byte:02x}")).collect(),
        round: header.round,
        attempt: header.attempt,
        group: (header.group != WHOLE_ROUND).then_some(header.group),
        step: header.step,
        first_coordinate: header.offset,
        coordinates: header.length,
        field: header.field.map(thalweg::vote::Field::order),
        payload_bytes: frame.payload.len(),
        contents: contents(&frame)?,
    })
}

/// What is public in a payload, in words; of the rest its form.
fn contents(frame: &Frame<'_>) -> Result<String, Fault> {
    Ok(match frame.header.kind {
        FrameKind::RoundPlan => describe_plan(&RoundPlan::read(frame, Unsent::default())?),
        FrameKind::Abort => {
            let abort = Abort::read(frame)?;
            let culprit = abort.culprit.map(|party| format!(", because of {party}")).unwrap_or_default();
            format!("{}{culprit}", abort.reason)
        }
        FrameKind::Survivors => format!("{} users are left", SurvivorSet::read(frame)?.users.len()),
        FrameKind::HelloAll => format!("{} users take part", HelloList::read(frame)?.0.len()),
        FrameKind::ConfirmAll => format!("{} signatures", ConfirmAll::read(frame)?.0.len()),
        FrameKind::Vote => describe_vote(frame)?,
        FrameKind::Correction | FrameKind::Open | FrameKind::Final => {
            format!("{} vectors of shares, not shown", vectors(frame)?)
        }
        FrameKind::OpenSum => format!("{} vectors of sums", vectors(frame)?),
        FrameKind::SeedGrant => {
            frame.check_length(32)?;
            "a seed, not shown".into()
        }
        FrameKind::DealerReady => {
            frame.check_empty()?;
            String::new()
        }
        FrameKind::Hello => "a public key and a commitment".into(),
        FrameKind::Beacon => "a part of the beacon".into(),
        FrameKind::Confirm => "a signature of the transcript".into(),
        FrameKind::SignFlags | FrameKind::SignFlagsAll => "masked signs".into(),
        FrameKind::MacCommit => "a commitment".into(),
        FrameKind::MacOpen => "an opened commitment, not shown".into(),
        FrameKind::GreetAgain => "somebody has not revealed its part of the beacon: greet again".into(),
        FrameKind::Mean => "sums of the groups' votes".into(),
    })
}

/// The vectors of elements in a payload, each of them checked.
fn vectors(frame: &Frame<'_>) -> Result<usize, Fault> {
    let (Some(field), Some(encoding)) = (frame.header.field, frame.header.encoding) else { return Err(Fault::BadField(0)) };
    let packed = encoding.length(field, frame.header.length as usize);
    let count = frame.payload.len().checked_div(packed).unwrap_or_default();
    unpack_vectors(frame, encoding, field, count)?;
    Ok(count)
}

fn describe_plan(plan: &RoundPlan) -> String {
    let settings = &plan.settings;
    format!(
        "{}, {} coordinates, {} users in {} groups, members {:?}",
        settings.protocol, settings.coordinates, plan.users, plan.groups, plan.members
    )
}

/// One bit or two for each coordinate: the payload's length tells which, and a single coordinate is shown as undecided.
fn describe_vote(frame: &Frame<'_>) -> Result<String, Fault> {
    let coordinates = frame.header.length as usize;
    let fits = |code: VoteCode| frame.payload.len() == (coordinates * code.bits() as usize).div_ceil(8);
    let code = match (fits(VoteCode::NoTies), fits(VoteCode::Ties)) {
        (true, true) => return Ok("a vote, of 1 or 2 bits each: too short to tell".into()),
        (true, false) => VoteCode::NoTies,
        _ => VoteCode::Ties,
    };
    let votes = code.read(frame)?;
    let count = |value: i8| votes.iter().filter(|&&vote| vote == value).count();
    Ok(format!("{} times +1, {} times -1, {} ties", count(1), count(-1), count(0)))
}

fn describe(document: &Document) -> Result<String> {
    let count = NumberFormat::Count;
    let mut table = Table::new([
        Column::number("at", count),
        Column::text("type"),
        Column::text("sender"),
        Column::number("round", count),
        Column::text("group"),
        Column::number("step", count),
        Column::text("coordinates"),
        Column::text("field"),
        Column::number("payload", count),
        Column::text("contents"),
    ]);
    for frame in &document.frames {
        let last = u64::from(frame.first_coordinate) + u64::from(frame.coordinates);
        let row = [
            (frame.at as f64).into(),
            frame.kind.clone().into(),
            frame.sender.clone().into(),
            f64::from(frame.round).into(),
            frame.group.map_or_else(|| "all".to_owned(), |group| group.to_string()).into(),
            f64::from(frame.step).into(),
            if frame.coordinates == 0 { String::new() } else { format!("{}..{last}", frame.first_coordinate) }.into(),
            frame.field.map_or_else(String::new, |order| format!("F_{order}")).into(),
            (frame.payload_bytes as f64).into(),
            frame.contents.clone().into(),
        ];
        table.row(row).map_err(|error| Error::piece("drawing the table", error))?;
    }
    Ok(format!("{} frames of session {}\n\n{}", document.frames.len(), document.frames[0].session, table.to_text()))
}
