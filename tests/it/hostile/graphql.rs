//! Hostile input to GraphQL documents, variables and answers.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Others, patience};
use crate::harness::{Api, Running, Site, eventually};

in_every_mode!(
    nested_literals_are_refused,
    nested_variables_are_refused,
    fragments_that_multiply_are_refused,
    fields_that_multiply_are_refused,
    a_batch_has_one_budget,
    null_characters_are_refused,
    an_answer_ends_at_its_limit,
);

/// Sends a document; the code of its refusal.
async fn code(api: &Api, query: &str) -> String {
    let response = api.graphql(json!({ "query": query })).await;
    let answer: Value = response.json().await.expect("JSON");
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn nested_literals_are_refused(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    for depth in [3_000, 30_000] {
        for (open, close) in [("[", "]"), ("{a:", "}")] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for query in [
                format!("{{ node(id: {value}) {{ id }} }}"),
                format!("query($a: ID = {value}) {{ node(id: $a) {{ id }} }}"),
                format!("{{ viewer @skip(if: {value}) {{ name }} }}"),
                format!("{{ viewer {{ ...F }} }} fragment F on Viewer @a(b: {value}) {{ name }}"),
            ] {
                assert_eq!(code(&api, &query).await, "TOO_COMPLEX");
            }
        }
        for query in ["{ a".repeat(depth), "{ ... on A ".repeat(depth), format!("query($a: {}ID", "[".repeat(depth))] {
            assert_eq!(code(&api, &query).await, "TOO_COMPLEX");
        }
    }
    others.assert_served(&mut running).await;
}

async fn nested_variables_are_refused(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    for depth in [100, 1_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"and\":[", "]}")] {
            let value = format!("{}{}", open.repeat(depth), close.repeat(depth));
            let body =
                format!("{{\"query\":\"query($a: ID) {{ node(id: $a) {{ id }} }}\",\"variables\":{{\"a\":{value}}}}}");
            let request = api.request(Method::POST, "/graphql").header("content-type", "application/json");
            let response = request.body(body).send().await.expect("an answer");
            assert!(response.status().is_client_error(), "{}", response.status());
        }
    }
    // As deep as is allowed, in a filter that refers to itself.
    let filter = (0..25).fold(json!({}), |filter, _| json!({ "and": [{ "not": filter }] }));
    let query =
        "query($filter: RecipientFilter) { campaigns { nodes { recipients(filter: $filter) { nodes { id } } } } }";
    api.graphql(json!({ "query": query, "variables": { "filter": filter } })).await;
    others.assert_served(&mut running).await;
}

async fn fragments_that_multiply_are_refused(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    let fragments = (0..16).fold(String::new(), |mut text, index| {
        let next = index + 1;
        write!(text, " fragment F{index} on Query {{ ...F{next} ...F{next} ...F{next} }}").expect("written");
        text
    });
    let begun = Instant::now();
    for last in ["__typename", "viewer { name }", "...F0", "unknown"] {
        let tail = format!("{fragments} fragment F16 on Query {{ {last} }}");
        for head in ["{ ...F0 }", "{ viewer { name } }", "query A { ...F0 } query B { ...F1 }"] {
            assert!(!code(&api, &format!("{head}{tail}")).await.is_empty(), "{head} {last}");
        }
    }
    assert!(begun.elapsed() < patience(), "{:?}", begun.elapsed());
    others.assert_served(&mut running).await;
}

async fn fields_that_multiply_are_refused(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    let repeated = |field: &str| format!("{{ {} }}", field.repeat(300));
    for query in [
        repeated(" campaigns { nodes { id } }"),
        repeated(" ... on Query { campaigns { totalCount { value } } }"),
        "{ campaigns(first: 500) { nodes { recipients(first: 0) { totalCount(max: 1000000) { value } } } } }"
            .to_owned(),
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }".to_owned(),
        format!("{{ campaigns {{ {} }} }}", "a ".repeat(20_000)),
        format!("{{ a(b: \"{}\") }}", "x".repeat(500_000)),
    ] {
        assert_eq!(code(&api, &query).await, "TOO_COMPLEX", "{}", query.get(..80).unwrap_or(&query));
    }
    // The standard introspection is served.
    let introspection =
        "{ __schema { types { name fields { name args { name type { kind name ofType { kind name } } } } } } }";
    assert!(
        api.ask(introspection, json!({})).await["__schema"]["types"].as_array().is_some_and(|types| types.len() > 50)
    );
    others.assert_served(&mut running).await;
}

