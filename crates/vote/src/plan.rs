//! Which protocol for how many users: what each costs, reveals, and survives.

use serde::{Deserialize, Serialize};

use crate::costs::{self, Counting, Savings, upload};
use crate::{Error, Protocol, Result, Settings, agreement, leakage};

/// The share of users that is lost in the figures of a plan.
const LOSS: f64 = 0.05;

/// A protocol with a group size, for given users and coordinates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    /// The protocol's name; `plain` is the vote without protection.
    pub mode: String,
    /// The group size; 0 for one group of all.
    pub group: u16,
    /// Bits of openings and shares of the result that a user sends for each coordinate.
    pub bits_up_per_coordinate: f64,
    /// Bytes that a user sends, headers included.
    pub bytes_up: u64,
    /// Bytes of corrections that a user gets from the dealer, on average.
    pub bytes_from_dealer: f64,
    /// Openings that wait for one another.
    pub depth: usize,
    /// What the aggregator learns about a sign of one user, in bits: 1 in the vote without protection.
    pub leak_bits: f64,
    /// The probability that a given user's group completes if each user is lost with probability 5 %.
    pub complete_at_5_percent: f64,
    /// The probability that the result is the flat vote, for uniform votes.
    pub agreement: f64,
    /// The least users who decide every coordinate while they follow the rules.
    pub attackers: usize,
}

impl Mode {
    /// `ln(bytes up + bytes from the dealer) + 2 ln(leak) - ln(complete) - 2 ln(agreement)`: the weights of the recommendation. The
    /// least is the best.
    pub fn score(&self) -> f64 {
        (self.bytes_up as f64 + self.bytes_from_dealer).ln() + 2.0 * self.leak_bits.ln()
            - self.complete_at_5_percent.ln()
            - 2.0 * self.agreement.ln()
    }
}

/// What every mode costs, and which one is recommended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The modes, the vote without protection first.
    pub modes: Vec<Mode>,
    /// What Beaver in groups of 3 saves a user against flat Beaver, in openings: the published comparison.
    pub saving_user: f64,
    /// What one user in each group saves against one user of the flat vote: the published total.
    pub saving_total_paper: f64,
    /// What all users save against all users.
    pub saving_total_all: f64,
    /// The mode of the least score, as `name` or `name --group size`.
    pub recommended: String,
}

/// Compares all modes for a number of users and coordinates.
///
/// ```
/// let plan = thalweg_vote::plan::compare(24, 8_000)?;
/// assert_eq!((plan.saving_user, plan.saving_total_paper), (0.94, 0.52));
/// assert_eq!(plan.recommended, "oneround");
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] unless there are 3 to 250 users and at least one coordinate.
pub fn compare(users: usize, coordinates: u32) -> Result<Plan> {
    if !(3..=250).contains(&users) {
        return Err(Error::value("the number of users", users, "from 3 to 250"));
    }
    if coordinates == 0 {
        return Err(Error::value("the number of coordinates", 0, "at least 1"));
    }
    let mut modes = vec![plain(users, coordinates)];
    for group in group_sizes(users) {
        for protocol in Protocol::ALL {
            let settings = Settings { protocol, group_size: group, ..Settings::new(coordinates) };
            if settings.check(users).is_ok() {
                modes.push(mode(&settings, users)?);
            }
        }
    }
    let saving = costs::savings(&Settings::published(coordinates), users, Counting::Openings).unwrap_or(Savings {
        user: 0.0,
        total_paper: 0.0,
        total_all: 0.0,
    });
    let best = modes[1..].iter().min_by(|a, b| a.score().total_cmp(&b.score()));
    let recommended = best.map_or_else(String::new, |mode| match mode.group {
        0 => mode.mode.clone(),
        group => format!("{} --group {group}", mode.mode),
    });
    Ok(Plan {
        modes,
        saving_user: saving.user,
        saving_total_paper: saving.total_paper,
        saving_total_all: saving.total_all,
        recommended,
    })
}

/// 0, and the least group size for each number of groups from 2 on.
fn group_sizes(users: usize) -> Vec<u16> {
    let mut sizes = vec![0];
    let mut last = 1;
    for size in (3..=users / 2).rev() {
        let groups = users / size;
        if groups == last {
            sizes.pop();
        }
        sizes.push(size as u16);
        last = groups;
    }
    sizes
}

fn plain(users: usize, coordinates: u32) -> Mode {
    Mode {
        mode: "plain".into(),
        group: 0,
        bits_up_per_coordinate: 1.0,
        bytes_up: u64::from(coordinates.div_ceil(8)),
        bytes_from_dealer: 0.0,
        depth: 0,
        leak_bits: 1.0,
        complete_at_5_percent: 1.0,
        agreement: 1.0,
        attackers: users / 2 + 1,
    }
}

