use std::io::Write;

use actix_web::http::{Method, StatusCode};
use actix_web::test::TestRequest;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::testing::Installation;

const LIMIT: usize = 10 * 1024 * 1024;

fn post(source: &str, body: impl Into<actix_web::web::Bytes>) -> TestRequest {
    TestRequest::post().uri(&format!("/ingest/{source}")).set_payload(body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("compressed");
    encoder.finish().expect("compressed")
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("compressed");
    encoder.finish().expect("compressed")
}

/// `forged`, as Brotli writes it without compressing: one stored block.
const BROTLI_FORGED: &[u8] = b"\x8b\x02\x80forged\x03";

#[actix_web::test]
async fn every_outcome_has_its_status() {
    let it = Installation::new().await;
    for (source, body, status) in [
        ("mail", "{}", StatusCode::OK),
        ("mail", "ping", StatusCode::OK),
        ("mail", "gibberish", StatusCode::BAD_REQUEST),
        ("mail", "forged", StatusCode::UNAUTHORIZED),
        ("nothing", "{}", StatusCode::NOT_FOUND),
        ("mail", "later", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        assert_eq!(it.ask(post(source, body)).await.status, status, "{body}");
    }
    assert_eq!(it.ask(post("mail", "later")).await.header("retry-after"), "5");
    assert_eq!(it.ask(post("mail", "forged")).await.header("www-authenticate"), "");
    assert_eq!(it.ask(post("mail", "password")).await.header("www-authenticate"), "Basic realm=\"nachfass\"");
    assert_eq!(it.ask(post("mail", "gibberish")).await.json()["error"]["message"], "this is no JSON");
}

#[actix_web::test]
async fn providers_may_look_whether_the_address_exists() {
    let it = Installation::new().await;
    for (method, source, status) in [
        (Method::HEAD, "mail", StatusCode::OK),
        (Method::HEAD, "nothing", StatusCode::NOT_FOUND),
        (Method::GET, "uni", StatusCode::OK),
        (Method::GET, "mail", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "nothing", StatusCode::NOT_FOUND),
        (Method::PUT, "mail", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = TestRequest::default().method(method.clone()).uri(&format!("/ingest/{source}"));
        assert_eq!(it.ask(request).await.status, status, "{method} {source}");
    }
}

#[actix_web::test]
async fn a_compressed_body_is_read_as_what_it_holds() {
    let it = Installation::new().await;
    for (encoding, body) in [
        ("gzip", gzip(b"forged")),
        ("x-gzip", [gzip(b"for"), gzip(b"ged")].concat()),
        ("deflate", deflate(b"forged")),
        ("br", BROTLI_FORGED.to_vec()),
        ("identity", b"forged".to_vec()),
    ] {
        let answer = it.ask(post("mail", body).insert_header(("content-encoding", encoding))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{encoding}");
    }
    for encoding in ["gzip", "deflate", "br"] {
        let answer = it.ask(post("mail", "this is not compressed").insert_header(("content-encoding", encoding))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{encoding}");
    }
    let answer = it.ask(post("mail", "{}").insert_header(("content-encoding", "zstd"))).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[actix_web::test]
async fn what_headers_show_is_answered_whatever_the_body_is() {
    let it = Installation::new().await;
    let stranger = |source| post(source, vec![b' '; LIMIT + 1]).insert_header(("x-stranger", "1"));
    let refused = it.ask(stranger("mail")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"nachfass\"");
    assert_eq!(it.ask(stranger("nothing")).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn every_encoding_stops_at_the_limit() {
    let it = Installation::new().await;
    // Ten megabytes of spaces as Brotli writes them.
    let brotli: Vec<u8> = "cbffff3ff82540e2b14020f7fe2fffff3ff04b00c4611180eefd07"
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).expect("digits"), 16).expect("a byte"))
        .collect();
    let half = vec![b' '; LIMIT / 2];
    for (encoding, body, status) in [
        ("br", brotli, StatusCode::OK),
        ("deflate", deflate(&vec![b' '; LIMIT]), StatusCode::OK),
        ("deflate", deflate(&vec![b' '; LIMIT + 1]), StatusCode::PAYLOAD_TOO_LARGE),
        ("gzip", gzip(&half).repeat(2), StatusCode::OK),
        ("gzip", gzip(&half).repeat(3), StatusCode::PAYLOAD_TOO_LARGE),
        // Members that hold nothing, one after the other.
        ("gzip", gzip(b"").repeat(20_000), StatusCode::OK),
        ("gzip", [gzip(b"{}"), b"rubbish".to_vec()].concat(), StatusCode::BAD_REQUEST),
        ("gzip", gzip(b"{}")[..10].to_vec(), StatusCode::BAD_REQUEST),
    ] {
        let answer = it.ask(post("mail", body).insert_header(("content-encoding", encoding))).await;
        assert_eq!(answer.status, status, "{encoding}");
    }
}

#[actix_web::test]
async fn what_bodies_hold_is_given_back() {
    let it = Installation::new().await;
    for _ in 0..20 {
        assert_eq!(it.ask(post("mail", vec![b' '; LIMIT])).await.status, StatusCode::OK);
        assert_eq!(it.ask(post("mail", vec![b' '; LIMIT + 1])).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let damaged = post("mail", vec![b' '; LIMIT]).insert_header(("content-encoding", "gzip"));
        assert_eq!(it.ask(damaged).await.status, StatusCode::BAD_REQUEST);
    }
}

#[actix_web::test]
async fn ten_megabytes_are_enough_compressed_or_not() {
    let it = Installation::new().await;
    assert_eq!(it.ask(post("mail", vec![b' '; LIMIT])).await.status, StatusCode::OK);
    assert_eq!(it.ask(post("mail", vec![b' '; LIMIT + 1])).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = |size| post("mail", gzip(&vec![0; size])).insert_header(("content-encoding", "gzip"));
    assert_eq!(it.ask(bomb(LIMIT)).await.status, StatusCode::OK);
    let answer = it.ask(bomb(20 * LIMIT)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"));
}
