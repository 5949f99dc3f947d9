//! What all state machines share: events in, actions out. No machine opens a socket, reads a clock or starts a thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Outer;
use crate::plain::TwoLevel;
use crate::wire::{Fault, Party};

/// A machine that takes events and gives actions.
pub trait Machine {
    /// Takes an event. Actions are to be done in their order; a frame that follows an [`Action::Persist`] must not leave before
    /// the mark is safe.
    ///
    /// # Errors
    /// [`Fault`] for a frame that does not fit. A user's machine has then ended; an aggregator's and a dealer's go on as if the
    /// frame had not come.
    fn handle(&mut self, event: Event<'_>) -> Result<Vec<Action>, Fault>;

    /// The state, for logs.
    fn state(&self) -> StateName;
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A frame came by the channel of a party. The channel must be authenticated.
    Frame {
        /// The party at the other end.
        from: Party,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A timer ran out.
    Deadline(TimerId),
}

/// A timer that a machine has set. Later ones have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(pub u64);

/// The bytes of a frame, shared by all whom it goes to.
pub type FrameBytes = Arc<[u8]>;

/// What a machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a frame.
    Send {
        /// To whom.
        to: Party,
        /// The bytes.
        frame: FrameBytes,
    },
    /// Give [`Event::Deadline`] after a while.
    SetTimer {
        /// The timer.
        id: TimerId,
        /// How long.
        after: Duration,
    },
    /// Store that this randomness is used, before anything else is done.
    Persist(UseMark),
    /// The round has ended with a result.
    Done(Box<Outcome>),
    /// The round has ended without one.
    Abort {
        /// Why.
        reason: Reason,
        /// Who is to blame, if known.
        culprit: Option<Party>,
    },
}

/// The last randomness that was used: anything up to it is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UseMark {
    /// The round.
    pub round: u32,
    /// The attempt at it.
    pub attempt: u16,
}

/// A published result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tally {
    /// The vote in each coordinate.
    Vote(Vec<i8>),
    /// The sum of the groups' votes in each coordinate, and the number of groups: their mean.
    Mean {
        /// The sums.
        sums: Vec<i8>,
        /// The groups whose votes were counted.
        groups: u16,
    },
}

impl Tally {
    /// The result of groups' votes.
    pub fn of_groups(votes: TwoLevel, outer: Outer) -> Self {
        match outer {
            Outer::Vote => Self::Vote(votes.vote),
            Outer::Mean => {
                let sum = |c: usize| votes.groups.iter().map(|votes| votes[c]).sum();
                Self::Mean { sums: (0..votes.vote.len()).map(sum).collect(), groups: votes.groups.len() as u16 }
            }
        }
    }

    /// The vote; of a mean its sign.
    pub fn votes(&self) -> Vec<i8> {
        match self {
            Self::Vote(vote) => vote.clone(),
            Self::Mean { sums, .. } => sums.iter().map(|sum| sum.signum()).collect(),
        }
    }
}

/// How a group ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupStatus {
    /// It has voted.
    Decided,
    /// It has not, and counts as 0.
    Dead {
        /// Why.
        reason: Reason,
        /// The members that did not answer in time.
        missing: Vec<u16>,
    },
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The round.
    pub round: u32,
    /// The attempt that succeeded.
    pub attempt: u16,
    /// The result.
    pub tally: Tally,
    /// The users whose votes were counted; known to the aggregator alone.
    pub survivors: Vec<u16>,
    /// The groups, in their order; known to the aggregator alone.
    pub groups: Vec<GroupStatus>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $words:literal;)*) => {
        /// Why a round or a group ended without a result. Names and codes are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// The code on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The reason of a code.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words,)* })
            }
        }
    };
}

reasons! {
    /// A deadline passed.
    DeadlinePassed = 1, "a deadline passed";
    /// A user refused a frame.
    FrameRefused = 2, "a frame was refused";
    /// A member of the group is missing, and the group counts as 0.
    GroupIncomplete = 3, "a member of the group is missing";
    /// The result is no vote.
    OutputOutOfRange = 4, "the result is no vote";
    /// Fewer users answered than were agreed.
    TooFewSurvivors = 5, "too few users are left";
    /// The parts of the beacon are not complete.
    BeaconIncomplete = 6, "a user has not revealed its part of the beacon";
    /// No group has voted.
    NoGroupLeft = 7, "no group has voted";
    /// The shares of the survivors are on no polynomial.
    SharesDisagree = 8, "the shares of the survivors do not fit one polynomial";
    /// The user has left this attempt out.
    LeftOut = 9, "the round goes on without this user";
}

/// The states of all machines. Names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// Nothing is under way.
    Idle,
    /// Waiting for greetings.
    Greeting,
    /// Waiting for the parts of the beacon.
    Revealing,
    /// Waiting for the plan, and the holder for its corrections.
    Planned,
    /// Waiting for masked signs.
    Flagging,
    /// Waiting for openings or their sums.
    Opening,
    /// Waiting for the survivors.
    Surviving,
    /// Waiting for signatures.
    Confirming,
    /// Waiting for the check of codes.
    Checking,
    /// Waiting for final shares or the result.
    Final,
    /// The group is dead; waiting for the result of the others.
    Abstained,
    /// A result was published.
    Done,
    /// The round ended without a result.
    Aborted,
    /// The dealer has prepared a round.
    Provisioned,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}