fn mode(settings: &Settings, users: usize) -> Result<Mode> {
    let sizes = settings.group_sizes(users);
    let (largest, smallest) = (sizes[0], sizes[sizes.len() - 1]);
    let coordinates = f64::from(settings.coordinates);
    let sent = upload(settings, users, largest)?;
    let circuit = match settings.protocol {
        Protocol::Sealed => settings.sealed_circuits(users, largest)?.1,
        _ => settings.circuit(largest)?,
    };
    let leak = match settings.protocol {
        Protocol::Sealed => leakage::of_sealed_vote(&sizes, settings.ties)?,
        _ => leakage::of_vote(smallest, 0, settings.ties.inner)?,
    };
    let all = |members: usize| (1.0 - LOSS).powi(members as i32);
    let complete = match settings.protocol {
        Protocol::Sealed => all(users),
        Protocol::Survivors => at_least(users, Settings::threshold(users, users)),
        _ => all(largest),
    };
    let majority = |count: usize| count / 2 + 1;
    Ok(Mode {
        mode: settings.protocol.name().into(),
        group: settings.group_size,
        bits_up_per_coordinate: 8.0 * (sent.openings + sent.finals) as f64 / coordinates,
        bytes_up: sent.wire(),
        bytes_from_dealer: from_dealer(settings, users, largest)? * coordinates,
        depth: circuit.levels() + usize::from(settings.protocol == Protocol::Sealed),
        leak_bits: leak.bits,
        complete_at_5_percent: complete,
        agreement: agreement::with_flat(&sizes, 0.5, settings.ties)?.same,
        attackers: if sizes.len() == 1 { majority(users) } else { majority(smallest) * majority(sizes.len()) },
    })
}

/// Bytes of corrections for each coordinate and user.
fn from_dealer(settings: &Settings, users: usize, members: usize) -> Result<f64> {
    let packed = |circuit: &crate::Circuit| {
        let field = circuit.recipe().corrected_field().unwrap_or(circuit.field());
        let each = settings.encoding.length(field, settings.chunk as usize) as f64 / f64::from(settings.chunk);
        each * circuit.recipe().corrected().count() as f64
    };
    Ok(match settings.protocol {
        Protocol::Sealed => {
            let (inner, outer) = settings.sealed_circuits(users, members)?;
            packed(&inner) / members as f64 + packed(&outer) / users as f64
        }
        Protocol::Survivors => {
            let circuit = settings.survivors_circuit(users, users)?;
            let each = settings.encoding.length(circuit.field(), settings.chunk as usize) as f64 / f64::from(settings.chunk);
            each * circuit.majority().degree() as f64
        }
        _ => packed(&settings.circuit(members)?) / members as f64,
    })
}

/// The probability that at least `least` of `users` are not lost.
fn at_least(users: usize, least: usize) -> f64 {
    leakage::law_of_sum(users, 1.0 - LOSS)[least..].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(plan: &Plan, mode: &str, group: u16) -> Mode {
        plan.modes.iter().find(|other| other.mode == mode && other.group == group).unwrap().clone()
    }

    #[test]
    fn the_plan_for_24_users() {
        let plan = compare(24, 8_000).unwrap();
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 5e-4, "{found} {expected}");
        for (mode, group, complete, leak, attackers) in
            [("beaver", 3, 0.857, 0.1887, 10), ("lean", 4, 0.815, 0.1738, 12), ("oneround", 0, 0.292, 0.0225, 13)]
        {
            let mode = find(&plan, mode, group);
            close(mode.complete_at_5_percent, complete);
            close(mode.leak_bits, leak);
            assert_eq!(mode.attackers, attackers);
        }
        assert_eq!(find(&plan, "oneround", 0).bytes_up, 9_944);
        assert_eq!(
            (find(&plan, "beaver", 0).depth, find(&plan, "sealed", 3).depth, find(&plan, "survivors", 0).depth),
            (5, 2, 1)
        );
        assert_eq!(plan.saving_total_all, 0.94);
        assert!(plan.modes.iter().all(|mode| mode.mode != "survivors" || mode.group == 0));
    }

    #[test]
    fn a_plan_for_every_number_of_users() {
        for users in 3..=60 {
            let plan = compare(users, 1_000).unwrap();
            assert!(
                plan.modes.iter().all(|mode| mode.leak_bits > 0.0 && mode.leak_bits <= 1.0 && mode.score().is_finite()),
                "{users}"
            );
            assert!(!plan.recommended.is_empty());
        }
        assert!(compare(2, 1).is_err() && compare(251, 1).is_err() && compare(24, 0).is_err());
        assert!(compare(6, 8_000).unwrap().saving_total_paper < 0.0);
    }

    #[test]
    fn one_size_for_each_number_of_groups() {
        assert_eq!(group_sizes(24), [0, 9, 7, 5, 4, 3]);
        assert_eq!(group_sizes(5), [0]);
    }

    #[test]
    fn the_plan_as_json() {
        let json = serde_json::to_value(compare(24, 8_000).unwrap()).unwrap();
        for key in ["modes", "saving_user", "saving_total_paper", "saving_total_all", "recommended"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        for key in ["mode", "group", "bits_up_per_coordinate", "bytes_up", "depth", "leak_bits", "complete_at_5_percent"] {
            assert!(json["modes"][1].get(key).is_some(), "{key}");
        }
    }
}
