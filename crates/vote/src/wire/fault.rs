//! What a message can have wrong. A fault is a value: no message makes a machine panic.

use super::{FrameKind, Party};
use crate::correlation::Missing;
use crate::packing::UnpackError;

/// Why a frame is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first four bytes.
    #[error("the frame does not start with TWV1; it is of another format or version")]
    BadMagic,
    /// The version in a greeting.
    #[error("wire version {0} is not supported; this side speaks version 1")]
    UnsupportedVersion(u16),
    /// The type byte.
    #[error("there is no frame type {0}")]
    UnknownType(u8),
    /// The suite byte.
    #[error("there is no cipher suite {0}; 1 is ChaCha20, 2 is AES-256")]
    UnknownSuite(u8),
    /// The encoding byte, or one that does not fit the type.
    #[error("there is no encoding {0}; 1 is bits, 2 is base-p")]
    UnknownEncoding(u8),
    /// The field byte: composite, or not the plan's.
    #[error("the field of {0} elements is no prime field of the plan")]
    BadField(u8),
    /// Fewer bytes than the header or the payload length says.
    #[error("the frame has {found} bytes, but {expected} are needed")]
    Truncated {
        /// The bytes there are.
        found: usize,
        /// The bytes there should be.
        expected: usize,
    },
    /// More bytes than the payload length says.
    #[error("{0} bytes follow the payload")]
    TrailingBytes(usize),
    /// Beyond the limit, found before anything is allocated.
    #[error("a payload of {0} bytes exceeds the limit of a frame")]
    FrameTooLarge(usize),
    /// The payload is not as long as its coordinates take, or they are no chunk of the plan.
    #[error("a payload of {found} bytes does not fit {expected}")]
    BadPayloadLength {
        /// The bytes there are.
        found: usize,
        /// What would be right.
        expected: String,
    },
    /// An element of at least p.
    #[error("an element of the payload is not in the field")]
    ElementOutOfRange,
    /// Bits after the last element.
    #[error("the bits after the last element are not zero")]
    NonZeroPadding,
    /// A value in a payload that no such payload has.
    #[error("{what} in the payload is {found}, which is not possible")]
    BadPayload {
        /// The value's name.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// Another session.
    #[error("the frame is of another session")]
    WrongSession,
    /// Another round.
    #[error("the frame is of round {found}, but this is round {expected}")]
    WrongRound {
        /// The frame's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Another attempt.
    #[error("the frame is of attempt {found}, but this is attempt {expected}")]
    WrongAttempt {
        /// The frame's.
        found: u16,
        /// Ours.
        expected: u16,
    },
    /// Another group.
    #[error("the frame is of group {0}")]
    WrongGroup(u16),
    /// A step that is not the one awaited.
    #[error("the frame is of step {found}, but step {expected} is awaited")]
    WrongStep {
        /// The frame's.
        found: u16,
        /// The one awaited.
        expected: u16,
    },
    /// A type that is not expected now.
    #[error("a {kind} frame does not fit the state {state}")]
    WrongState {
        /// The frame's type.
        kind: FrameKind,
        /// The machine's state.
        state: String,
    },
    /// A suite or an encoding that is not the plan's.
    #[error("the {0} of the frame is not the plan's")]
    WrongFormat(&'static str),
    /// A sender other than the one whose channel it came by.
    #[error("the frame names {named} as its sender, but came from {from}")]
    SenderMismatch {
        /// The sender in the header.
        named: u16,
        /// The party at the other end.
        from: Party,
    },
    /// Somebody who does not belong to the group or the round.
    #[error("{0} is no member here")]
    NotAMember(Party),
    /// A second frame for one step.
    #[error("a second {0} frame for one step")]
    Duplicate(FrameKind),
    /// A second frame with other bytes.
    #[error("user {0} sent two different frames for one step")]
    Equivocation(u16),
    /// A plan that differs from what was agreed.
    #[error("the plan differs from what was agreed for this session: {0}")]
    PlanDiffers(&'static str),
    /// A group that the beacon did not draw.
    #[error("the plan's group is not the one that the beacon draws")]
    GroupingDiffers,
    /// A beacon that is not the digest of the reveals.
    #[error("the plan's beacon is not the digest of what the users revealed")]
    BeaconDiffers,
    /// A reveal that does not fit its commitment, or a changed commitment.
    #[error("what user {0} revealed does not fit its commitment")]
    CommitmentMismatch(u16),
    /// Randomness that was used before.
    #[error("the randomness of round {round}, attempt {attempt} was used before; it is never used again")]
    AlreadyUsed {
        /// The round.
        round: u32,
        /// The attempt.
        attempt: u16,
    },
    /// A second attempt that would reveal a difference of votes.
    #[error("a restart is refused: {0}")]
    RestartRefused(&'static str),
    /// A vector of correlated randomness that did not come.
    #[error(transparent)]
    MissingCorrelation(#[from] Missing),
    /// A signature that is not over the transcript that this user saw.
    #[error("user {0} has not confirmed the transcript that this user saw: the aggregator may have told them different things")]
    ConfirmationMismatch(u16),
    /// A signature of the aggregator that does not verify.
    #[error("the aggregator's signature does not verify")]
    BadSignature,
    /// Codes that do not add up.
    #[error("the message authentication codes do not add up: somebody altered a share")]
    MacFailure,
    /// A set of survivors after the first one.
    #[error("a second set of survivors for one round is refused")]
    SecondSurvivorSet,
    /// Survivors below the agreed number, or without this user.
    #[error("the set of survivors is refused: {0}")]
    BadSurvivors(&'static str),
    /// A result that no honest run gives.
    #[error("the result at coordinate {0} is no vote: somebody sent a wrong share")]
    OutputOutOfRange(usize),
    /// The machine has ended.
    #[error("the machine has ended: {0}")]
    Ended(String),
}

impl Fault {
    /// The name of the variant, stable for logs and vectors.
    pub fn name(&self) -> String {
        let debug = format!("{self:?}");
        debug.chars().take_while(char::is_ascii_alphanumeric).collect()
    }
}

impl From<UnpackError> for Fault {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Length { found, expected } => {
                Self::BadPayloadLength { found, expected: format!("the elements, which take {expected}") }
            }
            UnpackError::OutOfRange => Self::ElementOutOfRange,
            UnpackError::Padding => Self::NonZeroPadding,
        }
    }
}
