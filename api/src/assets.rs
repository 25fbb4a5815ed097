//! The files that pages load. They are in the binary; their addresses carry a tag of their content, so that browsers may keep them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;

use crate::errors::ApiError;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Name, kind and content.
type File = (&'static str, &'static str, &'static str);

const PAGE: [File; 2] =
    [("page.css", STYLE, include_str!("../assets/page.css")), ("page.js", SCRIPT, include_str!("../assets/page.js"))];

const GRAPHIQL: [File; 6] = [
    ("react.production.min.js", SCRIPT, include_str!("../assets/graphiql/react.production.min.js")),
    ("react-dom.production.min.js", SCRIPT, include_str!("../assets/graphiql/react-dom.production.min.js")),
    ("graphiql.min.js", SCRIPT, include_str!("../assets/graphiql/graphiql.min.js")),
    ("graphiql.min.css", STYLE, include_str!("../assets/graphiql/graphiql.min.css")),
    ("start.js", SCRIPT, include_str!("../assets/graphiql/start.js")),
    ("start.css", STYLE, include_str!("../assets/graphiql/start.css")),
];

/// `GET /assets/{file}`
pub async fn page_file(name: Path<String>) -> Result<HttpResponse, ApiError> {
    find(&PAGE, &name)
}

/// `GET /graphiql/{file}`
pub async fn graphiql_file(name: Path<String>) -> Result<HttpResponse, ApiError> {
    find(&GRAPHIQL, &name)
}

/// What stands in the addresses of the files, and changes when one of them does. It says nothing about the version.
pub fn tag() -> &'static str {
    static TAG: LazyLock<String> = LazyLock::new(|| {
        let mut hasher = DefaultHasher::new();
        PAGE.iter().chain(&GRAPHIQL).for_each(|(_, _, content)| content.hash(&mut hasher));
        format!("{:016x}", hasher.finish())
    });
    &TAG
}

fn find(files: &[File], name: &str) -> Result<HttpResponse, ApiError> {
    let (_, kind, content) = files.iter().find(|(known, ..)| *known == name).ok_or(ApiError::NotFound)?;
    Ok(HttpResponse::Ok().content_type(*kind).insert_header((CACHE_CONTROL, "public, max-age=86400")).body(*content))
}
