//! The header of every frame, and the cut between header and payload.

use super::{Fault, FrameKind, Party};
use crate::prg::{SessionId, Suite};
use crate::{Encoding, Field};

/// The bytes of a header.
pub const HEADER_LENGTH: usize = 48;

/// The most bytes of a frame, header included.
pub const LARGEST_FRAME: usize = 64 << 20;

/// The group number of frames about the whole round.
pub const WHOLE_ROUND: u16 = 0xffff;

const MAGIC: [u8; 4] = *b"TWV1";

/// What precedes every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type.
    pub kind: FrameKind,
    /// The cipher of the session.
    pub suite: Suite,
    /// How elements or bits are packed; `None` where there are none.
    pub encoding: Option<Encoding>,
    /// The field of the elements; `None` where there are none.
    pub field: Option<Field>,
    /// The session.
    pub session: SessionId,
    /// The round.
    pub round: u32,
    /// The attempt at it.
    pub attempt: u16,
    /// The group, or [`WHOLE_ROUND`].
    pub group: u16,
    /// Who sends.
    pub sender: Party,
    /// The level of an opening, from 1; the last level + 1 for final shares and votes; else 0.
    pub step: u16,
    /// The first coordinate.
    pub offset: u32,
    /// The number of coordinates.
    pub length: u32,
}

/// A header and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// The bytes after it.
    pub payload: &'a [u8],
}

impl Header {
    /// A frame with this header; the payload is written by `write`.
    pub fn frame(&self, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend_from_slice(&MAGIC);
        let suite = match self.suite {
            Suite::ChaCha20 => 1,
            Suite::Aes256Ctr => 2,
        };
        let encoding = match self.encoding {
            None => 0,
            Some(Encoding::Bits) => 1,
            Some(Encoding::BaseP) => 2,
        };
        bytes.extend_from_slice(&[self.kind.code(), suite, encoding, self.field.map_or(0, Field::order)]);
        bytes.extend_from_slice(&self.session.0);
        bytes.extend_from_slice(&self.round.to_le_bytes());
        for word in [self.attempt, self.group, self.sender.code(), self.step] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.offset, self.length, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        write(&mut bytes);
        let payload = (bytes.len() - HEADER_LENGTH) as u32;
        bytes[HEADER_LENGTH - 4..HEADER_LENGTH].copy_from_slice(&payload.to_le_bytes());
        bytes
    }

    /// The coordinates.
    pub const fn range(&self) -> std::ops::Range<usize> {
        self.offset as usize..(self.offset as usize).saturating_add(self.length as usize)
    }
}

impl<'a> Frame<'a> {
    /// Cuts bytes into header and payload. Checks, in this order: magic, length of the header, type, suite, encoding, field, size,
    /// presence of the payload, trailing bytes.
    ///
    /// # Errors
    /// The first [`Fault`] in that order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        if !bytes.iter().zip(&MAGIC).all(|(a, b)| a == b) {
            return Err(Fault::BadMagic);
        }
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Fault::Truncated { found: bytes.len(), expected: HEADER_LENGTH });
        };
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let kind = FrameKind::from_code(head[4]).ok_or(Fault::UnknownType(head[4]))?;
        let suite = match head[5] {
            1 => Suite::ChaCha20,
            2 => Suite::Aes256Ctr,
            other => return Err(Fault::UnknownSuite(other)),
        };
        let encoding = match head[6] {
            0 => None,
            1 => Some(Encoding::Bits),
            2 => Some(Encoding::BaseP),
            other => return Err(Fault::UnknownEncoding(other)),
        };
        let field = match head[7] {
            0 => None,
            order => Some(Field::new(order.into()).map_err(|_| Fault::BadField(order))?),
        };
        if field.is_none() && encoding == Some(Encoding::BaseP) {
            return Err(Fault::BadField(0));
        }
        if field.is_some() && encoding.is_none() {
            return Err(Fault::UnknownEncoding(0));
        }
        let length = u32_at(44) as usize;
        if length > LARGEST_FRAME - HEADER_LENGTH {
            return Err(Fault::FrameTooLarge(length));
        }
        if payload.len() < length {
            return Err(Fault::Truncated { found: bytes.len(), expected: HEADER_LENGTH + length });
        }
        if payload.len() > length {
            return Err(Fault::TrailingBytes(payload.len() - length));
        }
        let mut session = SessionId([0; 16]);
        session.0.copy_from_slice(&head[8..24]);
        let header = Header {
            kind,
            suite,
            encoding,
            field,
            session,
            round: u32_at(24),
            attempt: u16_at(28),
            group: u16_at(30),
            sender: Party::from_code(u16_at(32)),
            step: u16_at(34),
            offset: u32_at(36),
            length: u32_at(40),
        };
        Ok(Self { header, payload })
    }

    /// Checks that the frame names the party that it came from.
    ///
    /// # Errors
    /// [`Fault::SenderMismatch`].
    pub fn check_sender(&self, from: Party) -> Result<(), Fault> {
        if self.header.sender == from {
            return Ok(());
        }
        Err(Fault::SenderMismatch { named: self.header.sender.code(), from })
    }

    /// Checks that there is no payload.
    ///
    /// # Errors
    /// [`Fault::BadPayloadLength`].
    pub fn check_empty(&self) -> Result<(), Fault> {
        self.check_length(0)
    }

    /// Checks the length of the payload.
    ///
    /// # Errors
    /// [`Fault::BadPayloadLength`].
    pub fn check_length(&self, expected: usize) -> Result<(), Fault> {
        if self.payload.len() == expected {
            return Ok(());
        }
        Err(Fault::BadPayloadLength { found: self.payload.len(), expected: format!("this frame, which takes {expected}") })
    }
}
