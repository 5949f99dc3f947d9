//! One picture file to `u8` samples, by one set of rules for all codecs.
//!
//! Grey becomes three equal channels, 16 bits are divided by 257 and rounded, a GIF gives its first frame, and what is
//! transparent is laid on black unless alpha is kept. CMYK is an error: without the printer's profile its colours are a guess.

use std::io::Cursor;

use image::metadata::Orientation as Turn;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// What to do with transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpha {
    /// Lay the picture on black; three channels.
    #[default]
    OverBlack,
    /// Keep a fourth channel; pictures without alpha become opaque.
    Keep,
}

/// What to do with the orientation that a camera noted in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// Turn the picture upright: right for a user's photographs.
    #[default]
    Upright,
    /// Leave the samples as they are stored: right for published sets.
    AsStored,
}

/// How to decode a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeOptions {
    /// Transparency.
    pub alpha: Alpha,
    /// Orientation.
    pub orientation: Orientation,
    /// Scale to so many columns and rows (triangle filter, without keeping the proportions).
    pub resize: Option<(u32, u32)>,
}

/// A decoded picture, samples in HWC order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 3, or 4 with alpha kept.
    pub channels: usize,
    /// `height * width * channels` samples.
    pub samples: Vec<u8>,
}

/// File-name endings this build can decode, in lower case.
pub const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp"];

/// Endings of pictures that this build cannot decode, so that they are named and not passed over.
pub(crate) const FOREIGN_EXTENSIONS: [&str; 6] = ["avif", "heic", "heif", "jxl", "jp2", "exr"];

/// The most memory a picture may take: no header field is trusted past a multiple of the file's own size.
const ALLOWANCE_PER_BYTE: u64 = 4096;
const LEAST_ALLOWANCE: u64 = 64 << 20;
const LARGEST_ALLOWANCE: u64 = 2 << 30;

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// Decodes the bytes of a picture file; the codec is found by the bytes, not by a name.
///
/// # Errors
/// A sentence that says what is wrong with the bytes; the caller knows the file.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Picture, String> {
    if let Some((width, height)) = options.resize {
        check_new_size(width, height)?;
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) {
        check_jpeg(bytes)?;
    }
    let allowance = (bytes.len() as u64).saturating_mul(ALLOWANCE_PER_BYTE).clamp(LEAST_ALLOWANCE, LARGEST_ALLOWANCE);
    let mut limits = Limits::default();
    limits.max_alloc = Some(allowance);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    // The limits bound what a decoder takes for itself; the picture comes on top.
    if decoder.total_bytes() > allowance {
        let (width, height) = decoder.dimensions();
        let size = bytes.len();
        return Err(format!(
            "{width} x {height} pixels in {size} bytes; a file of this size may ask for {allowance} bytes of memory"
        ));
    }
    let turn = match options.orientation {
        Orientation::Upright => decoder.orientation().unwrap_or(Turn::NoTransforms),
        Orientation::AsStored => Turn::NoTransforms,
    };
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    image.apply_orientation(turn);
    if let Some((width, height)) = options.resize {
        image = image.resize_exact(width, height, image::imageops::FilterType::Triangle);
    }
    Ok(to_picture(image, options.alpha))
}

fn check_new_size(width: u32, height: u32) -> Result<(), String> {
    const BYTES_PER_PIXEL: u64 = 4;
    let most = LARGEST_ALLOWANCE / BYTES_PER_PIXEL;
    if (1..=most).contains(&(u64::from(width) * u64::from(height))) {
        return Ok(());
    }
    Err(format!("the size to scale to is {width} x {height}; it must have at least 1 and at most {most} pixels"))
}

fn to_picture(image: DynamicImage, alpha: Alpha) -> Picture {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, samples) = match alpha {
        Alpha::Keep => (4, image.into_rgba8().into_raw()),
        Alpha::OverBlack if image.color().has_alpha() => (3, over_black(&image.into_rgba8().into_raw())),
        Alpha::OverBlack => (3, image.into_rgb8().into_raw()),
    };
    Picture { width, height, channels, samples }
}

fn over_black(rgba: &[u8]) -> Vec<u8> {
    let dimmed = |sample: u8, alpha: u8| ((u32::from(sample) * u32::from(alpha) + 127) / 255) as u8;
    rgba.as_chunks().0.iter().flat_map(|&[r, g, b, a]| [dimmed(r, a), dimmed(g, a), dimmed(b, a)]).collect()
}

