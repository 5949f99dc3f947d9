//! The plan of a round, for one group.

use super::bodies::check_ascending;
use super::{Fault, Frame, Header, Reader};
use crate::grouping::{Beacon, Regroup};
use crate::settings::{Options, Outer, Settings};
use crate::{Domain, Protocol, ScheduleKind, Tie};

/// What is voted on, by whom and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundPlan {
    /// What was agreed for the session; group size and regrouping are not on the wire.
    pub settings: Settings,
    /// The users of the round.
    pub users: u16,
    /// The groups of the round.
    pub groups: u16,
    /// The members of this group, ascending.
    pub members: Vec<u16>,
    /// The public randomness of the round.
    pub beacon: Beacon,
    /// SHA-256 of the roster.
    pub roster: [u8; 32],
}

/// What is agreed for a session and not on the wire: the groups of a plan show whether it was kept to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// The members of a group, about; 0 for one group of all.
    pub group_size: u16,
    /// How often groups are drawn anew.
    pub regroup: Regroup,
}

const FLAG_ZERO_SHARING: u8 = 1;
const FLAG_LEAST_DEGREE: u8 = 2;
const FLAG_CONFIRM: u8 = 4;
const FLAG_SIGN_MASK: u8 = 8;
const FLAG_MAC: u8 = 16;
const SCHEDULE_SHIFT: u8 = 5;
const FLAG_BASE_P: u8 = 128;

impl RoundPlan {
    /// Appends the payload.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let settings = &self.settings;
        bytes.push(protocol_code(settings.protocol));
        bytes.extend_from_slice(&[tie_code(settings.ties.inner), tie_code(settings.ties.outer)]);
        bytes.push(u8::from(settings.domain == Domain::Ternary));
        bytes.push(u8::from(settings.outer == Outer::Mean));
        bytes.push(flags(settings));
        bytes.extend_from_slice(&settings.min_group.to_le_bytes());
        bytes.extend_from_slice(&settings.min_survivors.to_le_bytes());
        bytes.extend_from_slice(&settings.coordinates.to_le_bytes());
        bytes.extend_from_slice(&settings.chunk.to_le_bytes());
        for word in [self.users, self.groups, self.members.len() as u16].iter().chain(&self.members) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.beacon.0);
        bytes.extend_from_slice(&self.roster);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`Fault`] for a code that does not exist, members that do not ascend or do not exist, or a wrong length.
    pub fn read(frame: &Frame<'_>, unsent: Unsent) -> Result<Self, Fault> {
        let bad = |what: &'static str, code: u8| Fault::BadPayload { what, found: code.to_string() };
        let mut reader = Reader::new(frame.payload);
        let protocol = reader.u8()?;
        let protocol = protocol_of(protocol).ok_or_else(|| bad("the protocol", protocol))?;
        let mut tie = || {
            let code = reader.u8()?;
            Tie::ALL.get(usize::from(code)).copied().ok_or_else(|| bad("the tie policy", code))
        };
        let ties = crate::plain::Ties { inner: tie()?, outer: tie()? };
        let domain = match reader.u8()? {
            0 => Domain::Binary,
            1 => Domain::Ternary,
            code => return Err(bad("the domain", code)),
        };
        let outer = match reader.u8()? {
            0 => Outer::Vote,
            1 => Outer::Mean,
            code => return Err(bad("the outer result", code)),
        };
        let flags = reader.u8()?;
        let kind = ScheduleKind::ALL.get(usize::from(flags >> SCHEDULE_SHIFT & 3)).copied();
        let schedule = kind.ok_or_else(|| bad("the schedule", flags >> SCHEDULE_SHIFT & 3))?;
        let settings = Settings {
            protocol,
            group_size: unsent.group_size,
            regroup: unsent.regroup,
            ties,
            domain,
            outer,
            options: options(flags, schedule),
            encoding: if flags & FLAG_BASE_P == 0 { crate::Encoding::Bits } else { crate::Encoding::BaseP },
            suite: frame.header.suite,
            min_group: reader.u16()?,
            min_survivors: reader.u16()?,
            coordinates: reader.u32()?,
            chunk: reader.u32()?,
        };
        let (users, groups, count) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let members: Vec<u16> = (0..count).map(|_| reader.u16()).collect::<Result<_, _>>()?;
        let plan = Self { settings, users, groups, members, beacon: Beacon(reader.array()?), roster: reader.array()? };
        reader.end()?;
        check_ascending(plan.members.iter().copied())?;
        Ok(plan)
    }

    /// The frame for a group.
    pub fn frame(&self, header: Header) -> Vec<u8> {
        header.frame(|bytes| self.write(bytes))
    }
}

const fn protocol_code(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Beaver => 1,
        Protocol::Lean => 2,
        Protocol::OneRound => 3,
        Protocol::Survivors => 4,
        Protocol::Sealed => 5,
    }
}

fn protocol_of(code: u8) -> Option<Protocol> {
    Protocol::ALL.into_iter().find(|&protocol| protocol_code(protocol) == code)
}

fn tie_code(tie: Tie) -> u8 {
    Tie::ALL.iter().position(|&other| other == tie).unwrap_or_default() as u8
}

fn flags(settings: &Settings) -> u8 {
    let options = &settings.options;
    let bit = |on: bool, flag: u8| if on { flag } else { 0 };
    let schedule = ScheduleKind::ALL.iter().position(|&kind| kind == options.schedule).unwrap_or_default() as u8;
    bit(options.zero_sharing == crate::ZeroSharing::On, FLAG_ZERO_SHARING)
        | bit(options.degree == crate::Degree::Least, FLAG_LEAST_DEGREE)
        | bit(options.confirm.is_on(), FLAG_CONFIRM)
        | bit(options.sign_mask.is_on(), FLAG_SIGN_MASK)
        | bit(options.mac.is_on(), FLAG_MAC)
        | schedule << SCHEDULE_SHIFT
        | bit(settings.encoding == crate::Encoding::BaseP, FLAG_BASE_P)
}

fn options(flags: u8, schedule: ScheduleKind) -> Options {
    let on = |flag: u8| if flags & flag == 0 { crate::settings::Switch::Off } else { crate::settings::Switch::On };
    Options {
        zero_sharing: if flags & FLAG_ZERO_SHARING == 0 { crate::ZeroSharing::Off } else { crate::ZeroSharing::On },
        degree: if flags & FLAG_LEAST_DEGREE == 0 { crate::Degree::Full } else { crate::Degree::Least },
        schedule,
        confirm: on(FLAG_CONFIRM),
        sign_mask: on(FLAG_SIGN_MASK),
        mac: on(FLAG_MAC),
    }
}
