//! The schema itself: everything is described, and it names what the contract names.

use serde_json::{Value, json};
use service::Role;

use super::fixture::Fixture;
use crate::graphql::sdl;

pub const INTROSPECTION: &str = "{ __schema { types { kind name description \
    fields { name description type { ...T } args { name description defaultValue type { ...T } } } \
    inputFields { name description } enumValues { name description } } } } \
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Introspection's answer.
pub async fn types(fixture: &Fixture) -> Vec<Value> {
    let response = fixture.ask(Role::Marketer, INTROSPECTION, json!({})).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let data = response.data.into_json().expect("JSON");
    let types = data["__schema"]["types"].as_array().expect("types").clone();
    types.into_iter().filter(|kind| !kind["name"].as_str().expect("a name").starts_with("__")).collect()
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value[list].as_array().into_iter().flatten()
}

#[tokio::test]
async fn everything_is_described() {
    let mut missing = Vec::new();
    let mut check = |path: String, value: &Value| {
        if value["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
            missing.push(path);
        }
    };
    for kind in types(&Fixture::with(0).await).await {
        let name = kind["name"].as_str().expect("a name");
        // GraphQL's own, which the library leaves without description and out of the schema's text.
        if name != "ID" {
            check(name.to_owned(), &kind);
        }
        for list in ["fields", "inputFields", "enumValues"] {
            for item in items(&kind, list) {
                check(format!("{name}.{}", item["name"]), item);
                items(item, "args").for_each(|arg| check(format!("{name}.{}({})", item["name"], arg["name"]), arg));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_schema_names_what_the_contract_names() {
    let sdl = sdl();
    for line in [
        "type Campaign implements Node {",
        "type Recipient implements Node {",
        "type Job implements Node {",
        "\tcampaign(",
        "\ttotalCount(",
        "\tskipReason: SkipReason\n",
        "\tuserErrors: [UserError!]!\n",
        "\tclickToOpenRate: Float\n",
        "\tstatusBreakdown: [StatusCount!]!\n",
        "\tnode: Recipient!\n",
        "\tfromAddress: String\n",
        "type Subscription {",
        "scalar DateTime",
        "scalar EmailAddress",
        "interface Node {",
        "input RecipientFilter {",
        "input SettingsInput {",
        "\tsettings: Settings!\n",
        "\tupdateSettings(",
        "\tblockedAddressGroups(",
        "\tcomplaints(",
        "\tauditLog(",
        "\tclearBounces(",
        "\tblockAddresses(",
        "\tdeleteAddresses(",
        "\tmarkFormerEmployees(",
        "\tskippedByReason: [SkippedCount!]!\n",
    ] {
        assert!(sdl.contains(line), "{line:?} is not in\n{sdl}");
    }
}
