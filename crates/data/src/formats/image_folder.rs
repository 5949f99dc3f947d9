//! Pictures in folders named by their class: `root/<class>/<file>` or `root/<split>/<class>/<file>`.
//!
//! Class numbers are the ranks of the class names in byte order; records are in byte order of their paths below the root. Names that
//! begin with a dot are passed over, and so are links that lead out of the root.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::folder;
use super::picture::{self, DecodeOptions, EXTENSIONS, FOREIGN_EXTENSIONS, Picture};
use crate::dataset::{DataSet, ImageShape, SplitPart};
use crate::error::{DataError, Result};

/// What to do with a picture that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadPictures {
    /// Stop with an error.
    #[default]
    Stop,
    /// Leave it out and list it.
    Skip,
}

/// How to read an image folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageFolderOptions {
    /// How each picture is decoded.
    pub decode: DecodeOptions,
    /// What to do with a picture that cannot be read.
    pub bad: BadPictures,
}

/// An image folder that was read.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    /// The pictures. Splits are present where the folder has them.
    pub set: DataSet,
    /// Pictures that were left out, each with the reason. Empty unless [`BadPictures::Skip`].
    pub skipped: Vec<(PathBuf, String)>,
}

/// Reads an image folder; decodes in parallel, with a result that does not depend on the number of threads.
///
/// # Errors
/// [`DataError::ImageFolder`] for a folder without classes, a class without pictures or a picture that cannot be read;
/// [`DataError::MixedSizes`]; [`DataError::MissingFeature`] for a picture of a kind this build cannot decode;
/// [`DataError::Unreadable`].
pub fn read(root: &Path, options: &ImageFolderOptions) -> Result<ImageFolder> {
    let files = Tree::scan(root)?;
    let mut gathered = Gathered::default();
    // In pieces: the encoded bytes of one piece at a time are in memory.
    for piece in files.pictures.chunks(1024) {
        let decoded: Vec<_> = piece.par_iter().map(|file| decode(&file.path, &options.decode)).collect();
        for (file, outcome) in piece.iter().zip(decoded) {
            match outcome {
                Ok(picture) => gathered.add(file, &picture)?,
                Err(reason) if options.bad == BadPictures::Skip => gathered.skipped.push((file.path.clone(), reason)),
                Err(reason) => return Err(DataError::ImageFolder { path: file.path.clone(), reason }),
            }
        }
    }
    gathered.into_folder(root, files)
}

fn decode(path: &Path, options: &DecodeOptions) -> std::result::Result<Picture, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    picture::decode(&bytes, options)
}

struct File {
    path: PathBuf,
    split: usize,
    class: u32,
}

/// The pictures below a root, in canonical order, with the names of splits (none where there are no split folders) and classes.
struct Tree {
    splits: Vec<String>,
    classes: Vec<String>,
    pictures: Vec<File>,
}

impl Tree {
    fn scan(root: &Path) -> Result<Self> {
        let real_root = root.canonicalize().map_err(DataError::unreadable(root))?;
        let inside = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real.starts_with(&real_root));
        let folders_in = |dir: &Path| -> Result<Vec<PathBuf>> {
            Ok(folder::entries(dir)?.into_iter().filter(|path| path.is_dir() && inside(path)).collect())
        };
        let top = folders_in(root)?;
        if top.is_empty() {
            let reason = "no class folder; expected <class>/<picture> or <split>/<class>/<picture> below it".to_owned();
            return Err(DataError::ImageFolder { path: root.to_path_buf(), reason });
        }
        let mut class_folders = Vec::new();
        let mut splits = Vec::new();
        if has_split_folders(&top)? {
            for (number, split) in top.iter().enumerate() {
                splits.push(folder::name(split));
                class_folders.extend(folders_in(split)?.into_iter().map(|path| (number, path)));
            }
        } else {
            class_folders.extend(top.into_iter().map(|path| (0, path)));
        }
        let classes: BTreeSet<String> = class_folders.iter().map(|(_, path)| folder::name(path)).collect();
        let classes: Vec<String> = classes.into_iter().collect();
        let mut pictures = Vec::new();
        for (split, dir) in class_folders {
            let class = classes.binary_search(&folder::name(&dir)).unwrap_or_default() as u32;
            let found = pictures_below(&dir, &inside)?;
            if found.is_empty() {
                let reason = format!("a class without pictures; expected files ending in {}", EXTENSIONS.join(", "));
                return Err(DataError::ImageFolder { path: dir, reason });
            }
            pictures.extend(found.into_iter().map(|path| File { path, split, class }));
        }
        Ok(Self { splits, classes, pictures })
    }
}

