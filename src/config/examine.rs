//! Everything that is wrong with a configuration, in one run: what cannot be understood, and what will not work.
//!
//! Extracting the values stops at the first one that it cannot understand. Here that one is noted and taken away, and the rest is extracted
//! again, until nothing is left to be noted; the repaired configuration serves for judging the rest, and for nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use figment::value::{Dict, Value};
use toml::de::{DeTable, DeValue};

use super::check::{Finding, Severity};
use super::layers::{self, Layer};
use super::{Config, ConfigError, FILE_NAME};

/// More mistakes than these are not looked for.
const MAX_MISTAKES: usize = 200;

/// A configuration, and everything that is wrong with it.
#[derive(Debug)]
pub struct Examined {
    /// The configuration; `None` where something of it cannot be understood.
    pub config: Option<Config>,
    /// What is wrong: what cannot be understood first, in the order of the file, then the rest.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// Whether nachfass does not start with it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl Config {
    /// Reads the configuration as [`Config::load`] does, and finds everything that is wrong with it.
    #[must_use]
    pub fn examine(path: Option<&Path>) -> Examined {
        let file = match path {
            Some(path) => Some(path),
            None => Some(Path::new(FILE_NAME)).filter(|path| path.exists()),
        };
        Self::examine_from(file, std::env::vars_os())
    }

    /// The same with an environment of the caller's choice; without `file` only defaults and environment count.
    #[must_use]
    pub fn examine_from(file: Option<&Path>, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Examined {
        let mut layers = match layers::read(file, environment) {
            Ok(layers) => layers,
            Err(error) => return Examined { config: None, findings: vec![finding(&error, &Lines::default())] },
        };
        let lines = file.and_then(|file| std::fs::read_to_string(file).ok()).map(|text| Lines::read(&text));
        let lines = Lines { file: file.map(|file| file.display().to_string()), ..lines.unwrap_or_default() };
        let mut findings = Vec::new();
        let config = loop {
            let error = match Self::of_layers(&layers) {
                Ok(config) => break Some(config),
                Err(error) => with_origin(error, &layers),
            };
            let found = finding(&error, &lines);
            // The same twice: it could not be taken away.
            if findings.contains(&found) || findings.len() >= MAX_MISTAKES {
                break None;
            }
            findings.push(found);
            if !repair(&mut layers, &error) {
                break None;
            }
        };
        findings.sort_by_key(|finding| finding.line);
        let is_understood = findings.is_empty();
        let judged = config.as_ref().map(|config| config.check()).unwrap_or_default();
        let is_known =
            |later: &Finding, earlier: &[Finding]| earlier.iter().any(|known| is_about(&known.key, &later.key));
        let rest: Vec<Finding> = judged.into_iter().filter(|found| !is_known(found, &findings)).collect();
        findings.extend(rest.into_iter().map(|found| Finding { line: lines.of_finding(&found), ..found }));
        Examined { config: config.filter(|_| is_understood), findings }
    }
}

/// Whether a mistake at one key may be why another one is judged: the same key, or one of the same source.
fn is_about(mistake: &str, key: &str) -> bool {
    let table = |key: &str| key.split_once("].").map(|(table, _)| table.to_owned());
    mistake == key
        || key.starts_with(&format!("{mistake}."))
        || (table(mistake).is_some() && table(mistake) == table(key))
}

fn finding(error: &ConfigError, lines: &Lines) -> Finding {
    let known = |origin: &str, key: &str, problem: String, advice: String| {
        let line = lines.of(origin, key);
        Finding {
            severity: Severity::Error,
            key: key.to_owned(),
            origin: Some(origin.to_owned()),
            line,
            problem,
            advice,
        }
    };
    match error {
        ConfigError::UnknownKey { origin, key, hint } => {
            known(origin, key, "there is no such key".to_owned(), hint.clone())
        }
        ConfigError::Missing { origin, key } => known(origin, key, "it is missing".to_owned(), "add it".to_owned()),
        ConfigError::Value { origin, key, problem } => {
            known(origin, key, problem.clone(), "nachfass config default describes each key".to_owned())
        }
        ConfigError::Syntax { origin, line, column, problem } => Finding {
            severity: Severity::Error,
            key: String::new(),
            origin: Some(origin.clone()),
            line: Some(*line),
            problem: format!("not valid TOML, column {column}: {problem}"),
            advice: "correct it; what else is wrong shows then".to_owned(),
        },
        ConfigError::Unreadable { path, source } => Finding {
            severity: Severity::Error,
            key: String::new(),
            origin: Some(path.display().to_string()),
            line: None,
            problem: format!("it cannot be read ({source})"),
            advice: "see whether it is there, and whether this user may read it".to_owned(),
        },
        ConfigError::NotUnicode { variable } => Finding {
            severity: Severity::Error,
            key: String::new(),
            origin: Some(format!("the environment variable {variable}")),
            line: None,
            problem: "it is not UTF-8".to_owned(),
            advice: "write it as UTF-8".to_owned(),
        },
    }
}

/// Where something is missing is said by the table that it is missing in.
fn with_origin(error: ConfigError, layers: &[Layer]) -> ConfigError {
    let ConfigError::Missing { origin, key } = error else { return error };
    let first = parts(&key).into_iter().next().unwrap_or_default();
    let layer = layers.iter().rev().find(|layer| layer.values.contains_key(&first));
    ConfigError::Missing { origin: layer.map_or(origin, |layer| layer.origin.clone()), key }
}

/// Takes a mistake away from the topmost layer that has it; `false` where none has.
fn repair(layers: &mut [Layer], error: &ConfigError) -> bool {
    match error {
        ConfigError::UnknownKey { key, .. } | ConfigError::Value { key, .. } => {
            layers.iter_mut().rev().any(|layer| take_away(&mut layer.values, &parts(key), error))
        }
        ConfigError::Missing { key, .. } => layers.iter_mut().rev().any(|layer| add(&mut layer.values, &parts(key))),
        ConfigError::Syntax { .. } | ConfigError::Unreadable { .. } | ConfigError::NotUnicode { .. } => false,
    }
}

/// `sources[0].name` as `sources`, `0`, `name`.
fn parts(key: &str) -> Vec<String> {
    key.replace(']', "").split(['.', '[']).map(str::to_owned).collect()
}

/// The table in which the last part of a path is to be found, and that part.
fn table<'a, 'p>(values: &'a mut Dict, path: &'p [String]) -> Option<(&'a mut Dict, &'p str)> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        return Some((values, first));
    }
    match values.get_mut(first)? {
        Value::Dict(_, inner) => table(inner, rest),
        Value::Array(_, items) => {
            let (place, rest) = rest.split_first()?;
            match items.get_mut(place.parse::<usize>().ok()?)? {
                Value::Dict(_, inner) => table(inner, rest),
                _ => None,
            }
        }
        _ => None,
    }
}

