//! Which examples a run takes.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result};

use crate::compose::dataset::load_set;

/// The examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A name of the catalogue (`thalweg data list`), or the path of a folder, with a separator in it, such as `./photos`.
    pub name: String,
    /// The digest of a folder's records, noted when the run began: a run does not go on with other data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// A folder of pictures: the size they are scaled to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<PictureSize>,
    /// At most so many training examples, the first of a seeded shuffle; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// So many training examples, the same for every seed, are held out, and the run is measured on them instead of the test examples:
    /// for choosing a rate or a network without looking at the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// Texts: words are hashed to so many tokens, so that no vocabulary is learnt from private texts.
    pub vocabulary: usize,
    /// Texts: the first so many words count.
    pub words: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            name: "digits".to_owned(),
            sha256: None,
            resize: None,
            limit: None,
            validation: None,
            vocabulary: 10_000,
            words: 256,
        }
    }
}

impl DataConfig {
    /// The folder that the name is the path of.
    pub fn folder(&self) -> Option<&Path> {
        self.name.contains(['/', '\\']).then(|| Path::new(&self.name))
    }

    /// Notes where a folder of the person's own lies and what it holds, so that a run is resumed from anywhere, and with the same
    /// examples. A set of the catalogue has its digest there.
    ///
    /// # Errors
    /// [`Error::Input`] when the folder cannot be read.
    pub fn pin(&mut self) -> Result<()> {
        if let Some(folder) = self.folder() {
            let folder =
                std::path::absolute(folder).map_err(|error| Error::input(format!("data.name = {}: {error}", self.name)))?;
            self.name = folder.display().to_string();
            self.sha256 = Some(load_set(self)?.content_hash().to_string());
        }
        Ok(())
    }
}

/// Columns and rows, as in `32x24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PictureSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|&side| side > 0);
        text.split_once('x')
            .and_then(|(width, height)| Some(Self { width: side(width)?, height: side(height)? }))
            .ok_or_else(|| format!("\"{text}\" is not a size of pictures; give columns and rows, as 32x32"))
    }
}

impl TryFrom<String> for PictureSize {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<PictureSize> for String {
    fn from(size: PictureSize) -> Self {
        format!("{}x{}", size.width, size.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_separator_is_a_folder() {
        let folder = |name: &str| DataConfig { name: name.to_owned(), ..DataConfig::default() }.folder().is_some();
        assert!(["./photos", "/data/photos", "photos/", "..\\photos"].into_iter().all(folder));
        assert!(!["digits", "fashion-mnist"].into_iter().any(folder));
    }

    #[test]
    fn sizes_are_columns_and_rows() {
        let size: PictureSize = "32x24".parse().unwrap();
        assert_eq!(size, PictureSize { width: 32, height: 24 });
        assert_eq!(String::from(size), "32x24");
        for wrong in ["", "32", "0x4", "4x0", "-1x4", "4x4x4", "axb"] {
            assert!(wrong.parse::<PictureSize>().unwrap_err().contains("as 32x32"), "{wrong}");
        }
    }
}
