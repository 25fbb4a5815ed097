//! `/graphiql`: asking GraphQL by hand, for admins. All of its files are in this binary.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::{HttpResponse, Responder};

use crate::auth::SignedIn;
use crate::errors::ApiError;
use crate::{assets, index};

const PAGE: &str = include_str!("../assets/graphiql/index.html");

/// Scripts of our own origin only. Its dialogs and its editor bring styles along, its stylesheet fonts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET`: the page; who is not signed in is sent to where that is done.
pub async fn show(signed_in: Result<SignedIn, ApiError>) -> Result<impl Responder, ApiError> {
    let SignedIn(access) = match signed_in {
        Err(ApiError::Unauthenticated) => return Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish()),
        other => other?,
    };
    access.admin()?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .content_type("text/html; charset=utf-8")
        .body(index::fill(PAGE, &[("files", assets::tag())])))
}
