//! GraphQL documents: reading, limits, validation, and executing as far as that goes for somebody who is not signed in, which needs
//! no database.
//!
//! [`text`] takes a document as it is. [`nested`] takes an input for a recipe by which a document is put together: so a few bytes make
//! what is deep, wide, or spreads fragments of fragments. [`request`] takes the body of a request over HTTP.

use std::fmt::Write;
use std::sync::LazyLock;

use api::graphql::{Schema, build_schema};
use async_graphql::{BatchRequest, Request};
use service::changes::Changes;
use tokio::runtime::{Builder, Runtime};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| build_schema(&Changes::default()));
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// The longest document that is executed: a slower input finds nothing that a shorter one does not.
const MAX_TEXT: usize = 64 << 10;

fn execute(request: Request) {
    // An error may show the line that it is about.
    let most = 4 * request.query.len() + 4_096;
    let response = RUNTIME.block_on(SCHEMA.execute(request));
    for error in &response.errors {
        assert!(error.message.len() < most, "an error of {} bytes", error.message.len());
    }
    serde_json::to_writer(std::io::sink(), &response).expect("a response is JSON");
}

/// A document.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() <= MAX_TEXT {
        execute(Request::new(text));
    }
}

/// A recipe for a document.
pub fn nested(data: &[u8]) {
    execute(Request::new(cooked(data)));
}

/// The body of `POST /graphql`.
pub fn request(data: &[u8]) {
    let Some(batch) = api::fuzzing::graphql_body(data) else { return };
    match batch {
        BatchRequest::Single(request) => execute(request),
        BatchRequest::Batch(requests) => requests.into_iter().for_each(execute),
    }
}

/// Fields, some of which lead back to where they came from.
const FIELDS: &[&str] = &[
    "campaigns",
    "campaign(id:\"x\")",
    "node(id:\"x\")",
    "recipients(first:500)",
    "nodes",
    "edges",
    "node",
    "campaign",
    "address",
    "totalCount",
    "id",
    "__typename",
    "__schema",
    "__type(name:\"Campaign\")",
    "fields",
    "type",
    "ofType",
    "interfaces",
    "possibleTypes",
    "viewer",
];
const TYPES: &[&str] = &["Query", "Campaign", "Recipient", "Node", "__Type", "Mutation", "Nothing"];
/// What may stand where a value is wanted, apart from lists and objects.
const VALUES: &[&str] =
    &["1", "-9223372036854775808", "1e400", "\"x\"", "\"\\\"[{\"", "\"\"\"[{\"\"\"", "$v", "ENUM", "null", "true"];
/// How many times a step is repeated at most.
const REPEATED: [usize; 8] = [1, 2, 3, 10, 31, 65, 300, 4_000];

/// A document by this recipe: each step is a byte for what to write, and one for how often and with what.
fn cooked(data: &[u8]) -> String {
    let mut text = String::from("query Q($v:[[ID!]]){");
    let mut closing = vec!['}'];
    for step in data.chunks(2) {
        let [what, how] = [step[0], step.get(1).copied().unwrap_or_default()];
        let pick = |list: &'static [&'static str]| list[usize::from(how) % list.len()];
        for _ in 0..REPEATED[usize::from(what >> 5)] {
            if text.len() > MAX_TEXT {
                break;
            }
            match (what & 31) % 20 {
                0 | 1 => text.push_str(pick(FIELDS)),
                2 | 3 => open(&mut text, &mut closing, &format!("{}{{", pick(FIELDS)), '}'),
                4 => open(&mut text, &mut closing, &format!("...on {}{{", pick(TYPES)), '}'),
                5 => open(&mut text, &mut closing, "...{", '}'),
                // A spread, of one fragment or of several.
                6 => write!(text, "...f{} ", how % 16).expect("a text"),
                7 => write!(text, "...f{0} ...f{0} ...f{0} ", how % 16).expect("a text"),
                8 => {
                    text.extend(closing.drain(..).rev());
                    open(&mut text, &mut closing, &format!(" fragment f{} on {}{{", how % 16, pick(TYPES)), '}');
                }
                9 => open(&mut text, &mut closing, "node(id:[", ')'),
                10 => open(&mut text, &mut closing, "[", ']'),
                11 => open(&mut text, &mut closing, "{a:", '}'),
                12 => text.push_str(pick(VALUES)),
                13 => write!(text, "a{how}:").expect("a text"),
                14 => text.push_str("@include(if:true)"),
                15 => open(&mut text, &mut closing, "@skip(if:[", ')'),
                16 => text.push_str("\"\"\"}{][\"\"\" "),
                17 => text.push_str("#}{][\n"),
                18 => text.extend(closing.pop()),
                _ => {
                    text.extend(closing.drain(..).rev());
                    open(&mut text, &mut closing, &format!(" subscription S{how}($w:I={{a:"), '}');
                }
            }
            text.push(' ');
        }
    }
    text.extend(closing.into_iter().rev());
    text
}

fn open(text: &mut String, closing: &mut Vec<char>, beginning: &str, end: char) {
    text.push_str(beginning);
    closing.push(end);
    if beginning.ends_with("([") || beginning.ends_with(":[") {
        closing.push(']');
    }
}
