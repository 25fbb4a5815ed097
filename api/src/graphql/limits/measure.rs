//! What a document asks for once its fragments are expanded.
//!
//! Validation follows every fragment spread, so sixteen fragments of which each spreads the next three times keep it busy for hours. The
//! first walk therefore only counts, each fragment once, and refuses what would expand beyond the limit; the second walk may then
//! expand the document literally.

use std::collections::HashMap;

use async_graphql::ServerError;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use super::{
    MAX_ALIASES, MAX_DEPTH, MAX_FRAGMENTS, MAX_INTROSPECTION_DEPTH, MAX_LEVELS, MAX_OPERATIONS, MAX_SELECTIONS,
    exceeds, refused,
};

/// Introspection fields that list what a type consists of. Nested in each other they multiply.
const INTROSPECTION_LISTS: &[&str] = &["fields", "inputFields", "interfaces", "possibleTypes"];

/// Checks a document before anything else walks it.
///
/// # Errors
/// `TOO_COMPLEX` beyond a limit, `BAD_REQUEST` for fragments that spread themselves.
pub fn check(document: &ExecutableDocument) -> Result<(), ServerError> {
    let operations = document.operations.iter().count();
    if operations > MAX_OPERATIONS {
        let what = format_args!("the document has {operations} operations");
        return Err(exceeds(what, MAX_OPERATIONS, "split it"));
    }
    let fragments = document.fragments.len();
    if fragments > MAX_FRAGMENTS {
        return Err(exceeds(format_args!("the document has {fragments} fragments"), MAX_FRAGMENTS, "split it"));
    }
    let count = selections(document)?;
    if count > MAX_SELECTIONS {
        let what = format_args!("the document has {count} fields once its fragments are expanded");
        return Err(exceeds(what, MAX_SELECTIONS, "ask for fewer fields, or in several requests"));
    }
    let mut usage = Usage::default();
    for set in roots(document) {
        usage.walk(document, set, Place::default())?;
    }
    usage.check()
}

/// How many fields, fragments and spreads a document has once its fragments are expanded.
///
/// # Errors
/// As [`check`]: fragments that spread themselves, or nest too deep.
pub fn selections(document: &ExecutableDocument) -> Result<u64, ServerError> {
    Counting { document, known: HashMap::new() }.all()
}

/// The selection sets of the operations.
fn roots(document: &ExecutableDocument) -> impl Iterator<Item = &SelectionSet> {
    document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node)
}

fn too_complex(message: String) -> ServerError {
    refused("TOO_COMPLEX", message)
}

fn too_deep() -> ServerError {
    let what = format_args!("selection sets are nested more than {MAX_LEVELS} deep, fragments among them");
    exceeds(what, format_args!("{MAX_LEVELS} levels"), "nest fewer fragments in each other")
}

/// Counts selections with fragments expanded.
struct Counting<'a> {
    document: &'a ExecutableDocument,
    /// The fragments counted so far; `None` while one is being counted.
    known: HashMap<&'a str, Option<u64>>,
}

impl<'a> Counting<'a> {
    fn all(mut self) -> Result<u64, ServerError> {
        let document = self.document;
        let mut count: u64 = 0;
        for set in roots(document) {
            count = count.saturating_add(self.count(set, 0)?);
        }
        for name in document.fragments.keys() {
            // Spread nowhere: validation walks it once all the same.
            let is_new = !self.known.contains_key(name.as_str());
            let size = self.fragment(name, 0)?;
            count = count.saturating_add(if is_new { size } else { 0 });
        }
        Ok(count)
    }

    fn count(&mut self, set: &'a SelectionSet, level: usize) -> Result<u64, ServerError> {
        let level = deeper(level)?;
        let mut count: u64 = 0;
        for item in &set.items {
            let inside = match &item.node {
                Selection::Field(field) => self.count(&field.node.selection_set.node, level)?,
                Selection::InlineFragment(fragment) => self.count(&fragment.node.selection_set.node, level)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, level)?,
            };
            count = count.saturating_add(inside).saturating_add(1);
        }
        Ok(count)
    }

    /// The size of a fragment; 0 for one that does not exist, which validation reports.
    fn fragment(&mut self, name: &str, level: usize) -> Result<u64, ServerError> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(0) };
        match self.known.get(name.as_str()) {
            Some(Some(count)) => return Ok(*count),
            Some(None) => return Err(refused("BAD_REQUEST", format!("the fragment {name} spreads itself"))),
            None => {}
        }
        self.known.insert(name, None);
        let count = self.count(&fragment.node.selection_set.node, level)?;
        self.known.insert(name, Some(count));
        Ok(count)
    }
}

