//! Augmentation multiplicity: an example's gradient is the mean over several random views of it.
//!
//! The views of one example are one unit, so it is clipped once and they cost no privacy (De et al., arXiv 2204.13650).

use std::num::NonZeroUsize;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use thalweg_descent::Stream;
use thalweg_descent::streams::StreamRng;

/// Whether an image may be seen in a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mirror {
    /// As it is.
    #[default]
    Never,
    /// Left and right exchanged in half of the views.
    Half,
}

/// Random changes of an image that keep its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Augmentation {
    /// The image is moved by up to so many pixels in each direction; what comes in from outside is 0.
    pub shift: usize,
    /// Mirrored views.
    pub mirror: Mirror,
}

impl Augmentation {
    /// Draws one view of an image of shape `[channels, height, width]`.
    pub fn draw(&self, image: &[f32], [channels, height, width]: [usize; 3], rng: &mut StreamRng, view: &mut [f32]) {
        // A picture that is moved by its own size is gone.
        let reach = self.shift.min(height.max(width)) as i64;
        let mut offset = || rng.random_range(-reach..=reach) as isize;
        let (down, right) = (offset(), offset());
        let mirrored = self.mirror == Mirror::Half && rng.random_bool(0.5);
        for channel in 0..channels {
            for row in 0..height {
                let out = &mut view[(channel * height + row) * width..][..width];
                let Some(from) = row.checked_add_signed(-down).filter(|from| *from < height) else {
                    out.fill(0.0);
                    continue;
                };
                move_row(&image[(channel * height + from) * width..][..width], right, out);
                if mirrored {
                    out.reverse();
                }
            }
        }
    }
}

fn move_row(row: &[f32], right: isize, out: &mut [f32]) {
    for (column, out) in out.iter_mut().enumerate() {
        *out = column.checked_add_signed(-right).and_then(|from| row.get(from)).copied().unwrap_or(0.0);
    }
}

/// How many views of each example are taken, and how they are drawn.
///
/// A view is a function of the stream, the step and the example, so that shards, threads and resumed runs see the same.
#[derive(Clone, Debug)]
pub struct Views {
    count: NonZeroUsize,
    augmentation: Augmentation,
    stream: Stream,
}

impl Views {
    /// `count` views of each example.
    pub fn new(count: NonZeroUsize, augmentation: Augmentation, stream: Stream) -> Self {
        Self { count, augmentation, stream }
    }

    /// Views of each example.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// The views of the example of that index at a step, one after another.
    pub(crate) fn draw(&self, step: u64, index: usize, image: &[f32], shape: [usize; 3], views: &mut Vec<f32>) {
        let mut rng = self.stream.at(step);
        // Each example has a stretch of the step's keystream of its own, longer than any number of views needs.
        rng.set_word_pos((index as u128) << 20);
        for _ in 0..self.count() {
            let start = views.len();
            views.resize(start + image.len(), 0.0);
            self.augmentation.draw(image, shape, &mut rng, &mut views[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::Seed;

    use super::*;

    const SHAPE: [usize; 3] = [2, 3, 4];

    fn image() -> Vec<f32> {
        (1..=24).map(|value| value as f32).collect()
    }

    fn draw(augmentation: Augmentation, seed: u64) -> Vec<f32> {
        let mut view = vec![-1.0; 24];
        augmentation.draw(&image(), SHAPE, &mut Seed(seed).stream("views").at(0), &mut view);
        view
    }

    #[test]
    fn without_changes_a_view_is_the_image() {
        assert_eq!(draw(Augmentation::default(), 3), image());
    }

    #[test]
    fn a_mirrored_view_reverses_rows_in_about_half_of_the_draws() {
        let augmentation = Augmentation { shift: 0, mirror: Mirror::Half };
        let reversed: Vec<f32> = image().chunks(4).flat_map(|row| row.iter().rev().copied()).collect();
        let mirrored = (0..400).filter(|seed| draw(augmentation, *seed) == reversed).count();
        let plain = (0..400).filter(|seed| draw(augmentation, *seed) == image()).count();
        assert_eq!(mirrored + plain, 400);
        // Six standard deviations of a fair coin: false alarm 2e-9.
        assert!((140..=260).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn every_shift_occurs_and_brings_zeros_in_from_outside() {
        let augmentation = Augmentation { shift: 1, mirror: Mirror::Never };
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let view = draw(augmentation, seed);
            // Pixel (1, 1) of the first channel lies inside for every shift, and says which it was.
            let value = view[5] as usize - 1;
            let (row, column) = (value / 4, value % 4);
            seen.insert((row, column));
            for (at, pixel) in view.iter().enumerate() {
                let (channel, y, x) = (at / 12, at / 4 % 3, at % 4);
                let (from_y, from_x) = (y + row, x + column);
                let inside = (1..=3).contains(&from_y) && (1..=4).contains(&from_x);
                let expected = if inside { image()[channel * 12 + (from_y - 1) * 4 + from_x - 1] } else { 0.0 };
                assert_eq!(*pixel, expected, "seed {seed}, {at}");
            }
        }
        assert_eq!(seen.len(), 9, "nine shifts in 200 draws; a missing one has probability 6e-10");
    }

    #[test]
    fn views_depend_on_step_and_example_alone() {
        let augmentation = Augmentation { shift: 2, mirror: Mirror::Half };
        let views = Views::new(NonZeroUsize::new(8).unwrap(), augmentation, Seed(1).stream("views"));
        let draw = |step, index| {
            let mut out = Vec::new();
            views.draw(step, index, &image(), SHAPE, &mut out);
            out
        };
        assert_eq!(draw(3, 5).len(), 8 * 24);
        assert_eq!(draw(3, 5), draw(3, 5));
        assert_ne!(draw(3, 5), draw(4, 5));
        assert_ne!(draw(3, 5), draw(3, 6));
    }
}