/// Split folders hold folders and no pictures of their own.
fn has_split_folders(top: &[PathBuf]) -> Result<bool> {
    for dir in top {
        let inside = folder::entries(dir)?;
        let holds_pictures = inside.iter().any(|path| path.is_file() && is_picture(path));
        if holds_pictures || !inside.iter().any(|path| path.is_dir()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// All pictures in a class folder and below it. A folder's own name is compared with a `/` behind it, so that the order is that of
/// whole relative paths.
fn pictures_below(dir: &Path, inside: &impl Fn(&PathBuf) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for path in folder::entries(&dir)?.into_iter().filter(inside) {
            if path.is_dir() {
                // A link to a folder above would make the walk endless.
                if !path.is_symlink() {
                    open.push(path);
                }
            } else if is_picture(&path) {
                found.push(path);
            } else if let Some(feature) = foreign_codec(&path) {
                return Err(DataError::MissingFeature { file: path.display().to_string(), feature });
            }
        }
    }
    found.sort_by_cached_key(|path| path.to_string_lossy().replace('\\', "/").into_bytes());
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    extension(path).is_some_and(|ext| EXTENSIONS.contains(&ext.as_str()))
}

fn foreign_codec(path: &Path) -> Option<String> {
    extension(path).filter(|ext| FOREIGN_EXTENSIONS.contains(&ext.as_str()))
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[derive(Default)]
struct Gathered {
    first: Option<(PathBuf, ImageShape)>,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    splits: Vec<usize>,
    skipped: Vec<(PathBuf, String)>,
}

impl Gathered {
    fn add(&mut self, file: &File, picture: &Picture) -> Result<()> {
        let &Picture { width, height, channels, .. } = picture;
        let shape = ImageShape { height, width, channels };
        let (first_path, first) = self.first.get_or_insert_with(|| (file.path.clone(), shape));
        if *first != shape {
            return Err(DataError::MixedSizes {
                first_path: first_path.clone(),
                first: format!("{}x{}", first.width, first.height),
                second_path: file.path.clone(),
                second: format!("{width}x{height}"),
            });
        }
        self.pixels.extend_from_slice(&picture.samples);
        self.labels.push(file.class);
        self.splits.push(file.split);
        Ok(())
    }

    fn into_folder(self, root: &Path, tree: Tree) -> Result<ImageFolder> {
        let Some((_, shape)) = self.first else {
            let reason = "every picture is unreadable".to_owned();
            return Err(DataError::ImageFolder { path: root.to_path_buf(), reason });
        };
        // The pictures are in order of split, so each split is one run.
        let starts = (0..=tree.splits.len()).map(|number| self.splits.partition_point(|&split| split < number));
        let bounds: Vec<usize> = starts.collect();
        let parts = tree.splits.iter().zip(bounds.windows(2)).map(|(name, run)| SplitPart::run(name, run[0]..run[1]));
        let set = DataSet::from_images(folder::about(root), shape, self.pixels)?
            .with_labels(self.labels, tree.classes)?
            .with_splits(parts.collect())?;
        Ok(ImageFolder { set, skipped: self.skipped })
    }
}
