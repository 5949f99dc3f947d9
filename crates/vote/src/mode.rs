//! Secure votes and, for comparison, the vote without secrecy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Protocol, Result, Settings};

/// How users come to a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mode {
    /// The aggregator gets every user's signs. Protects nobody.
    Plain,
    /// By a protocol.
    Secure(Protocol),
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 6] = {
        let [a, b, c, d, e] = Protocol::ALL;
        [Self::Plain, Self::Secure(a), Self::Secure(b), Self::Secure(c), Self::Secure(d), Self::Secure(e)]
    };

    /// The name in commands, configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Secure(protocol) => protocol.name(),
        }
    }

    /// The protocol; a plain vote has none.
    pub const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Plain => None,
            Self::Secure(protocol) => Some(protocol),
        }
    }

    /// What a person should be told before a session with these settings.
    pub fn warnings(self, settings: &Settings, users: usize) -> Vec<String> {
        match self {
            Self::Plain => {
                let seen = "plain: no secrecy, the aggregator sees every sign of every user".to_owned();
                std::iter::once(seen).chain(settings.tie_warnings()).collect()
            }
            Self::Secure(_) => settings.warnings(users),
        }
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::Secure(Protocol::default())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mode = Self::ALL.into_iter().find(|mode| mode.name() == text);
        mode.ok_or_else(|| Error::value("mode", text, &Self::ALL.map(Self::name).join(", ")))
    }
}

impl TryFrom<String> for Mode {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.name().into()
    }
}
