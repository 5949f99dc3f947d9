//! From `u8` HWC records to the `f32` CHW numbers a network eats.

use crate::dataset::{DataSet, ImageShape, Moments};
use crate::error::{DataError, Result};

/// The map `x -> (x * scale - mean) / std` from a pixel byte to a number, one table a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    tables: Vec<[f32; 256]>,
}

impl Normalisation {
    /// Multiplies by `scale` and nothing else; serves any number of channels.
    #[must_use]
    pub fn scaled(scale: f32) -> Self {
        Self { tables: vec![table(scale, 0.0, 1.0)] }
    }

    /// Scales, subtracts each channel's mean and divides by its standard deviation.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where there is no channel, the two lists differ in length, or a number is not finite or a
    /// deviation not positive.
    pub fn standardised(scale: f32, moments: &Moments) -> Result<Self> {
        let Moments { mean, std } = moments;
        if mean.is_empty() || mean.len() != std.len() {
            let value = format!("{} means and {} deviations", mean.len(), std.len());
            return Err(DataError::bad_request("the normalisation", value, "one of each for every channel"));
        }
        if let Some(bad) = std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
            return Err(DataError::bad_request("a standard deviation", bad, "positive"));
        }
        if let Some(bad) = mean.iter().chain([&scale]).find(|number| !number.is_finite()) {
            return Err(DataError::bad_request("a mean or scale", bad, "finite"));
        }
        Ok(Self { tables: mean.iter().zip(std).map(|(&mean, &std)| table(scale, mean, std)).collect() })
    }

    fn check_channels(&self, shape: ImageShape) -> Result<()> {
        if self.tables.len() == 1 || self.tables.len() == shape.channels {
            return Ok(());
        }
        let expected = format!("1 or {} (the channels of the images)", shape.channels);
        Err(DataError::bad_request("the number of normalised channels", self.tables.len(), expected))
    }
}

fn table(scale: f32, mean: f32, std: f32) -> [f32; 256] {
    std::array::from_fn(|pixel| (pixel as f32 * scale - mean) / std)
}

impl DataSet {
    /// The usual normalisation of this set: its scale, and its mean and deviation where they are known.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for moments that make no sense.
    pub fn normalisation(&self) -> Result<Normalisation> {
        match &self.about().moments {
            Some(moments) => Normalisation::standardised(self.about().scale, moments),
            None => Ok(Normalisation::scaled(self.about().scale)),
        }
    }

    /// Writes the pictures `indices` into `out` as `f32` in NCHW order, normalised. An index may come more than once.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] for a set of text, an index past the end, a buffer that is not exactly
    /// `indices.len() * height * width * channels` long, or a normalisation of another number of channels.
    pub fn images_into(&self, indices: &[usize], normalisation: &Normalisation, out: &mut [f32]) -> Result<()> {
        let shape = self.image_shape()?;
        normalisation.check_channels(shape)?;
        if out.len() != indices.len() * shape.len() {
            let expected = format!("{} images of {} numbers", indices.len(), shape.len());
            return Err(DataError::bad_request("the length of the output", out.len(), expected));
        }
        for (&i, picture) in indices.iter().zip(out.chunks_exact_mut(shape.len())) {
            self.check_index(i)?;
            write_planes(self.record(i), shape.channels, normalisation, picture);
        }
        Ok(())
    }
}

fn write_planes(hwc: &[u8], channels: usize, normalisation: &Normalisation, chw: &mut [f32]) {
    let area = hwc.len() / channels;
    let tables = normalisation.tables.iter().cycle();
    for ((channel, plane), table) in chw.chunks_exact_mut(area).enumerate().zip(tables) {
        for (number, pixel) in plane.iter_mut().zip(hwc[channel..].iter().step_by(channels)) {
            *number = table[usize::from(*pixel)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::About;

    fn two_pictures() -> DataSet {
        // 1 x 2 pictures of 3 channels: (0,1,2)(3,4,5) and (10,11,12)(13,14,255).
        let shape = ImageShape { height: 1, width: 2, channels: 3 };
        DataSet::from_images(About::named("two"), shape, vec![0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 255]).unwrap()
    }

    #[test]
    fn planes_come_one_after_the_other() {
        let mut out = [0.0; 12];
        two_pictures().images_into(&[1, 0], &Normalisation::scaled(1.0), &mut out).unwrap();
        assert_eq!(out, [10., 13., 11., 14., 12., 255., 0., 3., 1., 4., 2., 5.]);
    }

    #[test]
    fn each_channel_has_its_own_moments() {
        let moments = Moments { mean: vec![0.0, 1.0, 2.0], std: vec![1.0, 2.0, 4.0] };
        let mut out = [0.0; 6];
        let normalisation = Normalisation::standardised(1.0, &moments).unwrap();
        two_pictures().images_into(&[0], &normalisation, &mut out).unwrap();
        assert_eq!(out, [0.0, 3.0, 0.0, 1.5, 0.0, 0.75]);
    }

    #[test]
    fn wrong_calls_are_refused() {
        let set = two_pictures();
        let plain = Normalisation::scaled(1.0);
        assert!(set.images_into(&[2], &plain, &mut [0.0; 6]).unwrap_err().to_string().contains("below 2"));
        assert!(set.images_into(&[0], &plain, &mut [0.0; 5]).is_err());
        let two = Normalisation::standardised(1.0, &Moments { mean: vec![0.0; 2], std: vec![1.0; 2] }).unwrap();
        assert!(set.images_into(&[0], &two, &mut [0.0; 6]).is_err());
        for std in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Normalisation::standardised(1.0, &Moments { mean: vec![0.0], std: vec![std] }).is_err());
        }
        assert!(set.text(0).is_err());
    }
}
