//! `/`: where to go from here, and for admins how the installation is. Strangers are told nothing that helps to choose an attack.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_SECURITY_POLICY;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use service::{Role, Subject};

use crate::auth::Credential;
use crate::errors::ApiError;
use crate::{AppState, assets, health, security};

const PAGE: &str = include_str!("../assets/index.html");
const STATE: &str = include_str!("../assets/state.html");
const SIGN_IN: &str = include_str!("../assets/sign-in.html");
const ACCOUNT: &str = include_str!("../assets/account.html");
const CODE: &str = include_str!("../assets/sign-in-code.html");
const GRAPHIQL: &str = include_str!("../assets/graphiql-link.html");

/// The version that admins are told.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /`
pub async fn show(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let access = match Credential::of(&request, &state.options) {
        // With the database away there is still a page.
        Some(credential) => credential.access(&state.services).await.inspect_err(ApiError::log).unwrap_or(None),
        None => None,
    };
    let subject = access.as_ref().map(service::Access::subject);
    Ok(page(&state, subject, &SignInForm::default(), StatusCode::OK).await)
}

/// What the form for signing in shows.
#[derive(Default)]
pub struct SignInForm {
    /// What was wrong with the last attempt.
    pub problem: Option<String>,
    /// The address of the last attempt.
    pub email: String,
    /// Whether it asks for the code of a second factor.
    pub wants_code: bool,
}

/// The page for somebody, or for nobody with a form for signing in.
pub async fn page(state: &AppState, subject: Option<&Subject>, form: &SignInForm, status: StatusCode) -> HttpResponse {
    let state = match subject {
        Some(subject) if subject.role >= Role::Admin => section(state).await,
        _ => String::new(),
    };
    let html = fill(PAGE, &[("files", assets::tag()), ("state", &state), ("account", &account(subject, form))]);
    HttpResponse::build(status)
        .insert_header((CONTENT_SECURITY_POLICY, security::PAGE))
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// How the installation is.
async fn section(state: &AppState) -> String {
    let health = health::look(state).await;
    let values = [
        ("version", escape(VERSION)),
        ("state", health.words().to_owned()),
        ("database", health.database.words().to_owned()),
        ("queue", health.queue.words().to_owned()),
    ];
    fill(STATE, &values.each_ref().map(|(name, value)| (*name, value.as_str())))
}

fn account(subject: Option<&Subject>, form: &SignInForm) -> String {
    let Some(subject) = subject else {
        return sign_in_form(form);
    };
    let graphiql = if subject.role >= Role::Admin { GRAPHIQL } else { "" };
    fill(ACCOUNT, &[("name", &escape(&subject.name)), ("role", subject.role.name()), ("graphiql", graphiql)])
}

fn sign_in_form(form: &SignInForm) -> String {
    let problem = form.problem.as_deref().map(escape);
    let problem = problem.map(|problem| format!("<p class=\"problem\" role=\"alert\">{problem}</p>"));
    const FOCUS: &str = " autofocus";
    let (first, second) = if form.email.is_empty() { (FOCUS, "") } else { ("", FOCUS) };
    fill(
        SIGN_IN,
        &[
            ("problem", &problem.unwrap_or_default()),
            ("email", &escape(&form.email)),
            ("first", first),
            ("second", second),
            ("code", if form.wants_code { CODE } else { "" }),
        ],
    )
}

/// Puts values, already escaped, in the place of `{{name}}`. A value is not searched for further names.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut html = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or(("", part));
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        html.push_str(value);
        html.push_str(rest);
    }
    html
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, character| {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_markup_or_a_name() {
        assert_eq!(
            fill("<b>{{name}}</b>{{role}}", &[("name", &escape("<i>&\"'")), ("role", "{{name}}")]),
            "<b>&lt;i&gt;&amp;&quot;&#39;</b>{{name}}"
        );
    }
}