fn take_away(values: &mut Dict, path: &[String], error: &ConfigError) -> bool {
    // What a list holds is not taken away alone: the numbers of the others would change.
    let is_item = path.last().is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let path = path.get(..path.len() - usize::from(is_item)).unwrap_or_default();
    let Some((table, key)) = table(values, path) else { return false };
    let removed = table.remove(key).is_some();
    if removed
        && matches!(error, ConfigError::Value { .. })
        && let Some(value) = required(key)
    {
        table.insert(key.to_owned(), value);
    }
    removed
}

fn add(values: &mut Dict, path: &[String]) -> bool {
    let Some((table, key)) = table(values, path) else { return false };
    required(key).is_some_and(|value| table.insert(key.to_owned(), value).is_none())
}

/// What stands in for the keys that a source must have.
fn required(key: &str) -> Option<Value> {
    match key {
        "name" => Some(Value::from("unnamed")),
        "provider" => Some(Value::from("generic")),
        _ => None,
    }
}

/// On which line of the file each key is.
#[derive(Default)]
struct Lines {
    file: Option<String>,
    by_key: BTreeMap<String, usize>,
}

impl Lines {
    fn read(text: &str) -> Self {
        let mut by_key = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            walk(text, "", table.get_ref(), &mut by_key);
        }
        Self { file: None, by_key }
    }

    /// The line of a key that was set there, or of the table that it would be in.
    fn of_key(&self, key: &str) -> Option<usize> {
        let parent = || {
            let (parent, _) = key.rsplit_once(['.', '['])?;
            self.of_key(parent)
        };
        self.by_key.get(key).copied().or_else(parent)
    }

    /// The line of a key, where the file is its origin.
    fn of(&self, origin: &str, key: &str) -> Option<usize> {
        if self.file.as_deref() == Some(origin) { self.of_key(key) } else { None }
    }

    fn of_finding(&self, finding: &Finding) -> Option<usize> {
        self.of(finding.origin.as_deref()?, &finding.key)
    }
}

fn walk(text: &str, path: &str, table: &DeTable<'_>, found: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        found.insert(path.clone(), line(text, key.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => walk(text, &path, inner, found),
            DeValue::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    let path = format!("{path}[{place}]");
                    found.insert(path.clone(), line(text, item.span().start));
                    if let DeValue::Table(inner) = item.get_ref() {
                        walk(text, &path, inner, found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().split('\n').count()
}
