//! Weights in and out as safetensors files.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use thalweg_descent::{Layout, Real};

use crate::{Error, Result};

/// Writes parameters as a safetensors file: one `F32` tensor for each block, by its name and shape.
///
/// # Errors
/// [`Error::Parameters`] when the vector does not belong to the layout; [`Error::File`] when the file cannot be written.
pub fn save(path: &Path, layout: &Layout, parameters: &[f32]) -> Result<()> {
    if parameters.len() != layout.len() {
        return Err(Error::Parameters { expected: layout.len(), found: parameters.len() });
    }
    let mut bytes = Vec::new();
    f32::extend_bytes(parameters, &mut bytes);
    let view = |block: &thalweg_descent::Block| {
        let range = block.offset * f32::BYTES..block.range().end * f32::BYTES;
        TensorView::new(Dtype::F32, block.shape.clone(), &bytes[range])
    };
    let mut tensors = BTreeMap::new();
    for block in layout.blocks() {
        tensors.insert(block.name.as_str(), view(block).map_err(|source| unfit(path, &source))?);
    }
    let file = safetensors::serialize(tensors, None).map_err(|source| unfit(path, &source))?;
    std::fs::write(path, file).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Reads parameters that [`save`] wrote, or that anybody wrote under the layout's names and shapes.
///
/// # Errors
/// [`Error::Weights`] listing tensors that are missing, left over, of another type or of another shape, or holding a number
/// that is not finite; [`Error::File`] when the file cannot be read.
pub fn load(path: &Path, layout: &Layout) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|source| unfit(path, &source))?;
    let problems = differences(&file, layout);
    if !problems.is_empty() {
        return Err(Error::Weights { path: path.to_owned(), reason: problems.join("; ") });
    }
    let mut parameters = Vec::with_capacity(layout.len());
    for block in layout.blocks() {
        let tensor = file.tensor(&block.name).map_err(|source| unfit(path, &source))?;
        let values = f32::from_bytes(tensor.data());
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let reason = format!("{} holds {value}; weights must be finite numbers", block.name);
            return Err(Error::Weights { path: path.to_owned(), reason });
        }
        parameters.extend(values);
    }
    Ok(parameters)
}

/// What of the file does not fit the layout, in words.
fn differences(file: &SafeTensors<'_>, layout: &Layout) -> Vec<String> {
    let mut problems = Vec::new();
    for block in layout.blocks() {
        match file.tensor(&block.name) {
            Err(_) => problems.push(format!("{} is missing (shape {:?})", block.name, block.shape)),
            Ok(tensor) if tensor.dtype() != Dtype::F32 => {
                problems.push(format!("{} is of type {:?}, but F32 is expected", block.name, tensor.dtype()));
            }
            Ok(tensor) if tensor.shape() != block.shape => {
                let found = tensor.shape();
                problems.push(format!("{} has shape {found:?}, but the network has {:?}", block.name, block.shape));
            }
            Ok(_) => {}
        }
    }
    let mut left_over: Vec<_> = file.names().into_iter().filter(|name| layout.find(name).is_none()).collect();
    left_over.sort_unstable();
    problems.extend(left_over.into_iter().map(|name| format!("{name} is not a tensor of the network")));
    problems
}

fn unfit(path: &Path, source: &safetensors::SafeTensorError) -> Error {
    Error::Weights { path: path.to_owned(), reason: source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shapes: &[(&str, &[usize])]) -> Layout {
        let mut layout = Layout::default();
        for (name, shape) in shapes {
            layout.push(name, shape);
        }
        layout
    }

    #[test]
    fn parameters_come_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let layout = layout(&[("b.weight", &[2, 3]), ("a.bias", &[3]), ("scale", &[])]);
        let parameters: Vec<f32> = (0..10).map(|v| (v as f32).sin()).collect();
        save(&path, &layout, &parameters).unwrap();
        assert_eq!(load(&path, &layout).unwrap(), parameters);
    }

    #[test]
    fn a_file_of_another_network_is_refused_with_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        save(&path, &layout(&[("a", &[2, 3]), ("b", &[1])]), &[0.0; 7]).unwrap();
        let error = load(&path, &layout(&[("a", &[3, 2]), ("c", &[4])])).unwrap_err().to_string();
        for part in ["a has shape [2, 3], but the network has [3, 2]", "c is missing (shape [4])", "b is not a tensor"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        std::fs::write(&path, b"not weights").unwrap();
        assert!(matches!(load(&path, &layout(&[("a", &[1])])), Err(Error::Weights { .. })));
        assert!(matches!(load(&folder.path().join("none"), &layout(&[("a", &[1])])), Err(Error::File { .. })));
        save(&path, &layout(&[("a", &[1])]), &[f32::NAN]).unwrap();
        assert!(load(&path, &layout(&[("a", &[1])])).unwrap_err().to_string().contains("a holds NaN"));
    }
}
