//! Why a configuration could not be read.

use std::path::PathBuf;

use figment::error::{Actual, Kind};

/// Why a configuration could not be read. No message holds a configured value, but for names that should have been
/// chosen from a list: any other may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing, or may not be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML. The parser's own error is not kept as a source, because it quotes the line.
    #[error("{origin}, line {line}, column {column}: not valid TOML: {problem}")]
    Syntax {
        /// The file.
        origin: String,
        /// Counted from 1.
        line: usize,
        /// Counted in characters from 1.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key that nothing reads.
    #[error("{origin}: there is no key `{key}`; {hint}")]
    UnknownKey {
        /// The file or variable.
        origin: String,
        /// The path of the key.
        key: String,
        /// The nearest key that exists, or all of them.
        hint: String,
    },
    /// A key that must be there.
    #[error("{origin}: `{key}` is missing")]
    Missing {
        /// The file or variable.
        origin: String,
        /// The path of the key.
        key: String,
    },
    /// A value of the wrong kind.
    #[error("{origin}: `{key}`: {problem}")]
    Value {
        /// The file or variable.
        origin: String,
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An environment variable that is not UTF-8.
    #[error("the environment variable {variable} is not UTF-8")]
    NotUnicode {
        /// Its name.
        variable: String,
    },
}

impl ConfigError {
    /// Translates what extracting the values ended with; figment's own message would quote the value.
    pub(super) fn of_figment(error: figment::Error) -> Self {
        let origin =
            error.metadata.as_ref().map_or_else(|| "the configuration".to_owned(), |from| from.name.to_string());
        let mut path = error.path;
        let problem = match error.kind {
            Kind::UnknownField(name, known) => {
                // Depending on where it was met, the path holds the key already.
                if path.last() != Some(&name) {
                    path.push(name.clone());
                }
                return Self::UnknownKey { origin, key: dotted(&path), hint: hint(&name, known) };
            }
            Kind::MissingField(name) => {
                path.push(name.into_owned());
                return Self::Missing { origin, key: dotted(&path) };
            }
            Kind::UnknownVariant(name, known) => format!("{name:?} is not known; {}", hint(&name, known)),
            Kind::InvalidType(found, expected) => {
                format!("expected {}, found {}", plain(&expected), kind_of(&found))
            }
            Kind::InvalidValue(_, expected) | Kind::InvalidLength(_, expected) => {
                format!("not acceptable; expected {}", plain(&expected))
            }
            Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "the number is out of range".to_owned(),
            Kind::Unsupported(found) | Kind::UnsupportedKey(found, _) => {
                format!("{} cannot stand here", kind_of(&found))
            }
            Kind::DuplicateField(name) => format!("`{name}` stands there twice"),
            Kind::Message(_) => "the value cannot be read".to_owned(),
        };
        Self::Value { origin, key: dotted(&path), problem }
    }
}

/// `sources`, `0`, `name` as `sources[0].name`.
fn dotted(path: &[String]) -> String {
    path.iter().fold(String::new(), |path, part| {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{path}[{part}]")
        } else if path.is_empty() {
            part.clone()
        } else {
            format!("{path}.{part}")
        }
    })
}

/// What may have been meant: the one name that is near enough, or all that are known.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (strsim::normalized_damerau_levenshtein(name, known), *known));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, known)) if likeness >= 0.6 => format!("did you mean `{known}`?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// serde's words for what it expected, in ours.
fn plain(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "a text",
        "a sequence" => "a list",
        expected if expected.starts_with("struct ") => "a table",
        expected if expected.starts_with("a nonzero ") => "a whole number from 1",
        expected => expected,
    }
}

/// The kind of a value, without the value.
const fn kind_of(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number with a fraction",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}
