//! Users: listed, added, and locked out by admins.

use async_graphql::{Request, Variables};
use serde_json::{Value, json};
use service::{Role, Subject};

use super::fixture::Fixture;

const CHANGE: &str =
    "user { id email role disabledAt hasSecondFactor } sessionsEnded revokedTokenIds userErrors { code field message }";

async fn change(fixture: &Fixture, field: &str, variables: &str, call: &str, values: Value) -> Value {
    let query = format!("mutation({variables}) {{ {field}({call}) {{ {CHANGE} }} }}");
    by_admin(fixture, &query, values).await[field].clone()
}

/// What somebody is answered who is an admin in the database, too: it is looked up where access is given.
async fn by_admin(fixture: &Fixture, query: &str, values: Value) -> Value {
    let access = fixture.services.access(Subject::command_line());
    let request = Request::new(query).variables(Variables::from_json(values)).data(access);
    let response = fixture.schema.execute(request).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    response.data.into_json().expect("JSON")
}

async fn add(fixture: &Fixture, email: &str, role: &str, password: &str) -> Value {
    let input = json!({ "input": { "email": email, "role": role, "password": password } });
    change(fixture, "addUser", "$input: AddUserInput!", "input: $input", input).await
}

#[tokio::test]
async fn admins_manage_users() {
    let fixture = Fixture::with(0).await;
    let weak = add(&fixture, "erika@example.com", "ADMIN", "password1234").await;
    assert_eq!((&weak["user"], &weak["userErrors"][0]["field"]), (&Value::Null, &json!(["password"])));
    let erika = add(&fixture, "erika@example.com", "ADMIN", "correct horse battery").await["user"]["id"].clone();
    let max = add(&fixture, "max@example.com", "VIEWER", "correct horse battery").await["user"]["id"].clone();

    let role = |id: &Value, role: &str| json!({ "id": id, "role": role });
    let set_role = async |values: Value| {
        change(&fixture, "setUserRole", "$id: ID!, $role: Role!", "id: $id, role: $role", values).await
    };
    let last = set_role(role(&erika, "VIEWER")).await;
    assert_eq!(last["userErrors"][0]["code"], "CONFLICT", "{last}");
    assert_eq!(set_role(role(&max, "MARKETER")).await["user"]["role"], "MARKETER");

    let set_disabled = async |id: &Value, disabled: bool| {
        let values = json!({ "id": id, "disabled": disabled });
        let (variables, call) = ("$id: ID!, $disabled: Boolean!", "id: $id, disabled: $disabled");
        change(&fixture, "setUserDisabled", variables, call, values).await
    };
    assert!(set_disabled(&max, true).await["user"]["disabledAt"].is_string());
    assert!(set_disabled(&max, false).await["user"]["disabledAt"].is_null());
    assert_eq!(set_disabled(&erika, true).await["userErrors"][0]["code"], "CONFLICT");

    let set_password = async |password: &str| {
        let values = json!({ "id": max, "password": password });
        let (variables, call) = ("$id: ID!, $password: String!", "id: $id, password: $password");
        change(&fixture, "setUserPassword", variables, call, values).await
    };
    assert_eq!(set_password("aaaaaaaaaaaaaaa").await["userErrors"][0]["code"], "INVALID");
    assert_eq!(set_password("three sleepy walruses").await["userErrors"], json!([]));

    let users = by_admin(&fixture, "{ users { email role } }", json!({})).await["users"].clone();
    let expected =
        json!([{ "email": "erika@example.com", "role": "ADMIN" }, { "email": "max@example.com", "role": "MARKETER" }]);
    assert_eq!(users, expected);
}

#[tokio::test]
async fn nobody_else_does() {
    let fixture = Fixture::with(0).await;
    let input = "{ email: \"x@example.com\", role: ADMIN, password: \"correct horse battery\" }";
    for query in
        ["{ users { email } }".to_owned(), format!("mutation {{ addUser(input: {input}) {{ user {{ id }} }} }}")]
    {
        for role in [Role::Viewer, Role::Marketer] {
            let response = fixture.ask(role, &query, json!({})).await;
            assert_eq!(response.errors.len(), 1, "{query}");
        }
    }
}
