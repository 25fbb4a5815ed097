//! The files that pages load. They are in the binary; their addresses carry the version, so that browsers may keep them.

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

fn find(files: &[File], name: &str) -> Result<HttpResponse, ApiError> {
    let (_, kind, content) = files.iter().find(|(known, ..)| *known == name).ok_or(ApiError::NotFound)?;
    Ok(HttpResponse::Ok().content_type(*kind).insert_header((CACHE_CONTROL, "public, max-age=86400")).body(*content))
}
