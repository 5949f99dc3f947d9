//! Payloads that are not vectors of elements.

use super::{Fault, Frame, Party};
use crate::machine::Reason;
use crate::packing::{pack_bits, unpack_bits};

/// Reads a payload from its start.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, length: payload.len() }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.wrong("the fields of this frame"))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn end(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("this frame, which is shorter")) }
    }

    fn wrong(&self, expected: &str) -> Fault {
        Fault::BadPayloadLength { found: self.length, expected: expected.into() }
    }
}

/// A user's greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The user's public key.
    pub key: [u8; 32],
    /// SHA-256 of the user's part of the beacon.
    pub commitment: [u8; 32],
}

impl Hello {
    const VERSION: u16 = 1;

    /// Appends the payload.
    pub fn write(&self, user: u16, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&Self::VERSION.to_le_bytes());
        bytes.extend_from_slice(&user.to_le_bytes());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.commitment);
    }

    /// Reads the payload of a user's frame.
    ///
    /// # Errors
    /// [`Fault::UnsupportedVersion`], [`Fault::SenderMismatch`] for another user's index, or a wrong length.
    pub fn read(frame: &Frame<'_>) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let version = reader.u16()?;
        if version != Self::VERSION {
            return Err(Fault::UnsupportedVersion(version));
        }
        let named = reader.u16()?;
        if named != frame.header.sender.code() {
            return Err(Fault::SenderMismatch { named, from: frame.header.sender });
        }
        let hello = Self { key: reader.array()?, commitment: reader.array()? };
        reader.end()?;
        Ok(hello)
    }
}

/// All greetings of a round, ascending by user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloList(pub Vec<(u16, Hello)>);

impl HelloList {
    /// Appends the payload.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&(self.0.len() as u16).to_le_bytes());
        for (user, hello) in &self.0 {
            bytes.extend_from_slice(&user.to_le_bytes());
            bytes.extend_from_slice(&hello.key);
            bytes.extend_from_slice(&hello.commitment);
        }
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`Fault::BadPayload`] if the users do not ascend, or a wrong length.
    pub fn read(frame: &Frame<'_>) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let count = usize::from(reader.u16()?);
        frame.check_length(2 + count * 66)?;
        let entry = |_| Ok((reader.u16()?, Hello { key: reader.array()?, commitment: reader.array()? }));
        let list: Vec<(u16, Hello)> = (0..count).map(entry).collect::<Result<_, Fault>>()?;
        check_ascending(list.iter().map(|(user, _)| *user))?;
        Ok(Self(list))
    }
}

/// All signatures of a transcript, ascending by user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmAll(pub Vec<(u16, [u8; 64])>);

impl ConfirmAll {
    /// Appends the payload.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&(self.0.len() as u16).to_le_bytes());
        for (user, signature) in &self.0 {
            bytes.extend_from_slice(&user.to_le_bytes());
            bytes.extend_from_slice(signature);
        }
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`Fault::BadPayload`] if the users do not ascend, or a wrong length.
    pub fn read(frame: &Frame<'_>) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let count = usize::from(reader.u16()?);
        frame.check_length(2 + count * 66)?;
        let list: Vec<(u16, [u8; 64])> =
            (0..count).map(|_| Ok((reader.u16()?, reader.array()?))).collect::<Result<_, Fault>>()?;
        check_ascending(list.iter().map(|(user, _)| *user))?;
        Ok(Self(list))
    }
}

pub(super) fn check_ascending(users: impl Iterator<Item = u16>) -> Result<(), Fault> {
    let users: Vec<u16> = users.collect();
    match users.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Fault::BadPayload { what: "the order of users", found: format!("{} before {}", pair[0], pair[1]) }),
    }
}

/// The end of a round before its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    /// Why.
    pub reason: Reason,
    /// Who is to blame, if known.
    pub culprit: Option<Party>,
    /// More words, at most 256 bytes.
    pub words: String,
}

impl Abort {
    const UNKNOWN: u16 = 0xffff;
    const LONGEST: usize = 256;

