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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Augmentation {
    /// The image is moved by up to so many pixels in each direction; what comes in from outside is 0.
    pub shift: usize,
    /// Mirrored views.
    pub mirror: Mirror,
    /// The image is turned about its middle by up to so many degrees either way, from 0 to 180.
    #[serde(skip_serializing_if = "is_zero")]
    pub rotation: f64,
    /// Then it is moved by up to this share of its height and width in each direction, between pixels too, from 0 to 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub translation: f64,
    /// At last a rectangle of 2 to 33 % of the image is made 0, with this probability (random erasing, arXiv 1708.04896).
    #[serde(skip_serializing_if = "is_zero")]
    pub erasing: f64,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// The share of an image that is erased, and the ratio of the rectangle's height to its width.
const ERASED: (f64, f64) = (0.02, 0.33);
const ASPECT: (f64, f64) = (0.3, 3.3);

/// How often a rectangle is drawn anew that does not fit into the image.
const ATTEMPTS: usize = 10;

impl Augmentation {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Input`](thalweg_descent::Error::Input) naming field and value.
    pub fn check(&self) -> thalweg_descent::Result<()> {
        for (field, value, most) in
            [("rotation", self.rotation, 180.0), ("translation", self.translation, 1.0), ("erasing", self.erasing, 1.0)]
        {
            if !(0.0..=most).contains(&value) {
                return Err(thalweg_descent::Error::input(format!(
                    "training.augmentation.{field} = {value}; it must be from 0 to {most}"
                )));
            }
        }
        Ok(())
    }

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
        if self.rotation > 0.0 || self.translation > 0.0 {
            self.turn_and_move([channels, height, width], rng, view);
        }
        if self.erasing > 0.0 && rng.random_bool(self.erasing.min(1.0)) {
            erase([channels, height, width], rng, view);
        }
    }

    /// Turns by a random angle and moves by a random share; between four pixels the view is their bilinear mean.
    fn turn_and_move(&self, [channels, height, width]: [usize; 3], rng: &mut StreamRng, view: &mut [f32]) {
        let mut between = |most: f64| most * rng.random_range(-1.0..=1.0);
        let angle = between(self.rotation).to_radians();
        let (down, right) = (between(self.translation * height as f64), between(self.translation * width as f64));
        let (sin, cos) = angle.sin_cos();
        let (middle_y, middle_x) = (0.5 * (height as f64 - 1.0), 0.5 * (width as f64 - 1.0));
        let mut image = Plane { height, width, pixels: vec![0.0; height * width] };
        for channel in view.chunks_exact_mut(height * width).take(channels) {
            image.pixels.copy_from_slice(channel);
            for (at, out) in channel.iter_mut().enumerate() {
                let (y, x) = ((at / width) as f64 - middle_y - down, (at % width) as f64 - middle_x - right);
                // Back by the angle: where the pixel comes from.
                *out = image.at(cos * y - sin * x + middle_y, sin * y + cos * x + middle_x);
            }
        }
    }
}

/// One channel of an image, 0 outside.
struct Plane {
    height: usize,
    width: usize,
    pixels: Vec<f32>,
}

impl Plane {
    fn pixel(&self, y: f64, x: f64) -> f64 {
        let inside = (0.0..self.height as f64).contains(&y) && (0.0..self.width as f64).contains(&x);
        if inside { f64::from(self.pixels[y as usize * self.width + x as usize]) } else { 0.0 }
    }

    /// The bilinear mean of the four pixels around a place.
    fn at(&self, y: f64, x: f64) -> f32 {
        let (top, left) = (y.floor(), x.floor());
        let (below, beside) = (y - top, x - left);
        let row = |y: f64| (1.0 - beside) * self.pixel(y, left) + beside * self.pixel(y, left + 1.0);
        ((1.0 - below) * row(top) + below * row(top + 1.0)) as f32
    }
}

/// Makes a random rectangle 0.
fn erase([channels, height, width]: [usize; 3], rng: &mut StreamRng, view: &mut [f32]) {
    for _ in 0..ATTEMPTS {
        let area = (height * width) as f64 * rng.random_range(ERASED.0..ERASED.1);
        let aspect = rng.random_range(ASPECT.0.ln()..ASPECT.1.ln()).exp();
        let (tall, wide) = ((area * aspect).sqrt().round() as usize, (area / aspect).sqrt().round() as usize);
        if !(1..=height).contains(&tall) || !(1..=width).contains(&wide) {
            continue;
        }
        let (top, left) = (rng.random_range(0..=height - tall), rng.random_range(0..=width - wide));
        for channel in view.chunks_exact_mut(height * width).take(channels) {
            channel.chunks_exact_mut(width).skip(top).take(tall).for_each(|row| row[left..left + wide].fill(0.0));
        }
        return;
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
        let augmentation = Augmentation { mirror: Mirror::Half, ..Augmentation::default() };
        let reversed: Vec<f32> = image().chunks(4).flat_map(|row| row.iter().rev().copied()).collect();
        let mirrored = (0..400).filter(|seed| draw(augmentation, *seed) == reversed).count();
        let plain = (0..400).filter(|seed| draw(augmentation, *seed) == image()).count();
        assert_eq!(mirrored + plain, 400);
        // Six standard deviations of a fair coin: false alarm 2e-9.
        assert!((140..=260).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn every_shift_occurs_and_brings_zeros_in_from_outside() {
        let augmentation = Augmentation { shift: 1, ..Augmentation::default() };
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

    /// A picture of one bright pixel, 9 x 9, in two channels.
    fn dot(y: usize, x: usize) -> Vec<f32> {
        let mut image = vec![0.0; 2 * 81];
        image[y * 9 + x] = 1.0;
        image[81 + y * 9 + x] = 2.0;
        image
    }

    fn drawn(augmentation: Augmentation, image: &[f32], seed: u64) -> Vec<f32> {
        let mut view = vec![-1.0; image.len()];
        augmentation.draw(image, [2, 9, 9], &mut Seed(seed).stream("views").at(0), &mut view);
        view
    }

    /// The place of the light in a channel: its mean, and how much there is.
    fn light(channel: &[f32]) -> (f64, f64, f64) {
        let total: f64 = channel.iter().map(|value| f64::from(*value)).sum();
        let mean = |place: fn(usize) -> usize| {
            channel.iter().enumerate().map(|(at, value)| place(at) as f64 * f64::from(*value)).sum::<f64>() / total
        };
        (mean(|at| at / 9), mean(|at| at % 9), total)
    }

    #[test]
    fn a_turned_view_keeps_the_distance_from_the_middle_and_turns_by_the_angle_at_most() {
        let augmentation = Augmentation { rotation: 30.0, ..Augmentation::default() };
        let mut angles = Vec::new();
        for seed in 0..300 {
            let view = drawn(augmentation, &dot(4, 7), seed);
            let (y, x, total) = light(&view[..81]);
            let angle = (y - 4.0).atan2(x - 4.0).to_degrees();
            assert!(((y - 4.0).hypot(x - 4.0) - 3.0).abs() < 0.35 && (0.7..1.3).contains(&total), "{seed}: {y} {x} {total}");
            assert!(angle.abs() < 34.0, "{angle}");
            angles.push(angle);
            let twice: Vec<f32> = view[..81].iter().map(|value| 2.0 * value).collect();
            assert_eq!(twice, view[81..], "channels turn together");
        }
        // Uniform on 30 degrees either way: four outer sixths are missed with a probability below 1e-20.
        assert!(angles.iter().any(|angle| *angle < -20.0) && angles.iter().any(|angle| *angle > 20.0));
        let mean = angles.iter().sum::<f64>() / angles.len() as f64;
        // Five standard errors of 17.3 / sqrt(300) degrees.
        assert!(mean.abs() < 5.0, "{mean}");
        let middle = drawn(augmentation, &dot(4, 4), 1);
        assert!((middle[4 * 9 + 4] - 1.0).abs() < 1e-6, "the middle stays");
    }

    #[test]
    fn between_pixels_a_view_is_their_bilinear_mean_and_outside_it_is_0() {
        let plane = Plane { height: 3, width: 3, pixels: (1..=9).map(|value| value as f32).collect() };
        assert_eq!(
            (plane.at(0.0, 1.0), plane.at(1.0, 2.0), plane.at(0.5, 1.0), plane.at(-0.5, 0.0), plane.at(2.0, 2.5)),
            (2.0, 6.0, 3.5, 0.5, 4.5)
        );
        assert_eq!((plane.at(5.0, 0.0), plane.at(-1.0, -1.0)), (0.0, 0.0));
    }

    #[test]
    fn a_moved_view_goes_between_pixels_and_by_the_share_at_most() {
        let augmentation = Augmentation { translation: 0.25, ..Augmentation::default() };
        let places: Vec<(f64, f64)> = (0..300)
            .map(|seed| {
                let (y, x, total) = light(&drawn(augmentation, &dot(4, 4), seed)[..81]);
                assert!((total - 1.0).abs() < 1e-5);
                (y - 4.0, x - 4.0)
            })
            .collect();
        for axis in [|place: &(f64, f64)| place.0, |place: &(f64, f64)| place.1] {
            let reach = places.iter().map(axis).fold(0.0, |most: f64, moved| most.max(moved.abs()));
            assert!((2.1..=2.25).contains(&reach), "a quarter of nine pixels: {reach}");
        }
        assert!(places.iter().any(|(y, _)| (y - y.round()).abs() > 0.2), "between pixels");
    }

    #[test]
    fn erasing_makes_one_rectangle_zero_in_its_share_of_views() {
        let augmentation = Augmentation { erasing: 0.5, ..Augmentation::default() };
        let image = vec![1.0; 2 * 81];
        let mut erased = 0;
        for seed in 0..400 {
            let view = drawn(augmentation, &image, seed);
            assert_eq!(view[..81], view[81..], "channels share the rectangle");
            let gone: Vec<(usize, usize)> = (0..81).filter(|at| view[*at] == 0.0).map(|at| (at / 9, at % 9)).collect();
            let Some(first) = gone.first() else { continue };
            erased += 1;
            let last = gone.last().unwrap();
            assert_eq!(gone.len(), (last.0 - first.0 + 1) * (last.1 - first.1 + 1), "a rectangle");
            // 2 to 33 % of 81 pixels, before its sides are rounded.
            assert!((1..=34).contains(&gone.len()), "{}", gone.len());
        }
        // Six standard deviations of a fair coin: false alarm 2e-9.
        assert!((140..=260).contains(&erased), "{erased}");
    }

    #[test]
    fn views_depend_on_step_and_example_alone() {
        let augmentation = Augmentation { shift: 2, mirror: Mirror::Half, ..Augmentation::default() };
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
