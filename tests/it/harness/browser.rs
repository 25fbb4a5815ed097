//! A browser without a window, driven by its own protocol over a WebSocket: no driver and no other runtime is needed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{eventually, note};

/// What the browser is called on this or that system.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"];

/// As long the browser may take for one command.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub struct Browser {
    process: Child,
    page: WebSocketStream<MaybeTlsStream<TcpStream>>,
    commands: u64,
    // Dropped last: the process writes to it.
    _folder: TempDir,
}

impl Browser {
    /// Starts one; `None`, said aloud, where there is none on this machine.
    pub async fn start() -> Option<Self> {
        let Some(program) = PROGRAMS.into_iter().find(|name| is_there(name)) else {
            note("skipped: there is no Chromium; on Debian: sudo apt-get install --no-install-recommends chromium");
            return None;
        };
        // Even plain HTTP wants to know how to encrypt. Whoever came first has settled it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("profile");
        let process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--window-size=1400,900"])
            .args(["--remote-debugging-port=0", &format!("--user-data-dir={}", profile.display()), "about:blank"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let page = eventually("the browser has a page", async || page_of(&profile).await).await;
        let (page, _) = connect_async(page).await.expect("the page can be driven");
        Some(Self { process, page, commands: 0, _folder: folder })
    }

    /// Opens an address.
    pub async fn open(&mut self, url: &str) {
        let opened = self.command("Page.navigate", json!({ "url": url })).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// What an expression in the page yields; a promise is waited for.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut done = self.command("Runtime.evaluate", parameters).await;
        assert!(done["exceptionDetails"].is_null(), "{expression}: {done}");
        done["result"]["value"].take()
    }

    /// Waits until an expression yields something that JavaScript takes for true.
    pub async fn until(&mut self, expression: &str) -> Value {
        // While a page is loaded, expressions fail that hold afterwards. What is an object of the page stays there.
        let guarded = format!(
            "(() => {{ try {{ const value = ({expression}); return typeof value === 'object' ? (value ? true : null) : value || null }} \
             catch {{ return null }} }})()"
        );
        eventually(expression, async || Some(self.evaluate(&guarded).await).filter(|value| !value.is_null())).await
    }

    async fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.commands += 1;
        let id = self.commands;
        let command = json!({ "id": id, "method": method, "params": parameters });
        self.page.send(Message::text(command.to_string())).await.expect("sent");
        let answer = async {
            loop {
                let message = self.page.next().await.expect("the browser is there").expect("a message");
                let Message::Text(text) = message else { continue };
                let mut answer: Value = serde_json::from_str(&text).expect("JSON");
                if answer["id"] == id {
                    assert!(answer["error"].is_null(), "{command}: {answer}");
                    return answer["result"].take();
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("no answer to {method}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// The WebSocket of the browser's page; `None` while it starts.
async fn page_of(profile: &Path) -> Option<String> {
    let port = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
    let port = port.lines().next()?;
    let url = format!("http://127.0.0.1:{port}/json/list");
    let targets: Value =
        reqwest::Client::builder().no_proxy().build().ok()?.get(url).send().await.ok()?.json().await.ok()?;
    let page = targets.as_array()?.iter().find(|target| target["type"] == "page")?;
    Some(page["webSocketDebuggerUrl"].as_str()?.to_owned())
}
