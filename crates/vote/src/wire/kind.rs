//! Frame types and parties.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The type of a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FrameKind {
            $($(#[$doc])* $name = $code,)*
        }

        impl FrameKind {
            /// The type of a code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A user's greeting, with its commitment to a part of the beacon.
    Hello = 1,
    /// What is voted on, by whom and how.
    RoundPlan = 2,
    /// The holder's shares of corrected vectors.
    Correction = 3,
    /// A user's masked values.
    Open = 4,
    /// Their sums.
    OpenSum = 5,
    /// A user's signature of the transcript.
    Confirm = 6,
    /// All signatures.
    ConfirmAll = 7,
    /// A user's share of the result.
    Final = 8,
    /// The result.
    Vote = 9,
    /// The end of a round before its result.
    Abort = 10,
    /// The dealer is ready.
    DealerReady = 11,
    /// A user's seed for the session.
    SeedGrant = 12,
    /// Who has sent its votes.
    Survivors = 13,
    /// A user's masked signs.
    SignFlags = 14,
    /// All masked signs.
    SignFlagsAll = 15,
    /// A commitment within the check of codes.
    MacCommit = 16,
    /// Its opening.
    MacOpen = 17,
    /// A user's part of the beacon.
    Beacon = 18,
    /// All greetings of a round.
    HelloAll = 19,
    /// The mean of the groups' votes.
    Mean = 20,
    /// Somebody has not revealed its part of the beacon: the others greet once more.
    GreetAgain = 21,
}

impl FrameKind {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Someone who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// A user, by its index in the roster.
    User(u16),
    /// The aggregator, who adds and publishes.
    Aggregator,
    /// The dealer, who prepares correlated randomness and sees no votes.
    Dealer,
}

impl Party {
    const AGGREGATOR: u16 = 0xffff;
    const DEALER: u16 = 0xfffe;

    /// The code on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::User(user) => user,
            Self::Aggregator => Self::AGGREGATOR,
            Self::Dealer => Self::DEALER,
        }
    }

    /// The party of a code.
    pub const fn from_code(code: u16) -> Self {
        match code {
            Self::AGGREGATOR => Self::Aggregator,
            Self::DEALER => Self::Dealer,
            user => Self::User(user),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Aggregator => f.write_str("the aggregator"),
            Self::Dealer => f.write_str("the dealer"),
        }
    }
}
