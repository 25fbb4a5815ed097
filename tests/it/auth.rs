//! Who may do what: tokens, sessions, roles, and the limits of a request.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};

use crate::harness::{Site, Source};

in_mode!(
    on_sqlite,
    Sqlite: nobody_gets_nothing, a_viewer_sees_no_personal_data, a_revoked_token_is_none, a_browser_signs_in, only_json_by_post, requests_have_limits
);
in_mode!(in_processes, Split: nobody_gets_nothing, a_viewer_sees_no_personal_data, a_revoked_token_is_none, a_browser_signs_in);

const VIEWER: &str = "{ viewer { name role seesPersonalData } }";
const SHOP: Source = Source::generic("shop");

async fn nobody_gets_nothing(site: Site) {
    let _running = site.start().await;
    let mut strangers = vec![site.stranger()];
    strangers.push(crate::harness::Api::new(site.url(), Some("nf_nonsense".to_owned())));
    for stranger in strangers {
        let refused = stranger.graphql(json!({ "query": VIEWER })).await;
        assert_eq!(refused.status(), 401);
        let said: Value = refused.json().await.expect("JSON");
        assert_eq!(said["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(said.get("data").is_none(), "{said}");
        let upload = stranger.request(Method::POST, "/uploads").body("email\n").send().await.expect("an answer");
        assert_eq!(upload.status(), 401);
    }
}

/// The words that the seeded persons consist of; none of them is a word of the program.
const PERSONAL: [&str; 6] = ["wendelgard", "quastenfloss", "kleinfirma", "betreuerin", "crm-4711", "buxtehude"];

async fn a_viewer_sees_no_personal_data(site: Site) {
    let site = site.with(&[&SHOP]);
    site.write(
        "people.csv",
        "email,name,company,owner,crm id,recipient id,town\n\
         wendelgard@kleinfirma.example,Wendelgard Quastenfloss,Kleinfirma,Betreuerin,crm-4711,r1,Buxtehude\n\
         wendelgard at kleinfirma.example,Wendelgard Quastenfloss,Kleinfirma,Betreuerin,crm-4711,r2,Buxtehude\n",
    );
    let _running = site.start().await;
    let imported = site.run_json(["import", "--campaign", "spring", "--state", "sent", "--json", "people.csv"]);
    let campaign = &imported["campaignId"];
    let admin = site.client("admin");
    let event = |kind: &str, campaign: &str, url: Option<&str>| {
        json!({
            "type": kind, "id": format!("{kind}-{campaign}"), "occurred_at": "2026-03-02T08:30:00Z", "campaign": campaign,
            "recipient": "Wendelgard@Kleinfirma.example", "message_id": "wendelgard-1@mail.example", "url": url,
            "diagnostic": (kind == "hard_bounce").then_some("550 5.1.1 wendelgard@kleinfirma.example does not exist"),
        })
    };
    let link = Some("https://shop.example/?to=wendelgard");
    let events = json!([
        event("hard_bounce", "spring", None),
        event("opened", "spring", None),
        event("clicked", "spring", link),
        event("delivered", "unknown", None),
        { "type": "delivered", "recipient": "wendelgard@kleinfirma.example", "occurred_at": "wendelgard" },
    ]);
    admin.report(&SHOP, &events).await;
    admin.applied().await;

    let of_campaign = |fields: &str| format!("query($id: ID!) {{ campaign(id: $id) {{ {fields} }} }}");
    let recipient =
        "id email name company status bounceReason owner crmId recipientId attributes address { id email lastReason }";
    let event =
        "id diagnostic url unmatched { campaignKeys email messageId recipientId source } recipient { id email name }";
    let connection = |name: &str, fields: &str| {
        format!(
            "{name}(first: 10) {{ edges {{ cursor node {{ {fields} }} }} pageInfo {{ startCursor endCursor }} totalCount {{ value }} }}"
        )
    };
    let recipients = connection("recipients", &format!("{recipient} {}", connection("events", event)));
    let documents = [
        of_campaign(&recipients),
        of_campaign(&connection("clicks", "id link { url } recipient { id email name }")),
        of_campaign("links { id url } domains { domain } bounceReasons { smtpCode enhancedCode }"),
        of_campaign("recipients(search: \"wendelgard\") { nodes { email } totalCount { value } }"),
        of_campaign("recipients(orderBy: { field: EMAIL }) { edges { cursor } }"),
        of_campaign("recipients(filter: { domain: [\"kleinfirma.example\"] }) { nodes { id } }"),
        of_campaign("recipients(filter: { owner: [\"Betreuerin\"] }) { nodes { id } }"),
        format!("{{ {} }}", connection("campaigns", "id name")),
        format!("{{ {} }}", connection("blockedAddresses", "id email lastReason")),
        format!("{{ {} }}", connection("unmatchedEvents", event)),
        format!("{{ {} }}", connection("deliveries", "id body error")),
        "{ jobs(first: 10) { nodes { id error createdBy } } }".to_owned(),
        "{ address(email: \"wendelgard@kleinfirma.example\") { id email lastReason } }".to_owned(),
        "{ apiTokens { name createdBy } }".to_owned(),
    ];
    let viewer = site.client("viewer");
    let mut seen_by_admin = String::new();
    for document in &documents {
        let body =
            json!({ "query": document, "variables": document.contains("$id").then(|| json!({ "id": campaign })) });
        let raw = viewer.graphql(body.clone()).await.text().await.expect("a text").to_lowercase();
        for word in PERSONAL {
            // An error may repeat the viewer's own words; what it was not told it must not say.
            let own = document.to_lowercase().contains(word) && raw.contains("forbidden");
            assert!(own || !raw.contains(word), "{word} in {raw} for {document}");
        }
        let raw = admin.graphql(body).await.text().await.expect("a text").to_lowercase();
        assert!(!raw.contains("\"errors\""), "{document}: {raw}");
        seen_by_admin += &raw;
    }
    for word in PERSONAL {
        assert!(seen_by_admin.contains(word), "the test does not look where {word} is");
    }
    let data = viewer.ask(VIEWER, json!({})).await;
    assert_eq!((&data["viewer"]["role"], &data["viewer"]["seesPersonalData"]), (&json!("VIEWER"), &json!(false)));
    let upload = viewer.request(Method::POST, "/uploads").body("email\n").send().await.expect("an answer");
    assert_eq!(upload.status(), 403);
}

async fn a_revoked_token_is_none(site: Site) {
    let _running = site.start().await;
    let admin = site.client("admin");
    let create = "mutation($input: ApiTokenInput!) { createApiToken(input: $input) { secret apiToken { id } userErrors { message } } }";
    let made = admin.ask(create, json!({ "input": { "name": "other", "role": "MARKETER" } })).await;
    let made = &made["createApiToken"];
    let other = crate::harness::Api::new(site.url(), made["secret"].as_str().map(str::to_owned));
    assert_eq!(other.ask(VIEWER, json!({})).await["viewer"]["role"], "MARKETER");
    assert_eq!(other.refusal(create, json!({ "input": { "name": "more", "role": "ADMIN" } })).await, "FORBIDDEN");

    let revoke = "mutation($id: ID!) { revokeApiToken(id: $id) { deletedId userErrors { message } } }";
    let revoked = admin.ask(revoke, json!({ "id": made["apiToken"]["id"] })).await;
    assert_eq!(revoked["revokeApiToken"]["deletedId"], made["apiToken"]["id"]);
    assert_eq!(other.graphql(json!({ "query": VIEWER })).await.status(), 401);
}

async fn a_browser_signs_in(site: Site) {
    let _running = site.start().await;
    let mut add = site.command(["user", "add", "erika@kleinfirma.example", "--role", "marketer", "--json"]);
    crate::cli::with_input(&mut add, "correct horse battery\n");
    let stranger = site.stranger();
    let sign_in = |password: &str| {
        let credentials = json!({ "email": "Erika@kleinfirma.example", "password": password });
        stranger.bare(Method::POST, "/session").json(&credentials).send()
    };
    assert_eq!(sign_in("wrong").await.expect("an answer").status(), 401);

    let welcome = sign_in("correct horse battery").await.expect("an answer");
    assert_eq!(welcome.status(), 200);
    let cookie = welcome.headers()[SET_COOKIE].to_str().expect("a text").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();

    let ask = |own_page: bool| {
        let request = stranger.bare(Method::POST, "/graphql").header(COOKIE, &cookie).json(&json!({ "query": VIEWER }));
        if own_page { request.header("x-nachfass", "1") } else { request }.send()
    };
    assert_eq!(ask(false).await.expect("an answer").status(), 403, "a page of another site cannot add the header");
    let answer: Value = ask(true).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["data"]["viewer"]["role"], "MARKETER", "{answer}");

    let out = stranger.bare(Method::DELETE, "/session").header(COOKIE, &cookie).header("x-nachfass", "1");
    assert_eq!(out.send().await.expect("an answer").status(), 204);
    assert_eq!(ask(true).await.expect("an answer").status(), 401);

    let form = stranger.bare(Method::POST, "/session").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = form
        .header(ORIGIN, "https://evil.example")
        .body("email=erika%40kleinfirma.example&password=correct+horse+battery");
    assert_eq!(form.send().await.expect("an answer").status(), 403);
}

async fn only_json_by_post(site: Site) {
    let _running = site.start().await;
    let admin = site.client("admin");
    let body = json!({ "query": VIEWER }).to_string();
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql"]
    {
        let request = admin.request(Method::POST, "/graphql").header(CONTENT_TYPE, kind).body(body.clone());
        assert_eq!(request.send().await.expect("an answer").status(), 415, "{kind}");
    }
    let looked = admin.request(Method::GET, "/graphql?query=%7Bviewer%7Bname%7D%7D").send().await.expect("an answer");
    assert_eq!(looked.status(), 405);
    let good =
        admin.request(Method::POST, "/graphql").header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
    assert_eq!(good.send().await.expect("an answer").status(), 200);
}

async fn requests_have_limits(site: Site) {
    let _running = site.start().await;
    let admin = site.client("admin");
    let aliases: String = (0..31).map(|number| format!("a{number}: viewer {{ name }} ")).collect();
    let deep = format!("{{ campaigns(first: 1) {{ nodes {{ {} id {} }} }} }}", "parent { ".repeat(12), "} ".repeat(12));
    let wide = "{ campaigns(first: 100) { nodes { recipients(first: 100) { nodes { id email } } } } }".to_owned();
    for query in [format!("{{ {aliases} }}"), deep, wide] {
        let answer: Value = admin.graphql(json!({ "query": query })).await.json().await.expect("JSON");
        assert!(answer["errors"][0]["message"].is_string() && answer["data"].is_null(), "{query}: {answer}");
    }
    let page = admin.ask("{ campaigns(first: 500) { nodes { id } } }", json!({})).await;
    assert_eq!(page["campaigns"]["nodes"], json!([]));
    let page: Value = admin
        .graphql(json!({ "query": "{ campaigns(first: 501) { nodes { id } } }" }))
        .await
        .json()
        .await
        .expect("JSON");
    assert!(page["errors"][0]["message"].is_string(), "{page}");

    let batch = |size: usize| Value::Array(vec![json!({ "query": VIEWER }); size]);
    assert_eq!(admin.graphql(batch(10)).await.status(), 200);
    assert_eq!(admin.graphql(batch(11)).await.status(), 400);
    assert_eq!(admin.graphql(batch(0)).await.status(), 400);
    let long = json!({ "query": format!("{VIEWER} #{}", "x".repeat(1024 * 1024)) });
    assert_eq!(admin.graphql(long).await.status(), 413);
}
