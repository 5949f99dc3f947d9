//! Where a machine stands in a session: what every frame that it sends or takes must say.

use std::ops::Range;

use crate::prg::SessionId;
use crate::settings::Settings;
use crate::wire::{Fault, Frame, FrameKind, Header, Party};
use crate::{Encoding, Field};

/// Session, round and attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) session: SessionId,
    pub(crate) suite: crate::prg::Suite,
    pub(crate) round: u32,
    pub(crate) attempt: u16,
    pub(crate) sender: Party,
}

impl Scene {
    pub(crate) const fn new(session: SessionId, settings: &Settings, sender: Party) -> Self {
        Self { session, suite: settings.suite, round: 0, attempt: 0, sender }
    }

    /// The header of a frame without elements.
    pub(crate) const fn header(&self, kind: FrameKind, group: u16, step: u16) -> Header {
        Header {
            kind,
            suite: self.suite,
            encoding: None,
            field: None,
            session: self.session,
            round: self.round,
            attempt: self.attempt,
            group,
            sender: self.sender,
            step,
            offset: 0,
            length: 0,
        }
    }

    /// The header of a frame about coordinates.
    pub(crate) fn chunk_header(&self, kind: FrameKind, group: u16, step: u16, range: &Range<usize>) -> Header {
        Header { offset: range.start as u32, length: range.len() as u32, ..self.header(kind, group, step) }
    }

    /// Checks session, cipher, round and attempt.
    pub(crate) fn check(&self, header: &Header) -> Result<(), Fault> {
        self.check_session(header)?;
        if header.round != self.round {
            return Err(Fault::WrongRound { found: header.round, expected: self.round });
        }
        if header.attempt != self.attempt {
            return Err(Fault::WrongAttempt { found: header.attempt, expected: self.attempt });
        }
        Ok(())
    }

    /// Checks session and cipher.
    pub(crate) fn check_session(&self, header: &Header) -> Result<(), Fault> {
        if header.session != self.session {
            return Err(Fault::WrongSession);
        }
        if header.suite != self.suite {
            return Err(Fault::WrongFormat("cipher suite"));
        }
        Ok(())
    }
}

/// With elements of a field in an encoding.
pub(crate) const fn with_elements(header: Header, encoding: Encoding, field: Field) -> Header {
    Header { encoding: Some(encoding), field: Some(field), ..header }
}

/// With bits.
pub(crate) const fn with_bits(header: Header) -> Header {
    Header { encoding: Some(Encoding::Bits), ..header }
}

/// The chunk that a frame is about.
pub(crate) fn chunk_of(settings: &Settings, frame: &Frame<'_>) -> Result<usize, Fault> {
    let chunk = (frame.header.offset / settings.chunk) as usize;
    if chunk < settings.chunks() && settings.chunk_range(chunk) == frame.header.range() {
        return Ok(chunk);
    }
    let range = frame.header.range();
    Err(Fault::BadPayloadLength {
        found: frame.payload.len(),
        expected: format!("a chunk of the plan; its coordinates are {range:?}"),
    })
}

/// Checks the step.
pub(crate) fn check_step(header: &Header, expected: u16) -> Result<(), Fault> {
    if header.step == expected { Ok(()) } else { Err(Fault::WrongStep { found: header.step, expected }) }
}

/// Checks the group.
pub(crate) fn check_group(header: &Header, expected: u16) -> Result<(), Fault> {
    if header.group == expected { Ok(()) } else { Err(Fault::WrongGroup(header.group)) }
}