    /// Appends the payload; words beyond 256 bytes are cut.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let words = &self.words[..self.words.floor_char_boundary(Self::LONGEST)];
        bytes.extend_from_slice(&self.reason.code().to_le_bytes());
        bytes.extend_from_slice(&self.culprit.map_or(Self::UNKNOWN, Party::code).to_le_bytes());
        bytes.extend_from_slice(&(words.len() as u16).to_le_bytes());
        bytes.extend_from_slice(words.as_bytes());
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`Fault::BadPayload`] for an unknown reason or words that are no UTF-8 or too long, or a wrong length.
    pub fn read(frame: &Frame<'_>) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let code = reader.u16()?;
        let reason = Reason::from_code(code).ok_or(Fault::BadPayload { what: "the reason", found: code.to_string() })?;
        let culprit = Some(reader.u16()?).filter(|&code| code != Self::UNKNOWN).map(Party::from_code);
        let length = usize::from(reader.u16()?);
        if length > Self::LONGEST {
            return Err(Fault::BadPayload { what: "the length of the words", found: length.to_string() });
        }
        let words = std::str::from_utf8(reader.bytes(length)?);
        let words = words.map_err(|error| Fault::BadPayload { what: "the words", found: error.to_string() })?.to_owned();
        reader.end()?;
        Ok(Self { reason, culprit, words })
    }
}

/// Who has sent its votes, signed by the aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurvivorSet {
    /// Ascending.
    pub users: Vec<u16>,
    /// The number of users of the round.
    pub of: u16,
    /// Over [`SurvivorSet::signed_bytes`].
    pub signature: [u8; 64],
}

impl SurvivorSet {
    /// Appends the payload.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        self.write_set(bytes);
        bytes.extend_from_slice(&self.signature);
    }

    fn write_set(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.of.to_le_bytes());
        let mut bits = vec![0u8; usize::from(self.of).div_ceil(8)];
        for &user in &self.users {
            bits[usize::from(user) / 8] |= 1 << (user % 8);
        }
        bytes.extend_from_slice(&bits);
    }

    /// What the aggregator signs: a tag, session, round, attempt, and the set.
    pub fn signed_bytes(&self, session: crate::prg::SessionId, round: u32, attempt: u16) -> Vec<u8> {
        let mut bytes = b"thalweg-vote survivors v1".to_vec();
        bytes.extend_from_slice(&session.0);
        bytes.extend_from_slice(&round.to_le_bytes());
        bytes.extend_from_slice(&attempt.to_le_bytes());
        self.write_set(&mut bytes);
        bytes
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`Fault::NonZeroPadding`] for users that do not exist, or a wrong length.
    pub fn read(frame: &Frame<'_>) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let of = reader.u16()?;
        let bits = reader.bytes(usize::from(of).div_ceil(8))?;
        let signature = reader.array()?;
        reader.end()?;
        let has = |user: &u16| bits[usize::from(*user) / 8] >> (user % 8) & 1 == 1;
        if of % 8 != 0 && bits.last().is_some_and(|last| last >> (of % 8) != 0) {
            return Err(Fault::NonZeroPadding);
        }
        Ok(Self { users: (0..of).filter(has).collect(), of, signature })
    }
}

/// The width of a coordinate in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteCode {
    /// One bit: 1 is +1, 0 is -1.
    NoTies,
    /// Two bits: 00 is 0, 01 is +1, 11 is -1.
    Ties,
}

impl VoteCode {
    /// The code for results that may or may not be zero.
    pub const fn new(reveals_ties: bool) -> Self {
        if reveals_ties { Self::Ties } else { Self::NoTies }
    }

    /// The bits of a coordinate.
    pub const fn bits(self) -> u32 {
        match self {
            Self::NoTies => 1,
            Self::Ties => 2,
        }
    }

    /// Appends votes.
    pub fn write(self, votes: &[i8], bytes: &mut Vec<u8>) {
        let codes: Vec<u8> = match self {
            Self::NoTies => votes.iter().map(|&vote| u8::from(vote > 0)).collect(),
            Self::Ties => votes.iter().map(|&vote| vote as u8 & 3).collect(),
        };
        pack_bits(self.bits(), &codes, bytes);
    }

