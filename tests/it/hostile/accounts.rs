//! Hostile input to sign-in, sessions, tokens and roles.

mod guessing;
mod lockout;
mod second_factor;

use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::cli::with_input;
use crate::harness::{Api, Site};

const ERIKA: &str = "erika@kleinfirma.example";
const PASSWORD: &str = "correct horse battery";
const VIEWER: &str = "{ viewer { name role } }";

/// Runs `nachfass user …` with a password on the standard input; it has to succeed.
fn user(site: &Site, arguments: &[&str], password: &str) -> String {
    let mut command = site.command(["user"]);
    let output = with_input(command.args(arguments), &format!("{password}\n"));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same where it has to fail; what it says.
fn refused(site: &Site, arguments: &[&str], password: &str) -> String {
    let output = with_input(site.command(["user"]).args(arguments), &format!("{password}\n"));
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn add(site: &Site, email: &str, role: &str) {
    user(site, &["add", email, "--role", role], PASSWORD);
}

/// An attempt to sign in from this address, as a reverse proxy on the same machine names it.
async fn sign_in(api: &Api, email: &str, password: &str, from: &str, cookie: Option<&str>) -> Response {
    let request = api.bare(Method::POST, "/session").header("x-forwarded-for", from);
    let request = match cookie {
        Some(cookie) => request.header(COOKIE, cookie),
        None => request,
    };
    request.json(&json!({ "email": email, "password": password })).send().await.expect("an answer")
}

/// The cookies that an answer sets, as a browser sends them: the session, and what makes the browser known.
fn cookies(response: &Response) -> (String, String) {
    let set = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("a text"));
    let pairs: Vec<String> = set.filter_map(|cookie| cookie.split(';').next()).map(str::to_owned).collect();
    let [session, device] = pairs.try_into().expect("two cookies");
    assert!(session.starts_with("nachfass=") && device.starts_with("nachfass-device="), "{session} {device}");
    (session, device)
}

/// The status of a query with the cookie of a session.
async fn status(api: &Api, session: &str) -> u16 {
    let request = api.bare(Method::POST, "/graphql").header(COOKIE, session).header("x-nachfass", "1");
    request.json(&json!({ "query": VIEWER })).send().await.expect("an answer").status().as_u16()
}

/// The code of a refusal.
async fn code(response: Response) -> String {
    let body: Value = response.json().await.expect("JSON");
    body["error"]["code"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}