/// Refuses what the JPEG decoder would accept in silence: four colour components, and a file that was cut off, which it fills with
/// grey.
fn check_jpeg(bytes: &[u8]) -> Result<(), String> {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let segment = usize::from(u16::from_be_bytes([high, low]));
        let is_frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        if is_frame && bytes.get(at + 9) == Some(&4) {
            return Err("a CMYK JPEG; convert it to RGB first".to_owned());
        }
        if marker == START_OF_SCAN {
            // Inside coded data a byte FF is always followed by 00 or a restart marker.
            let ends = bytes[at..].windows(2).any(|pair| pair == END_OF_IMAGE);
            return if ends { Ok(()) } else { Err("the JPEG ends before its end marker: it was cut off".to_owned()) };
        }
        let fill_byte = marker == 0xFF;
        at += if fill_byte { 1 } else { 2 + segment };
    }
    Err(format!("the JPEG has no picture data before byte {}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage};

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn sixteen_bits_are_divided_by_257_and_rounded() {
        let values = [0u16, 128, 129, 257, 65_535, 65_406, 65_407];
        let image = ImageBuffer::<Luma<u16>, _>::from_vec(7, 1, values.to_vec()).unwrap();
        let picture = decode(&png(image), &DecodeOptions::default()).unwrap();
        let expected: Vec<u8> = values.iter().flat_map(|&v| [(f64::from(v) / 257.0).round() as u8; 3]).collect();
        assert_eq!(picture.samples, expected);
    }

    #[test]
    fn transparency_is_laid_on_black_or_kept() {
        let bytes = png(GrayAlphaImage::from_pixel(1, 1, LumaA([200, 128])));
        assert_eq!(decode(&bytes, &DecodeOptions::default()).unwrap().samples, [100, 100, 100]);
        let kept = DecodeOptions { alpha: Alpha::Keep, ..DecodeOptions::default() };
        assert_eq!(decode(&bytes, &kept).unwrap().samples, [200, 200, 200, 128]);
    }

    #[test]
    fn cmyk_is_refused_and_damage_is_an_error() {
        // The frame header of a JPEG with four components, after a comment and a fill byte.
        let cmyk = [0xFF, 0xD8, 0xFF, 0xFE, 0, 3, 7, 0xFF, 0xFF, 0xC0, 0, 20, 8, 0, 1, 0, 1, 4, 0, 0];
        assert!(decode(&cmyk, &DecodeOptions::default()).unwrap_err().contains("CMYK"));
        let png = png(RgbImage::from_pixel(8, 8, Rgb([1, 2, 3])));
        for cut in 0..png.len() - 12 {
            assert!(decode(&png[..cut], &DecodeOptions::default()).is_err(), "PNG cut at {cut}");
        }
        let mut jpeg = Cursor::new(Vec::new());
        RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8 * 8, y as u8 * 8, 77])).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        assert_eq!(decode(&jpeg, &DecodeOptions::default()).unwrap().samples.len(), 32 * 32 * 3);
        for cut in 0..jpeg.len() {
            assert!(decode(&jpeg[..cut], &DecodeOptions::default()).is_err(), "JPEG cut at {cut}");
        }
    }

    #[test]
    fn a_header_cannot_ask_for_more_than_the_file_allows() {
        let mut bytes = png(RgbImage::new(8, 8));
        bytes[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]); // 30,000 x 30,000
        // The checksum of the header, so that it is its sizes that are refused.
        bytes[29..33].copy_from_slice(&[0xE9, 0x45, 0x6F, 0xED]);
        assert!(decode(&bytes, &DecodeOptions::default()).unwrap_err().contains("30000 x 30000 pixels in"));
    }

    #[test]
    fn resizing_gives_the_size_asked_for() {
        let options = DecodeOptions { resize: Some((5, 3)), ..DecodeOptions::default() };
        let picture = decode(&png(RgbImage::from_pixel(8, 8, Rgb([9, 9, 9]))), &options).unwrap();
        assert_eq!((picture.width, picture.height, picture.samples), (5, 3, vec![9; 45]));
        for size in [(0, 3), (3, 0), (u32::MAX, u32::MAX), (1 << 16, 1 << 16)] {
            let options = DecodeOptions { resize: Some(size), ..DecodeOptions::default() };
            assert!(decode(&png(RgbImage::new(1, 1)), &options).unwrap_err().contains("the size to scale to"));
        }
    }
}