    /// Reads the votes of a frame.
    ///
    /// # Errors
    /// [`Fault`] for a wrong length, the code 10, or padding that is not zero.
    pub fn read(self, frame: &Frame<'_>) -> Result<Vec<i8>, Fault> {
        let mut codes = vec![0; checked_length(frame, self.bits(), frame.payload)?];
        unpack_bits(self.bits(), frame.payload, &mut codes)?;
        match self {
            Self::NoTies => Ok(codes.iter().map(|&code| 2 * code as i8 - 1).collect()),
            Self::Ties if codes.contains(&2) => Err(Fault::ElementOutOfRange),
            Self::Ties => Ok(codes.iter().map(|&code| ((code << 6) as i8) >> 6).collect()),
        }
    }
}

/// The frame's number of coordinates, if `payload` has that many entries of `bits` bits.
fn checked_length(frame: &Frame<'_>, bits: u32, payload: &[u8]) -> Result<usize, Fault> {
    let length = frame.header.length as usize;
    let expected = crate::packing::bits_length(bits, length);
    if payload.len() == expected {
        return Ok(length);
    }
    Err(Fault::BadPayloadLength { found: payload.len(), expected: format!("its coordinates, which take {expected}") })
}

/// Appends the sums of `groups` votes: the number of groups, then each sum plus that number in as few bits as hold `2 groups`.
pub(crate) fn write_mean(sums: &[i8], groups: u16, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&groups.to_le_bytes());
    let shifted: Vec<u8> = sums.iter().map(|&sum| (i16::from(sum) + groups as i16) as u8).collect();
    pack_bits(mean_bits(groups), &shifted, bytes);
}

const fn mean_bits(groups: u16) -> u32 {
    u16::BITS - (2 * groups).leading_zeros()
}

/// Reads the number of groups and the sums of their votes.
pub(crate) fn read_mean(frame: &Frame<'_>) -> Result<(u16, Vec<i8>), Fault> {
    let mut reader = Reader::new(frame.payload);
    let groups = reader.u16()?;
    if groups == 0 || groups > 125 {
        return Err(Fault::BadPayload { what: "the number of groups", found: groups.to_string() });
    }
    let bits = mean_bits(groups);
    let mut shifted = vec![0; checked_length(frame, bits, &frame.payload[2..])?];
    unpack_bits(bits, &frame.payload[2..], &mut shifted)?;
    if shifted.iter().any(|&sum| u16::from(sum) > 2 * groups) {
        return Err(Fault::ElementOutOfRange);
    }
    Ok((groups, shifted.iter().map(|&sum| (i16::from(sum) - groups as i16) as i8).collect()))
}

/// Appends one bit for each vote: 1 is +1.
pub(crate) fn pack_flags(votes: &[i8], bytes: &mut Vec<u8>) {
    VoteCode::NoTies.write(votes, bytes);
}

/// The masked signs of `members` members, each packed on its own.
pub(crate) fn split_flags(frame: &Frame<'_>, members: usize) -> Result<Vec<Vec<i8>>, Fault> {
    let packed = crate::packing::bits_length(1, frame.header.length as usize);
    frame.check_length(packed.saturating_mul(members))?;
    let part = |member: usize| {
        let payload = &frame.payload[member * packed..(member + 1) * packed];
        VoteCode::NoTies.read(&Frame { header: frame.header, payload })
    };
    (0..members).map(part).collect()
}

/// The opening of a commitment: elements and a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacOpening {
    /// Elements, packed as they are: one byte each.
    pub(crate) elements: Vec<u8>,
    pub(crate) nonce: [u8; 32],
}

impl MacOpening {
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.elements);
        bytes.extend_from_slice(&self.nonce);
    }

    /// Reads an opening of `count` elements below `order`.
    pub(crate) fn read(frame: &Frame<'_>, count: usize, order: u8) -> Result<Self, Fault> {
        let mut reader = Reader::new(frame.payload);
        let elements = reader.bytes(count)?.to_vec();
        let nonce = reader.array()?;
        reader.end()?;
        if elements.iter().any(|&element| element >= order) {
            return Err(Fault::ElementOutOfRange);
        }
        Ok(Self { elements, nonce })
    }
}