fn deeper(level: usize) -> Result<usize, ServerError> {
    if level < MAX_LEVELS { Ok(level + 1) } else { Err(too_deep()) }
}

/// Where a selection set stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Selection sets around it, fragments included.
    level: usize,
    /// Fields around it.
    depth: usize,
    /// Whether it is part of the introspection.
    is_introspection: bool,
    /// Introspection lists around it.
    lists: usize,
}

/// What an expanded document uses of what is limited.
#[derive(Default)]
struct Usage {
    /// Aliases, and fields that are asked for once more at the same place.
    aliases: usize,
}

impl Usage {
    fn check(&self) -> Result<(), ServerError> {
        let Self { aliases } = self;
        if *aliases > MAX_ALIASES {
            let what = format_args!("the document has {aliases} aliases and repeated fields");
            return Err(exceeds(what, MAX_ALIASES, "ask in several requests"));
        }
        Ok(())
    }

    /// Walks an expanded selection set, of which [`Counting`] knows that it is small.
    fn walk<'a>(
        &mut self,
        document: &'a ExecutableDocument,
        set: &'a SelectionSet,
        place: Place,
    ) -> Result<(), ServerError> {
        let place = Place { level: deeper(place.level)?, ..place };
        let mut fields = Vec::new();
        flatten(document, set, None, place.level, &mut fields)?;
        let mut seen = HashMap::new();
        for (on, field) in fields {
            let occurrence: &mut usize = seen.entry((on, field.response_key().node.as_str())).or_default();
            *occurrence += 1;
            // A plain field that several fragments ask for costs nothing; one with fields or arguments is resolved each time.
            let is_repeated =
                *occurrence > 1 && (!field.selection_set.node.items.is_empty() || !field.arguments.is_empty());
            self.aliases += usize::from(field.alias.is_some() || is_repeated);
            let inner = place.inside(field)?;
            if !field.selection_set.node.items.is_empty() {
                self.walk(document, &field.selection_set.node, inner)?;
            }
        }
        Ok(())
    }
}

impl Place {
    /// The place inside of a field.
    fn inside(self, field: &Field) -> Result<Self, ServerError> {
        let name = field.name.node.as_str();
        let is_introspection = self.is_introspection || name == "__schema" || name == "__type";
        let depth = self.depth + 1;
        let limit = if is_introspection { MAX_INTROSPECTION_DEPTH } else { MAX_DEPTH };
        if depth > limit {
            let what = format_args!("the field `{name}` is nested {depth} deep");
            return Err(exceeds(
                what,
                format_args!("{limit} levels"),
                "ask for it by a query of its own, such as node(id:)",
            ));
        }
        let is_list = is_introspection && INTROSPECTION_LISTS.contains(&name);
        let lists = self.lists + usize::from(is_list);
        if lists > 1 {
            let message = format!("the introspection may not nest {} in each other", INTROSPECTION_LISTS.join(", "));
            return Err(too_complex(message));
        }
        Ok(Self { level: self.level, depth, is_introspection, lists })
    }
}

/// The fields of a selection set, those of its fragments among them, each with the type that its fragment is on.
fn flatten<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    on: Option<&'a str>,
    level: usize,
    fields: &mut Vec<(Option<&'a str>, &'a Field)>,
) -> Result<(), ServerError> {
    for item in &set.items {
        let (on, inner) = match &item.node {
            Selection::Field(field) => {
                fields.push((on, &field.node));
                continue;
            }
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                (condition.or(on), &fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) else { continue };
                (Some(fragment.node.type_condition.node.on.node.as_str()), &fragment.node.selection_set.node)
            }
        };
        flatten(document, inner, on, deeper(level)?, fields)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
