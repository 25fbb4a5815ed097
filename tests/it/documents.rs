//! Whether the documents say what the program does, where that can be told: arrows, types, queries, keys, commands and options.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::{Mode, Site};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents that users read.
fn documents() -> Vec<(String, String)> {
    let names = std::fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(".md"));
    let mut names: Vec<String> = names.map(|name| format!("docs/{name}")).collect();
    names.push("README.md".to_owned());
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The part of a document between two texts.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("there is no {start:?}"));
    rest.split_once(end).unwrap_or_else(|| panic!("there is no {end:?} behind {start:?}")).0
}

#[test]
fn the_arrows_are_drawn_as_they_are() {
    let text = read("docs/ARCHITECTURE.md");
    let mut drawn: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in between(&text, "```\n", "```").lines() {
        let (left, right) = match line.split_once("──>") {
            Some((left, right)) => (left, right),
            None => (line.split_once(':').expect("crates without arrows").0, ""),
        };
        let names = |side: &str| side.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        for name in names(left) {
            drawn.entry(name).or_default().extend(names(right).into_iter().filter(|name| !name.is_empty()));
        }
    }
    let crates: BTreeSet<String> = drawn.keys().cloned().collect();
    for (name, drawn) in &drawn {
        let manifest = if name == "nachfass" { "Cargo.toml".to_owned() } else { format!("{name}/Cargo.toml") };
        let manifest: toml::Table = toml::from_str(&read(&manifest)).expect("TOML");
        let dependencies = manifest["dependencies"].as_table().expect("a table");
        let ours: BTreeSet<String> = dependencies.keys().filter(|name| crates.contains(*name)).cloned().collect();
        assert_eq!(&ours, drawn, "{name}");
    }
}

#[test]
fn the_types_of_nodes_and_the_queries_are_listed_as_they_are() {
    let (text, schema) = (read("docs/API.md"), read("schema.graphql"));
    let listed: BTreeSet<&str> = quoted(between(&text, "`node(id:)` finds", ".\n")).collect();
    let types = schema.lines().filter_map(|line| line.strip_prefix("type ")?.strip_suffix(" implements Node {"));
    assert_eq!(listed, types.collect::<BTreeSet<_>>());

    let listed: BTreeSet<&str> = quoted(between(&text, "\nQueries: ", "\n\n")).collect();
    let fields = between(&schema, "\ntype Query {\n", "\n}");
    // Without descriptions and arguments, each field begins a line with one tab.
    let fields =
        fields.lines().filter_map(|line| line.strip_prefix('\t')).filter(|line| !line.starts_with(['\t', '"', ')']));
    let fields =
        fields.filter(|line| line.contains(['(', ':']) && line.starts_with(|first: char| first.is_ascii_lowercase()));
    let fields: BTreeSet<&str> =
        fields.filter_map(|line| line.split(['(', ':']).next()).filter(|name| !name.contains(' ')).collect();
    assert_eq!(listed, fields);
}

/// The keys of a table and of the tables in it, with dots.
fn keys(table: &toml::Table, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(inner) = value.as_table() {
            keys(inner, &path, found);
        }
        found.insert(path);
    }
}

