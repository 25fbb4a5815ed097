//! The board over a real Redis.

use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{Redis, Site, eventually};
use crate::board::{Admission, Doorkeeper, names, serve};
use crate::queue::Queues;

/// Lets those in who show this token, and has those sign in who show a password.
fn doorkeeper() -> Doorkeeper {
    Arc::new(|shown| {
        Box::pin(async move {
            let cookie = shown.cookies.iter().any(|(name, value)| name == "board" && value == "known");
            match shown.authorization.as_deref() {
                _ if cookie => Admission::Granted,
                Some("Bearer admin") => Admission::Granted,
                Some("Bearer often") => Admission::TooOften,
                Some(other) if other.starts_with("Basic ") => Admission::Begun("board".to_owned(), "known".to_owned()),
                _ => Admission::Refused,
            }
        })
    })
}

struct Board {
    url: String,
    http: Client,
    shutdown: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl Board {
    fn start(queues: Queues) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let served = serve(listener, queues, doorkeeper(), token);
            actix_web::rt::System::new().block_on(served).expect("served");
        });
        Self { url, http: Client::builder().no_proxy().build().expect("a client"), shutdown, thread }
    }

    async fn ask(&self, method: Method, path: &str, authorization: Option<&str>) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        request.send().await.expect("an answer")
    }

    fn end(self) {
        self.shutdown.cancel();
        self.thread.join().expect("ended well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admins_look_and_nobody_else() {
    let Some(redis) = Redis::start().await else { return };
    let site = Site::sqlite(redis.queues()).await;
    let running = site.start(2, Vec::new());
    site.add(3).await;
    eventually("they are done", async || site.count("state = 3").await == 3).await;
    let board = Board::start(redis.queues());

    for path in ["/", "/queues", "/api/v1/queues", "/api/v1/overview", "/api/v1/queues/nachfass-events/tasks"] {
        for shown in [None, Some("Bearer somebody")] {
            let refused = board.ask(Method::GET, path, shown).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert!(refused.headers()["www-authenticate"].to_str().expect("a text").starts_with("Basic "));
            assert_eq!(refused.headers()["x-frame-options"], "DENY");
        }
    }
    assert_eq!(board.ask(Method::GET, "/", Some("Bearer often")).await.status(), StatusCode::TOO_MANY_REQUESTS);

    let page = board.ask(Method::GET, "/", Some("Bearer admin")).await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"].to_str().expect("a text").to_owned();
    let page = page.text().await.expect("a page");
    let (_, script) = page.split_once("<script type=\"module\">").expect("a script");
    let (script, _) = script.split_once("</script>").expect("its end");
    let hash = STANDARD.encode(Sha256::digest(script));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "the page's script is {hash}");

    for name in names() {
        let tasks = board.ask(Method::GET, &format!("/api/v1/queues/{name}/tasks"), Some("Bearer admin")).await;
        assert_eq!(tasks.status(), StatusCode::OK, "{name}");
        let workers = board.ask(Method::GET, &format!("/api/v1/queues/{name}/workers"), Some("Bearer admin")).await;
        let status = workers.status();
        let workers = workers.text().await.expect("a text");
        assert_eq!(status, StatusCode::OK, "{workers}");
        assert!(workers.contains(name), "{workers}");
    }
    let queues = board.ask(Method::GET, "/api/v1/queues", Some("Bearer admin")).await;
    let status = queues.status();
    let queues = queues.text().await.expect("a text");
    assert_eq!(status, StatusCode::OK, "{queues}");
    for name in names() {
        assert!(queues.contains(name), "{queues}");
    }
    for path in ["/api/v1/overview", "/api/v1/tasks", "/api/v1/workers", "/api/v1/queues/nachfass-events/stats"] {
        let answer = board.ask(Method::GET, path, Some("Bearer admin")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", answer.text().await.expect("a text"));
    }
    board.end();
    running.end().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_only_shows_and_remembers_who_signed_in() {
    let Some(redis) = Redis::start().await else { return };
    let board = Board::start(redis.queues());
    let path = "/api/v1/queues/nachfass-events/tasks";
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        let refused = board.ask(method, path, Some("Bearer admin")).await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    let begun = board.ask(Method::GET, "/", Some("Basic x")).await;
    let cookie = begun.headers()["set-cookie"].to_str().expect("a text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let request = board.http.get(format!("{}/queues", board.url)).header("cookie", "board=known");
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
    board.end();
}

#[tokio::test]
async fn a_queue_in_memory_cannot_be_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let served = serve(listener, Queues::memory(), doorkeeper(), CancellationToken::new()).await;
    assert!(served.is_err());
}
