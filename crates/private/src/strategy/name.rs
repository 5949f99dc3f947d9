//! The names of the mechanisms, as commands and files spell them.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A factorisation of the literature; the spelling is kebab-case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Name {
    /// `C = I`: DP-SGD.
    Identity,
    /// `C = A`: the iterates themselves are perturbed.
    Output,
    /// `C = toep(r)`, the square root of the prefix-sum matrix (Fichtenberger, Henzinger and Upadhyay).
    PrefixRoot,
    /// `C = A_1^{1/2} D`.
    Split,
    /// `C = toep(alpha^j r_j)` for exponential rates, the Toeplitz square root of the rates otherwise (arXiv 2511.17994).
    LrRoot,
    /// `C = toep(a^j r_j)` with `a` tuned on the exact objective.
    AlphaTuned,
    /// Banded square root (arXiv 2405.13763).
    Bsr,
    /// Banded square root of the rates.
    LrBsr,
    /// Banded inverse square root (arXiv 2505.12128).
    Bisr,
    /// Banded inverse square root of the rates.
    LrBisr,
    /// `C^{-1}` bidiagonal (1, -lambda) (arXiv 2601.22334).
    LambdaCgd,
    /// Optimised banded C (arXiv 2306.08153).
    Bandmf,
    /// Optimised banded `C^{-1}`.
    Bandinvmf,
    /// Buffered linear Toeplitz (arXiv 2404.16706).
    Blt,
    /// The optimum over all C (arXiv 2202.08312).
    Dense,
}

impl Name {
    /// Whether it has a number of bands, which is scanned where none is asked for.
    pub fn is_banded(self) -> bool {
        matches!(self, Self::Bsr | Self::LrBsr | Self::Bisr | Self::LrBisr | Self::Bandmf | Self::Bandinvmf)
    }

    /// All names, simplest first.
    pub const ALL: [Self; 15] = [
        Self::Identity,
        Self::Output,
        Self::PrefixRoot,
        Self::Split,
        Self::LrRoot,
        Self::AlphaTuned,
        Self::Bsr,
        Self::LrBsr,
        Self::Bisr,
        Self::LrBisr,
        Self::LambdaCgd,
        Self::Bandmf,
        Self::Bandinvmf,
        Self::Blt,
        Self::Dense,
    ];

    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Output => "output",
            Self::PrefixRoot => "prefix-root",
            Self::Split => "split",
            Self::LrRoot => "lr-root",
            Self::AlphaTuned => "alpha-tuned",
            Self::Bsr => "bsr",
            Self::LrBsr => "lr-bsr",
            Self::Bisr => "bisr",
            Self::LrBisr => "lr-bisr",
            Self::LambdaCgd => "lambda-cgd",
            Self::Bandmf => "bandmf",
            Self::Bandinvmf => "bandinvmf",
            Self::Blt => "blt",
            Self::Dense => "dense",
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::value("the mechanism", format!("{text:?}"), &format!("one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_the_same_everywhere() {
        for name in Name::ALL {
            assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
        assert!("sgd".parse::<Name>().unwrap_err().to_string().contains("lr-root"));
    }
}
