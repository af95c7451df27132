//! The keys of each kind of file, as data: the validator, `config show` and the reference pages read it.

use std::fmt;

use domain::Decimal;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `risk_limits.toml`.
    RiskLimits,
    /// `strategies/*.toml`, and `strategy.toml` in a bundle.
    Strategy,
    /// `features/*.toml`.
    Features,
    /// The service's own: `dev.toml`, `paper.toml`, with `base.toml` under them.
    Service,
}

impl FileKind {
    /// Every kind, in a fixed order.
    pub const ALL: [Self; 4] = [Self::RiskLimits, Self::Strategy, Self::Features, Self::Service];

    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RiskLimits => "risk_limits",
            Self::Strategy => "strategy",
            Self::Features => "features",
            Self::Service => "service",
        }
    }

    /// The kind of a name as in [`FileKind::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Type and range of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number from `min` to `max`.
    Integer {
        /// Least.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A decimal number, at most eight decimals, no exponent; bounds in units of 1e-8.
    Decimal {
        /// Least.
        min: i64,
        /// Whether `min` itself is refused.
        above_min: bool,
        /// Largest.
        max: i64,
    },
    /// Text of 1 to `max_bytes` bytes without control characters.
    Text {
        /// Longest.
        max_bytes: usize,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path, absolute or relative to where the service runs.
    FilePath,
    /// A path of a file inside the bundle: relative, without `..`.
    BundlePath,
    /// An address with one of these schemes, without a user or password.
    Url(&'static [&'static str]),
    /// A list of 1 to `max` different texts.
    Texts {
        /// Longest list.
        max: usize,
    },
    /// A list of tables, `[[name]]`.
    Tables {
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
}

impl Kind {
    /// Its name in reference pages and JSON.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Text { .. } => "text",
            Self::Choice(_) => "choice",
            Self::FilePath | Self::BundlePath => "path",
            Self::Url(_) => "address",
            Self::Texts { .. } => "list of texts",
            Self::Tables { .. } => "list of tables",
        }
    }
}

impl fmt::Display for Kind {
    /// What is allowed, in words.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max } => write!(out, "a whole number from {min} to {max}"),
            Self::Decimal { min, above_min, max } => {
                let from = if *above_min { "above" } else { "from" };
                let (min, max) = (Decimal::from_units(*min), Decimal::from_units(*max));
                write!(out, "a decimal number {from} {min} to {max}")
            }
            Self::Text { max_bytes } => write!(out, "text of 1 to {max_bytes} bytes"),
            Self::Choice(words) => write!(out, "one of {}", words.join(", ")),
            Self::FilePath => out.write_str("a path"),
            Self::BundlePath => out.write_str("a relative path inside the bundle, without \"..\""),
            Self::Url(schemes) => {
                write!(
                    out,
                    "an address {}://host without user or password",
                    schemes.join(":// or ")
                )
            }
            Self::Texts { max } => write!(out, "a list of 1 to {max} different texts"),
            Self::Tables { min, max } => write!(out, "{min} to {max} tables"),
        }
    }
}

/// Whether a key must stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It may, and its absence means something.
    Optional,
    /// It may; this is its value otherwise, as TOML text.
    Default(&'static str),
}

/// One key of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Dotted path; `[]` behind the name of a list of tables, as in `slot[].id`.
    pub path: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Whether it must be there.
    pub presence: Presence,
    /// Unit of the value; empty when it has none.
    pub unit: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl Key {
    pub(crate) const fn required(
        path: &'static str,
        kind: Kind,
        unit: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            path,
            kind,
            presence: Presence::Required,
            unit,
            doc,
        }
    }

    pub(crate) const fn optional(
        path: &'static str,
        kind: Kind,
        unit: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            path,
            kind,
            presence: Presence::Optional,
            unit,
            doc,
        }
    }

    /// Gives it a default.
    pub(crate) const fn or(self, value: &'static str) -> Self {
        Self {
            presence: Presence::Default(value),
            ..self
        }
    }
}

/// Every key of a kind of file, in the order in which `config show` prints them.
#[must_use]
pub fn schema(kind: FileKind) -> &'static [Key] {
    match kind {
        FileKind::RiskLimits => crate::risk_limits::KEYS,
        FileKind::Strategy => crate::strategy::KEYS,
        FileKind::Features => crate::features::KEYS,
        FileKind::Service => crate::service_schema::KEYS,
    }
}
