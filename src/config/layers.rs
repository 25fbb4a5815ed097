//! The layers of the configuration, lowest first, and who brought which value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ConfigError, DEFAULT};

/// What the built-in defaults are called in messages.
const DEFAULTS: &str = "the built-in defaults";

/// Variables that other programs know too, and the key each stands for. The one with our prefix wins over its alias.
const ALIASES: [(&str, &str); 2] = [("DATABASE_URL", "database_url"), ("REDIS_URL", "redis_url")];

/// Our own variables begin with this.
const PREFIX: &str = "NACHFASS_";

/// Variables with our prefix that are no configuration: what the tests and the benchmarks hand to their own code.
const NOT_CONFIGURATION: [&str; 2] = ["NACHFASS_TEST_", "NACHFASS_BENCH_"];

/// Some values and where they come from.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// All layers, one upon the other.
pub(super) fn stack(layers: &[Layer]) -> Figment {
    layers.iter().cloned().fold(Figment::new(), Figment::merge)
}

/// All layers, the lowest first.
pub(super) fn read(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Layer>, ConfigError> {
    let defaults = parse(DEFAULT, DEFAULTS)?;
    let mut layers = vec![Layer { origin: DEFAULTS.to_owned(), values: defaults.clone() }];
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let origin = path.display().to_string();
        layers.push(Layer { values: parse(&text, &origin)?, origin });
    }
    let defaults = Value::from(defaults);
    for (key, variable, text) in variables(environment)? {
        let value = read_variable(&defaults, &key, text);
        // One layer each, so that a message names the variable.
        layers.push(Layer { origin: format!("the environment variable {variable}"), values: nest(&key, value) });
    }
    Ok(layers)
}

/// Where every key was set that is not a default, by its path with dots.
pub(super) fn origins(figment: &Figment) -> BTreeMap<String, String> {
    fn walk(figment: &Figment, path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
        if let Value::Dict(_, dict) = value {
            for (key, value) in dict {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(figment, &path, value, found);
            }
        } else if let Some(metadata) = figment.get_metadata(value.tag()).filter(|metadata| metadata.name != DEFAULTS) {
            found.insert(path.to_owned(), metadata.name.to_string());
        }
    }
    let mut found = BTreeMap::new();
    if let Ok(all) = figment.find_value("") {
        walk(figment, "", &all, &mut found);
    }
    found
}

/// TOML, with errors that say where but never quote the line: it may hold a password.
fn parse(text: &str, origin: &str) -> Result<Dict, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            origin: origin.to_owned(),
            line: before.split('\n').count(),
            column: before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1),
            problem: error.message().to_owned(),
        }
    })
}

/// The variables that are configuration, as (key, variable, text): aliases first, so that our own names win.
fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String, String)>, ConfigError> {
    let mut found = Vec::new();
    for (variable, text) in environment {
        let Ok(variable) = variable.into_string() else { continue };
        let alias = ALIASES.iter().find(|(alias, _)| *alias == variable).map(|(_, key)| (*key).to_owned());
        let is_alias = alias.is_some();
        let own = || variable.strip_prefix(PREFIX).map(|key| key.to_lowercase().replace("__", "."));
        let Some(key) = alias.or_else(own) else { continue };
        let Ok(text) = text.into_string() else { return Err(ConfigError::NotUnicode { variable }) };
        if NOT_CONFIGURATION.iter().any(|prefix| variable.starts_with(prefix)) || is_service_link(&variable, &text) {
            continue;
        }
        found.push((!is_alias, key, variable, text));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, key, variable, text)| (key, variable, text)).collect())
}

/// Kubernetes tells every pod about every service; one called `nachfass` or `nachfass-api` must not look like a typo.
fn is_service_link(variable: &str, text: &str) -> bool {
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || (variable.ends_with("_PORT") && text.contains("://"))
        || (variable.contains("_PORT_") && (variable.contains("_TCP") || variable.contains("_UDP")))
}

/// A variable's text as the kind of value that the default has: a key of digits only is still a text. What is no text
/// in the defaults is written as in the file.
fn read_variable(defaults: &Value, key: &str, text: String) -> Value {
    if matches!(defaults.find_ref(key), Some(Value::String(..))) {
        return Value::from(text);
    }
    let parsed = toml::from_str::<Dict>(&format!("value = {text}"));
    parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::from(text))
}

/// `a.b` and a value as the table `{ a = { b = value } }`.
fn nest(key: &str, value: Value) -> Dict {
    match key.split_once('.') {
        Some((first, rest)) => Dict::from([(first.to_owned(), Value::Dict(Tag::Default, nest(rest, value)))]),
        None => Dict::from([(key.to_owned(), value)]),
    }
}
