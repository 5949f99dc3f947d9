//! File formats, one module each. All of them end in a [`DataSet`](crate::DataSet).

pub mod alphabet;
pub mod cifar;
pub mod cifar_jpeg;
pub(crate) mod digits_csv;
mod folder;
pub(crate) mod gzip;
pub mod idx;
pub mod image_folder;
pub mod imdb;
pub(crate) mod mnist_json;
pub mod picture;
pub mod text;
