//! A client of the program's HTTP.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{Posting, Source, eventually};

/// Somebody who speaks HTTP with the program.
#[derive(Clone)]
pub struct Api {
    http: Client,
    url: String,
    token: Option<String>,
}

impl Api {
    /// A client that shows this token.
    pub fn new(url: String, token: Option<String>) -> Self {
        // Even plain HTTP wants to know how to encrypt. Whoever came first has settled it.
        rustls::crypto::ring::default_provider().install_default().ok();
        Self { http: Client::builder().no_proxy().build().expect("a client"), url, token }
    }

    /// Where it asks.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The secret that it shows.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a token")
    }

    /// A request without anything that says who is asking.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bare(method, path);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// What `/readyz` says; `None` where nobody answers.
    pub async fn readiness(&self) -> Option<String> {
        let answer: Value = self.bare(Method::GET, "/readyz").send().await.ok()?.json().await.ok()?;
        Some(answer["status"].as_str()?.to_owned())
    }

    /// Sends a GraphQL request.
    pub async fn graphql(&self, body: Value) -> Response {
        self.request(Method::POST, "/graphql").json(&body).send().await.expect("an answer")
    }

    /// The data that a query answers. Errors fail the test.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let response = self.graphql(json!({ "query": query, "variables": variables })).await;
        let mut answer: Value = response.json().await.expect("JSON");
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// The code of the error that a query leads to.
    pub async fn refusal(&self, query: &str, variables: Value) -> String {
        let answer: Value =
            self.graphql(json!({ "query": query, "variables": variables })).await.json().await.expect("JSON");
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{query}: {answer}")).to_owned()
    }

    /// Posts a request as a provider does.
    pub async fn deliver(&self, posting: Posting) -> Result<Response, reqwest::Error> {
        let Posting { path, headers, body } = posting;
        let request = self.bare(Method::POST, &path).header(CONTENT_TYPE, "application/json");
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(body).send().await
    }

    /// Posts what a provider reports; it has to be taken.
    pub async fn report(&self, source: &Source, body: &Value) {
        let response = self.deliver(source.sign(body)).await.expect("an answer");
        let status = response.status();
        assert_eq!(status, 200, "{}: {body}", response.text().await.expect("a text"));
    }

    /// Waits until everything that was taken is applied. For an admin.
    pub async fn applied(&self) {
        eventually("all deliveries are applied", async || {
            let data = self.ask("{ deliveries(state: STORED, first: 1) { nodes { id } } }", json!({})).await;
            data["deliveries"]["nodes"].as_array().expect("a list").is_empty().then_some(())
        })
        .await;
    }

    /// The id of the campaign with this name; `None` where there is none.
    pub async fn find_campaign(&self, name: &str) -> Option<String> {
        let query = "query($name: String!) { campaigns(filter: { search: $name }, first: 1) { nodes { id } } }";
        let data = self.ask(query, json!({ "name": name })).await;
        data["campaigns"]["nodes"][0]["id"].as_str().map(str::to_owned)
    }

    /// Waits until a job is over, and was a success.
    pub async fn finished(&self, job: &str) -> Value {
        let query = "query($id: ID!) { job(id: $id) { state error result { added unchanged skipped rejected } } }";
        let job = eventually("the job is over", async || {
            let job = self.ask(query, json!({ "id": job })).await["job"].take();
            let is_over = !["QUEUED", "RUNNING"].contains(&job["state"].as_str().expect("a state"));
            is_over.then_some(job)
        })
        .await;
        assert_eq!(job["state"], "SUCCEEDED", "{job}");
        job
    }
}
