//! A part of a vote with one circuit, one field and one set of members. All protocols have one leg, the sealed one has two: the
//! group's, whose result stays shared, and that of all users.

use crate::correlation::{self, Seeded};
use crate::evaluate::Part;
use crate::mac::MacField;
use crate::prg::{Context, Purpose, Seed};
use crate::scene::{Scene, chunk_of};
use crate::settings::Settings;
use crate::wire::{Fault, Frame, FrameKind, unpack_vectors};
use crate::{Circuit, prg};

/// One circuit of a vote, with this user's shares of its randomness.
pub(super) struct Leg {
    pub(super) circuit: Circuit,
    pub(super) group: u16,
    /// The step of its first opening.
    pub(super) first_step: u16,
    pub(super) part: Part,
    pub(super) source: Seeded,
    /// For the holder, the chunks whose corrections have come; else empty.
    corrected: Option<Vec<bool>>,
    /// The holder's shares of codes, by slot of the stream and chunk.
    pub(super) codes: correlation::Explicit,
    pub(super) is_holder: bool,
    pub(super) mac_key: prg::StreamKey,
}

impl Leg {
    /// The leg of a circuit among `members`.
    pub(super) fn new(
        circuit: Circuit,
        (group, first_step): (u16, u16),
        members: &[u16],
        (scene, settings, seed, user): (&Scene, &Settings, &Seed, u16),
    ) -> Self {
        let context = Context { round: scene.round, attempt: scene.attempt, group, user };
        let key = |purpose| seed.derive(scene.session, purpose, context);
        let holder = members[correlation::holder(scene.round, scene.attempt, members.len())];
        let is_holder = holder == user && circuit.recipe().corrected().next().is_some();
        let recipe = circuit.recipe().clone();
        let source = match is_holder {
            true => Seeded::holder(key(Purpose::Correlation), settings.suite, recipe),
            false => Seeded::new(key(Purpose::Correlation), settings.suite, recipe),
        };
        Self {
            group,
            first_step,
            part: if members.first() == Some(&user) { Part::Designated } else { Part::Other },
            source,
            corrected: is_holder.then(|| vec![false; settings.chunks()]),
            codes: correlation::Explicit::default(),
            is_holder,
            mac_key: key(Purpose::Macs),
            circuit,
        }
    }

    /// Makes it the leg of the survivors protocol: the dealer prepares it once they are known, so nobody holds corrections; and
    /// every user adds the constants, since its share is one of Shamir's.
    pub(super) fn without_holder(&mut self) {
        self.corrected = None;
        self.is_holder = false;
        self.part = Part::Designated;
    }

    /// Whether all corrections have come that this user needs.
    pub(super) fn is_ready(&self) -> bool {
        self.corrected.as_ref().is_none_or(|chunks| chunks.iter().all(|&come| come))
    }

    /// Takes the dealer's corrections of a chunk.
    pub(super) fn correct(&mut self, frame: &Frame<'_>, settings: &Settings, mac: Option<&MacField>) -> Result<(), Fault> {
        let chunk = chunk_of(settings, frame)?;
        let corrected = self.corrected.as_mut().ok_or(Fault::PlanDiffers("the holder of corrections"))?;
        if corrected[chunk] {
            return Err(Fault::Duplicate(FrameKind::Correction));
        }
        let recipe = self.circuit.recipe();
        let entries: Vec<correlation::Entry> = recipe.corrected().collect();
        let authenticated: Vec<correlation::Entry> = recipe.authenticated().collect();
        let field = recipe.corrected_field().unwrap_or(recipe.field());
        let components = mac.map_or(0, MacField::degree);
        let mut vectors =
            unpack_vectors(frame, settings.encoding, field, entries.len() + authenticated.len() * components)?.into_iter();
        for (entry, vector) in entries.iter().zip(vectors.by_ref()) {
            self.source.correct(entry.slot, chunk as u64, vector);
        }
        let slots = authenticated.iter().flat_map(|entry| (0..components).map(|i| crate::mac::mac_slot(entry.slot, i)));
        for (slot, vector) in slots.zip(vectors) {
            self.codes.insert(slot, chunk as u64, vector);
        }
        corrected[chunk] = true;
        Ok(())
    }
}
