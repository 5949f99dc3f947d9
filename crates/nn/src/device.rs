//! Where a network runs.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a network runs: chosen at run time, compiled in by cargo features.
///
/// ```
/// use thalweg_nn::Device;
///
/// assert_eq!("cpu".parse::<Device>()?, Device::Cpu);
/// assert!("tpu".parse::<Device>().unwrap_err().to_string().contains("cpu, vulkan or cuda"));
/// # Ok::<(), thalweg_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Device {
    /// The processor, with this crate's own convolution and taps.
    #[default]
    Cpu,
    /// A graphics card through Vulkan; needs the cargo feature `vulkan`.
    ///
    /// Networks run on it; per-example norms and weighted sums of a tapped pass are formed by the processor.
    Vulkan,
    /// A graphics card through CUDA; needs the cargo feature `cuda`, which is forwarded to Burn and **untested**.
    Cuda,
}

impl Device {
    /// Burn's device.
    ///
    /// # Errors
    /// [`Error::Device`] when the feature is not compiled in.
    pub fn open(self) -> Result<burn::tensor::Device> {
        match self {
            Self::Cpu => Ok(burn::tensor::Device::flex()),
            Self::Vulkan => vulkan(),
            Self::Cuda => cuda(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<burn::tensor::Device> {
    Ok(burn::tensor::Device::vulkan(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<burn::tensor::Device> {
    Err(not_compiled(Device::Vulkan))
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<burn::tensor::Device> {
    Ok(burn::tensor::Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<burn::tensor::Device> {
    Err(not_compiled(Device::Cuda))
}

#[cfg(not(all(feature = "vulkan", feature = "cuda")))]
fn not_compiled(device: Device) -> Error {
    let reason = format!("it is not compiled in; build with --features {device}, or use --device cpu");
    Error::Device { device: device.to_string(), reason }
}

impl Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Cpu, Self::Vulkan, Self::Cuda].into_iter().find(|device| device.name() == name).ok_or_else(|| Error::Device {
            device: name.to_owned(),
            reason: "there is none of that name; choose cpu, vulkan or cuda".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert!(Device::default().open().is_ok());
    }

    #[cfg(not(feature = "vulkan"))]
    #[test]
    fn a_device_that_is_not_compiled_in_names_its_feature() {
        let error = Device::Vulkan.open().unwrap_err();
        assert_eq!(
            error.to_string(),
            "device \"vulkan\": it is not compiled in; build with --features vulkan, or use --device cpu"
        );
    }
}
