//! What voters agree on, as options.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use thalweg::descent::{Error, Result};
use thalweg::vote::plain::Ties;
use thalweg::vote::prg::Suite;
use thalweg::vote::settings::Options;
use thalweg::vote::{Degree, Domain, Encoding, Mode, Outer, Protocol, ScheduleKind, Settings, Switch, Tie, ZeroSharing};

use super::failed;

/// What voters agree on before a session.
#[derive(Args, Clone)]
pub(super) struct Agreed {
    /// How the vote is evaluated; oneround, survivors and sealed are our own constructions, not reviewed; plain hides nothing
    #[arg(long, value_name = "MODE", default_value = "oneround", value_parser = modes())]
    mode: Mode,
    /// The members of a group, about; 0 is one group of all
    #[arg(long, value_name = "G", default_value_t = 0)]
    group: u16,
    /// All settings at once; paper: beaver in groups of 3, bits, no sharing of zero
    #[arg(long, value_name = "NAME", value_parser = ["paper"],
        conflicts_with_all = ["mode", "group", "encoding", "zero_share"])]
    preset: Option<String>,
    /// The vote on a tie, within a group; plus and minus bias training
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie: Tie,
    /// The vote on a tie among groups
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie_outer: Tie,
    /// What becomes of the groups' votes: their majority (vote) or their mean
    #[arg(long, value_name = "HOW", default_value = "vote",
        value_parser = choice(vec![("vote", Outer::Vote), ("mean", Outer::Mean)]))]
    outer: Outer,
    /// What a user may vote: -1 or +1 (binary), or also 0 (ternary)
    #[arg(long, value_name = "DOMAIN", default_value = "binary", value_parser = domains())]
    domain: Domain,
    /// How elements become bytes
    #[arg(long, value_name = "HOW", default_value = "base-p",
        value_parser = choice(vec![("base-p", Encoding::BaseP), ("bits", Encoding::Bits)]))]
    encoding: Encoding,
    /// The cipher that expands shares from seeds
    #[arg(long, value_name = "CIPHER", default_value = "chacha20",
        value_parser = choice(vec![("chacha20", Suite::ChaCha20), ("aes256", Suite::Aes256Ctr)]))]
    suite: Suite,
    /// Hide final shares behind a fresh sharing of zero
    #[arg(long, value_name = "SWITCH", default_value = "on",
        value_parser = choice(vec![("on", ZeroSharing::On), ("off", ZeroSharing::Off)]))]
    zero_share: ZeroSharing,
    /// Which polynomial: full shows some cheating, least is cheaper
    #[arg(long, value_name = "WHICH", default_value = "full", value_parser = degrees())]
    degree: Degree,
    /// How powers are multiplied up, for beaver and lean
    #[arg(long, value_name = "HOW", default_value = "halving", value_parser = schedules())]
    schedule: ScheduleKind,
    /// Sign what was seen before the last message: finds an aggregator that tells users different things
    #[arg(long)]
    confirm: bool,
    /// Enter votes as one masked bit, so that none can be anything but -1 or +1; for oneround
    #[arg(long)]
    sign_mask: bool,
    /// Authenticate all shares, so that no altered one passes; needs --sign-mask
    #[arg(long)]
    mac: bool,
    /// The least members of a group, below which users refuse to vote
    #[arg(long, value_name = "N", default_value_t = 3)]
    min_group: u16,
    /// The least users whose votes are counted, after losses
    #[arg(long, value_name = "N", default_value_t = 3)]
    min_survivors: u16,
    /// Coordinates of one message
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    chunk: u32,
}

impl Agreed {
    /// The settings for so many users and coordinates, checked.
    pub(super) fn settings(&self, users: usize, coordinates: u32) -> Result<Settings> {
        if usize::from(self.group) > users {
            return Err(Error::input(format!(
                "--group is {}, more than the {users} users; 0 is one group of all of them",
                self.group
            )));
        }
        let base = if self.preset.is_some() { Settings::published(coordinates) } else { self.chosen(coordinates) };
        let settings = Settings {
            ties: Ties { inner: self.tie, outer: self.tie_outer },
            domain: self.domain,
            outer: self.outer,
            options: Options {
                zero_sharing: base.options.zero_sharing,
                degree: self.degree,
                schedule: self.schedule,
                confirm: switch(self.confirm),
                sign_mask: switch(self.sign_mask),
                mac: switch(self.mac),
            },
            suite: self.suite,
            min_group: self.min_group,
            min_survivors: self.min_survivors,
            chunk: self.chunk.min(coordinates.max(1)),
            ..base
        };
        settings.check(users).map_err(failed)?;
        Ok(settings)
    }

    /// How the vote is evaluated.
    pub(super) fn mode(&self) -> Mode {
        if self.preset.is_some() { Mode::Secure(Protocol::Beaver) } else { self.mode }
    }

    /// What the preset would choose.
    fn chosen(&self, coordinates: u32) -> Settings {
        let options = Options { zero_sharing: self.zero_share, ..Options::default() };
        Settings {
            protocol: self.mode.protocol().unwrap_or_default(),
            group_size: self.group,
            encoding: self.encoding,
            options,
            ..Settings::new(coordinates)
        }
    }
}

const fn switch(on: bool) -> Switch {
    if on { Switch::On } else { Switch::Off }
}

/// A parser of named choices, which help and errors list.
pub(super) fn choice<T: Copy + Send + Sync + 'static>(choices: Vec<(&'static str, T)>) -> impl TypedValueParser<Value = T> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let find = move |given: String| {
        let found = choices.iter().find(|(name, _)| *name == given);
        found.map(|(_, value)| *value).ok_or("no such choice")
    };
    PossibleValuesParser::new(names).try_map(find)
}

pub(super) fn modes() -> impl TypedValueParser<Value = Mode> {
    choice(Mode::ALL.map(|mode| (mode.name(), mode)).to_vec())
}

pub(super) fn ties() -> impl TypedValueParser<Value = Tie> {
    choice(vec![("zero", Tie::Zero), ("plus", Tie::Plus), ("minus", Tie::Minus), ("coin", Tie::Coin)])
}

pub(super) fn domains() -> impl TypedValueParser<Value = Domain> {
    choice(vec![("binary", Domain::Binary), ("ternary", Domain::Ternary)])
}

pub(super) fn degrees() -> impl TypedValueParser<Value = Degree> {
    choice(vec![("full", Degree::Full), ("least", Degree::Least)])
}

pub(super) fn schedules() -> impl TypedValueParser<Value = ScheduleKind> {
    use ScheduleKind::{Halving, PowersOfTwo, SquareSteps};
    choice(vec![("halving", Halving), ("powers-of-two", PowersOfTwo), ("square-steps", SquareSteps)])
}