async fn a_batch_has_one_budget(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    let costly =
        json!({ "query": "{ campaigns(first: 400) { nodes { id key name subject state sentAt createdAt } } }" });
    let ok = api.graphql(json!([costly, costly])).await.text().await.expect("a text");
    assert!(!ok.contains("TOO_COMPLEX"), "{ok}");
    let refused: Value = api.graphql(json!(vec![costly; 10])).await.json().await.expect("JSON");
    let codes: Vec<_> =
        refused.as_array().expect("a list").iter().map(|one| &one["errors"][0]["extensions"]["code"]).collect();
    assert!(codes.iter().filter(|code| **code == "TOO_COMPLEX").count() >= 2, "{codes:?}");
    others.assert_served(&mut running).await;
}

async fn null_characters_are_refused(site: Site) {
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("marketer");
    for query in [
        r#"{ campaigns(filter: { search: "a\u0000b" }) { nodes { id } } }"#,
        "{ campaigns(filter: { search: \"a\0b\" }) { nodes { id } } }",
    ] {
        assert_eq!(code(&api, query).await, "BAD_REQUEST");
    }
    let query = "query($filter: CampaignFilter) { campaigns(filter: $filter) { nodes { id } } }";
    let variables = json!({ "filter": { "search": "a\0b" } });
    assert_eq!(api.refusal(query, variables).await, "BAD_REQUEST");
    others.assert_served(&mut running).await;
}

async fn an_answer_ends_at_its_limit(site: Site) {
    let site = site.with_more("[limits]\nresponse_megabytes = 1\n");
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("viewer");
    let fields: String =
        (0..25).map(|index| format!(" f{index}: fields {{ name description args {{ name description }} }}")).collect();
    let query = format!("{{ __schema {{ types {{ {fields} }} }} }}");
    for body in [json!({ "query": query }), json!([{ "query": query }, { "query": query }])] {
        let response = api.graphql(body).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "RESPONSE_TOO_LARGE");
    }
    others.assert_served(&mut running).await;
}

in_mode!(slow_on_sqlite, Sqlite: what_is_slow_ends_with_who_asked);
in_mode!(slow_on_postgres, Postgres: what_is_slow_ends_with_who_asked);

/// Clients that ask for something slow and hang up, again and again: others are served meanwhile, and the processor rests soon after.
async fn what_is_slow_ends_with_who_asked(site: Site) {
    let rows = 20_000;
    let csv = (0..rows).fold("email,name,company\n".to_owned(), |mut text, row| {
        writeln!(text, "person{row}@firma{}.example,Name {row},{}", row % 100, "x".repeat(100)).expect("written");
        text
    });
    site.write("list.csv", csv);
    site.run(["import", "--campaign", "spring", "list.csv"]);
    let mut running = site.start().await;
    let others = Others::begin(&site.client("admin"));
    let api = site.client("marketer");
    let campaign = api.ask("{ campaigns { nodes { id } } }", json!({})).await["campaigns"]["nodes"][0]["id"].clone();
    let searches: String = (0..12)
        .map(|index| format!(" a{index}: recipients(first: 0, search: \"no such person {index}\") {{ totalCount(max: 20000) {{ value }} }}"))
        .collect();
    let slow = json!({ "query": format!("query($id: ID!) {{ campaign(id: $id) {{ {searches} }} }}"), "variables": { "id": campaign } });
    for _ in 0..5 {
        let asked = (0..8).map(|_| {
            let request = api.request(Method::POST, "/graphql").json(&slow).timeout(Duration::from_millis(200));
            tokio::spawn(async move { request.send().await })
        });
        let asked: Vec<_> = asked.collect();
        for one in asked {
            // Most are given up; on a fast machine some may be answered.
            drop(one.await.expect("no panic"));
        }
    }
    // Nothing is left that works.
    eventually("the program rests", async || {
        let before = cpu_ticks(&mut running);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (cpu_ticks(&mut running) - before <= 10).then_some(())
    })
    .await;
    others.assert_served(&mut running).await;
}

/// How long the processes have worked so far, in hundredths of a second.
fn cpu_ticks(running: &mut Running<'_>) -> u64 {
    let ticks = running.processes().map(|(_, process)| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("a running process");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    });
    ticks.sum()
}