#[test]
fn the_keys_in_the_documents_are_those_of_the_configuration() {
    let defaults: toml::Table = toml::from_str(nachfass::config::DEFAULT).expect("TOML");
    let mut known = BTreeSet::new();
    keys(&defaults, "", &mut known);

    let operations = read("docs/OPERATIONS.md");
    let table = between(&operations, "\n| key | |\n|---|---|\n", "\n\n");
    let mut described = BTreeSet::new();
    for name in table.lines().flat_map(|row| quoted(row.split('|').nth(1).unwrap_or_default()).collect::<Vec<_>>()) {
        let name = name.trim_matches(['[', ']']).trim_end_matches(".*");
        assert!(known.contains(name) || name == "sources", "{name} is described, and is no key");
        described.insert(name.split('.').next().expect("a part").to_owned());
    }
    for key in defaults.keys() {
        assert!(described.contains(key), "{key} is in the configuration and not in docs/OPERATIONS.md");
    }

    let retention = between(&operations, "\n| what | key in `[retention]` |", "\n\n");
    let listed: BTreeSet<&str> =
        retention.lines().skip(2).flat_map(|row| quoted(row.split('|').nth(2).unwrap_or_default())).collect();
    let kept = defaults["retention"].as_table().expect("a table").keys().map(String::as_str);
    assert_eq!(listed.into_iter().filter(|key| !key.contains('.')).collect::<BTreeSet<_>>(), kept.collect());

    // Every example of a configuration can be read.
    for (name, text) in documents() {
        for example in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let example: toml::Table =
                toml::from_str(example).unwrap_or_else(|error| panic!("{name}: {error}\n{example}"));
            let mut found = BTreeSet::new();
            keys(&example, "", &mut found);
            for key in found {
                assert!(known.contains(&key) || key == "sources", "{name}: there is no key {key}");
            }
        }
    }
}

/// The help of a command; `None` where there is no such command.
fn help(site: &Site, path: &[&str], known: &mut BTreeMap<String, Option<String>>) -> Option<String> {
    let ask = || {
        let output = site.command(path.iter().copied().chain(["--help"])).output().expect("the program starts");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
    };
    known.entry(path.join(" ")).or_insert_with(ask).clone()
}

/// The commands of the program that a text shows: in blocks of code, and between backquotes.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let parts: Vec<&str> = if is_code { vec![line] } else { quoted(line).collect() };
        for part in parts {
            // Behind a pipe, in a substitution, or alone.
            for piece in part.split(['|', '(', ';', '&', '#']) {
                let piece = piece.trim();
                if let Some(command) = piece.strip_prefix("nachfass ") {
                    found.push(command.trim_end_matches(')').to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn the_commands_and_options_in_the_documents_exist() {
    let site = Site::new(Mode::Sqlite).expect("SQLite is always there");
    let mut known = BTreeMap::new();
    let mut count = 0;
    for (name, text) in documents() {
        for command in shown(&text) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let is_word = |word: &&&str| {
                word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-')
            };
            let mut path: Vec<&str> = Vec::new();
            for word in words.iter().take_while(|word| is_word(word)) {
                let longer = [path.as_slice(), &[word]].concat();
                match help(&site, &longer, &mut known) {
                    Some(_) => path = longer,
                    // The first word has to be a command; a later one may be an argument.
                    None if path.is_empty() && *word != "help" => panic!("{name}: there is no nachfass {word}"),
                    None => break,
                }
            }
            let Some(help) = help(&site, &path, &mut known).filter(|_| !path.is_empty()) else { continue };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option =
                    option.split('=').next().expect("a part").trim_end_matches(|last: char| !last.is_alphanumeric());
                let is_known = help
                    .split(|character: char| character.is_whitespace() || character == ',')
                    .any(|word| word == option);
                assert!(is_known || option == "--help", "{name}: nachfass {} has no {option}", path.join(" "));
                count += 1;
            }
            count += 1;
        }
    }
    assert!(count > 50, "the commands are not found: {count}");
}

#[test]
fn the_links_between_documents_lead_somewhere() {
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    let anchors = |text: &str| text.lines().filter(|line| line.starts_with('#')).map(anchor).collect::<BTreeSet<_>>();
    for (name, text) in documents() {
        let folder = Path::new(&name).parent().expect("a folder").to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { Path::new(&name).to_owned() } else { folder.join(file) };
            assert!(root().join(&path).exists(), "{name}: {target}");
            if !wanted.is_empty() {
                let there = std::fs::read_to_string(root().join(&path)).expect("a text");
                assert!(anchors(&there).contains(wanted), "{name}: {target}");
            }
        }
    }
}
