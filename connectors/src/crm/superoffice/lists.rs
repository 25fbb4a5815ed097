//! What selections and projects have in common: reading them, and making one with our key in its description.

use domain::crm::{CrmError, List, ListKind, NewList, Page, SelectionKind, Trouble};
use serde_json::Value;

use super::SuperOffice;
use super::client::Call;
use super::odata::{Filter, Listing, PAGE};
use super::values::Row;

/// How a kind of list is spoken about.
struct Words {
    /// Below `/api/v1/`, and the name of the entity.
    path: &'static str,
    /// The column of its id in lists.
    key: &'static str,
    /// And the field of the entity.
    id: &'static str,
    columns: &'static [&'static str],
}

const SELECTIONS: Words = Words {
    path: "Selection",
    key: "selectionId",
    id: "SelectionId",
    columns: &["selectionId", "name", "kind", "targetTableNumber"],
};
const PROJECTS: Words = Words { path: "Project", key: "projectId", id: "ProjectId", columns: &["projectId", "name"] };

const fn words(kind: ListKind) -> &'static Words {
    match kind {
        ListKind::Selection => &SELECTIONS,
        ListKind::Project => &PROJECTS,
    }
}

/// The table whose rows are companies: members of such a selection are companies and their persons.
const CONTACT: i64 = 5;

impl SuperOffice {
    pub(super) async fn read_lists(&self, kind: ListKind, after: Option<&str>) -> Result<Page<List>, CrmError> {
        let after = after.map_or(Ok(0), str::parse);
        let after = after.map_err(|_| CrmError::Refused("no page of SuperOffice's begins there".to_owned()))?;
        let words = words(kind);
        let filter = Filter::default().above(words.key, after);
        let listing =
            Listing { path: words.path, columns: words.columns, key: words.key, filter, entities: None, top: PAGE };
        let page = self.client.list(&listing).await?;
        let rows = page.iter().filter(|row| kind == ListKind::Project || row.int("targetTableNumber") == Some(CONTACT));
        let rows = rows.filter_map(|row| {
            Some(List {
                id: row.id(words.key)?.to_string(),
                name: row.text("name").unwrap_or_default(),
                // No list of SuperOffice's has it.
                description: None,
                kind: if kind == ListKind::Project { SelectionKind::Static } else { selection_kind(row) },
            })
        });
        Ok(Page { rows: rows.collect(), next: page.next(words.key).map(|key| key.to_string()) })
    }

    pub(super) async fn write_list(&self, new: &NewList, again: bool) -> Result<String, CrmError> {
        let words = words(new.kind);
        if again && let Some(id) = self.list_with_key(new, words).await? {
            return Ok(id);
        }
        let mut entity = self.client.json(&Call::get(format!("{}/default", words.path))).await?;
        let Some(fields) = entity.as_object_mut() else { return Err(nothing_made()) };
        fields.insert("Name".to_owned(), new.name.as_str().into());
        fields.insert("Description".to_owned(), keyed(new.description.as_deref(), &new.key).into());
        if new.kind == ListKind::Selection {
            fields.insert("SelectionType".to_owned(), "Static".into());
            fields.insert("TargetTableName".to_owned(), "contact".into());
            fields.insert("TargetTableNumber".to_owned(), CONTACT.into());
        }
        let made = self.client.json(&Call::post(words.path, entity)).await?;
        let id = Row(&made).id(words.id).ok_or_else(no_id)?;
        Ok(id.to_string())
    }

    /// The list that an earlier try made: one with the same name, and our key in its description.
    async fn list_with_key(&self, new: &NewList, words: &Words) -> Result<Option<String>, CrmError> {
        let listing = Listing {
            path: words.path,
            columns: &[words.key],
            key: words.key,
            filter: Filter::default().is("name", &new.name),
            entities: None,
            top: PAGE,
        };
        let found = self.client.whole(listing).await?;
        // What was made last is the likeliest.
        for id in found.iter().rev().filter_map(|row| Row(row).id(words.key)) {
            let entity = match self.client.json(&Call::get(format!("{}/{id}", words.path))).await {
                // Deleted since.
                Err(CrmError::NotFound) => continue,
                entity => entity?,
            };
            if holds_key(&entity, &new.key) {
                return Ok(Some(id.to_string()));
            }
        }
        Ok(None)
    }
}

/// How the members of a selection are chosen. To be verified on a tenant: whether it is the name or the number of the kind, and
/// whether the name is translated. Whatever is not known to be static is left alone.
fn selection_kind(row: Row<'_>) -> SelectionKind {
    match (row.int("kind"), row.text("kind").unwrap_or_default().to_ascii_lowercase().as_str()) {
        (Some(1), _) | (_, "static" | "statisch" | "statisk") => SelectionKind::Static,
        (Some(3), _) | (_, "combined" | "kombiniert" | "kombinert" | "kombineret" | "kombinerat") => {
            SelectionKind::Combined
        }
        _ => SelectionKind::Dynamic,
    }
}

/// A description with our key below it.
pub(super) fn keyed(description: Option<&str>, key: &str) -> String {
    let mark = mark(key);
    description.map_or_else(|| mark.clone(), |text| format!("{text}\n\n{mark}"))
}

/// Whether our key stands in the description.
pub(super) fn holds_key(entity: &Value, key: &str) -> bool {
    let description = entity.get("Description").and_then(Value::as_str).unwrap_or_default();
    description.contains(&mark(key))
}

fn mark(key: &str) -> String {
    format!("[nachfass {key}]")
}

fn nothing_made() -> CrmError {
    let source = Trouble::Unreadable.because("it gave no template");
    CrmError::Unavailable { source, may_have_happened: false, retry_after: None }
}

/// It was made, but what it is called was not said.
pub(super) fn no_id() -> CrmError {
    let source = Trouble::Unreadable.because("it did not say the id of what it made");
    CrmError::Unavailable { source, may_have_happened: true, retry_after: None }
}
