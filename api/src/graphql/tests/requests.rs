//! Requests: what they cost, what they may ask for, and what is answered.

use serde_json::json;
use service::Role;

use super::fixture::{Fixture, campaign};

const PAGE: &str = "query($campaign: ID!, $after: String) { campaign(id: $campaign) { recipients(first: 100, after: $after) { \
    nodes { id email name status sentAt opens clicks } pageInfo { hasNextPage endCursor } } } }";

const STATISTICS: &str = "query($campaign: ID!) { campaign(id: $campaign) { name state parent { id } statusBreakdown { status count } \
    statistics { recipients sent delivered softBounced hardBounced blocked opened machineOpened clicked machineClicked complained \
    unsubscribed opens clicks openRate clickThroughRate clickToOpenRate bounceRate complaintRate updatedAt } } }";

#[tokio::test]
async fn statements_do_not_grow_with_rows() {
    let fixture = Fixture::with(100).await;
    // On a busy machine a loader may not wait long enough for the last rows: the least of some tries counts.
    let cost = async |query: &str| {
        let mut least = usize::MAX;
        for _ in 0..4 {
            fixture.statements();
            fixture.data(query).await;
            least = least.min(fixture.statements());
        }
        least
    };
    assert_eq!(cost(STATISTICS).await, 1);
    // The campaign is known to exist now: the page alone.
    assert_eq!(cost(PAGE).await, 1);
    let recipients = |selection: &str| {
        format!("query($campaign: ID!) {{ campaign(id: $campaign) {{ recipients(first: 100) {{ {selection} }} }} }}")
    };
    assert_eq!(cost(&recipients("nodes { bounceReason owner campaign { id } }")).await, 1);
    assert_eq!(cost(&recipients("nodes { id } totalCount { value exact }")).await, 2);
    assert_eq!(cost(&recipients("nodes { campaign { name statistics { sent } } }")).await, 2);
    assert_eq!(cost(&recipients("edges { node { address { health } campaign { name } } cursor }")).await, 3);
    let clicks =
        "query($campaign: ID!) { campaign(id: $campaign) { clicks { nodes { link { url } recipient { email } } } } }";
    assert_eq!(cost(clicks).await, 3);
    assert_eq!(
        cost("{ campaigns { nodes { name statistics { sent } parent { name } reminders { name } } } }").await,
        3
    );
}

#[tokio::test]
async fn alerts_of_many_campaigns_are_one_statement() {
    let fixture = Fixture::with(0).await;
    let fields = "kind value limit raisedAt resolvedAt";
    let open = fixture.data(&format!("{{ campaigns {{ nodes {{ key alerts {{ {fields} message }} }} }} }}")).await;
    let mut nodes = open["campaigns"]["nodes"].as_array().expect("a list").clone();
    nodes.sort_by_key(|node| node["key"].to_string());
    assert_eq!(nodes[0]["alerts"], json!([]));
    let alert = &nodes[1]["alerts"][0];
    assert_eq!((&alert["kind"], &alert["value"], &alert["limit"]), (&json!("NO_EVENTS"), &json!(7.0), &json!(6.0)));
    assert!(alert["message"].as_str().expect("a text").starts_with("Nothing was heard"), "{alert}");
    assert_eq!(nodes[1]["alerts"].as_array().expect("a list").len(), 1);

    let query = format!(
        "query($campaign: ID!) {{ campaign(id: $campaign) {{ alerts(includeResolved: true) {{ {fields} }} }} }}"
    );
    let all = fixture.data(&query).await;
    let resolved = json!({
        "kind": "BOUNCE_RATE", "value": 0.333333, "limit": 0.05, "raisedAt": "1970-01-01T00:00:00.000005Z",
        "resolvedAt": "1970-01-01T00:00:00.000006Z",
    });
    assert_eq!(all["campaign"]["alerts"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["campaign"]["alerts"][1], resolved);
    // Of a campaign that is known to exist, nothing else is read.
    fixture.statements();
    fixture.data(&query).await;
    assert_eq!(fixture.statements(), 1);
    let mut least = usize::MAX;
    for _ in 0..8 {
        fixture.statements();
        fixture.data("{ campaigns { nodes { name alerts { kind } } } }").await;
        least = least.min(fixture.statements());
    }
    assert_eq!(least, 2);
}

#[tokio::test]
async fn the_first_page_of_an_unknown_campaign_looks_for_it() {
    let fixture = Fixture::with(100).await;
    fixture.statements();
    fixture.data(PAGE).await;
    assert_eq!(fixture.statements(), 2);
    let unknown =
        fixture.ask(Role::Marketer, PAGE, json!({ "campaign": crate::graphql::node::Key::Campaign(9).id() })).await;
    assert_eq!(unknown.data.into_json().expect("JSON"), json!({ "campaign": null }));
}

#[tokio::test]
async fn figures_and_pages_are_those_of_the_database() {
    let fixture = Fixture::with(3).await;
    let data = fixture.data(STATISTICS).await;
    let statistics = &data["campaign"]["statistics"];
    assert_eq!(statistics["sent"], 3);
    assert_eq!(statistics["delivered"], 2);
    assert_eq!(statistics["openRate"], 0.5);
    assert_eq!(statistics["clickToOpenRate"], 0.0);
    assert_eq!(statistics["updatedAt"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(data["campaign"]["statusBreakdown"].as_array().expect("a list").len(), 11);

    let query = "query($campaign: ID!) { campaign(id: $campaign) { recipients(last: 2) { pageInfo { hasNextPage hasPreviousPage } \
        nodes { email name status bounceClass bounceReason attributes sentAt events { nodes { kind machine machineReason diagnostic } } } } } }";
    let data = fixture.data(query).await;
    let recipients = &data["campaign"]["recipients"];
    assert_eq!(recipients["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));
    let mut node = recipients["nodes"][0].clone();
    node["events"].take();
    assert_eq!(
        node,
        json!({
            "email": "Erika.Muster@kleinfirma.example", "name": "Erika Muster", "status": "HARD_BOUNCED",
            "bounceClass": "MAILBOX_FULL", "bounceReason": "552 5.2.2 erika.muster: Postfach voll",
            "attributes": "{\"lieblingsfarbe\":\"rot\"}", "sentAt": "2026-01-01T00:00:00.000000Z", "events": null,
        })
    );
    let events = fixture.data("query($campaign: ID!) { campaign(id: $campaign) { recipients(first: 1) { nodes { events { nodes { kind machine machineReason } } } } } }").await;
    // The event alone told nothing; judged over all clicks it was a burst.
    assert_eq!(
        events["campaign"]["recipients"]["nodes"][0]["events"]["nodes"],
        json!([
            { "kind": "CLICKED", "machine": true, "machineReason": "BURST" },
            { "kind": "HARD_BOUNCE", "machine": null, "machineReason": null },
        ])
    );
}

#[tokio::test]
async fn rows_that_are_put_together_are_those_that_are_resolved() {
    let fixture = Fixture::with(3).await;
    let fields = "id mail: email name company status skipReason sentAt opens clicks";
    let nodes = async |selection: &str| {
        let data = fixture
            .data(&format!("query($campaign: ID!) {{ campaign(id: $campaign) {{ recipients {{ {selection} }} }} }}"))
            .await;
        data["campaign"]["recipients"].clone()
    };
    let quickly = nodes(&format!("nodes {{ {fields} }}")).await["nodes"].clone();
    let resolved = nodes(&format!("nodes {{ ... on Recipient {{ {fields} }} }}")).await["nodes"].clone();
    assert_eq!(quickly, resolved);
    assert_eq!(quickly.as_array().expect("a list").len(), 3);
    let edges = nodes(&format!("edges {{ node {{ {fields} }} }}")).await["edges"].clone();
    let of_edges: Vec<_> = edges.as_array().expect("a list").iter().map(|edge| edge["node"].clone()).collect();
    assert_eq!(json!(of_edges), quickly);
}

#[tokio::test]
async fn what_asks_for_too_much_is_refused() {
    let fixture = Fixture::with(0).await;
    let deep = format!("{{ campaigns {{ nodes {}{{ id }}{} }} }}", "{ parent ".repeat(13), " }".repeat(13));
    assert_eq!(fixture.error(Role::Admin, &deep).await, "TOO_COMPLEX");
    let wide = "{ campaigns(first: 500) { nodes { recipients(first: 500) { nodes { id } } } } }";
    assert_eq!(fixture.error(Role::Admin, wide).await, "TOO_COMPLEX");
    let aliases: String = (0..31).map(|index| format!(" a{index}: __typename")).collect();
    assert_eq!(fixture.error(Role::Admin, &format!("{{{aliases} }}")).await, "TOO_COMPLEX");
    let spread: String = (0..16).map(|index| format!(" a{index}: name")).collect();
    let hidden =
        format!("{{ viewer {{ ...F ...G }} }} fragment F on Viewer {{{spread} }} fragment G on Viewer {{{spread} }}");
    assert_eq!(fixture.error(Role::Admin, &hidden).await, "TOO_COMPLEX");
    let directives =
        "{ viewer { name @skip(if: false) @include(if: true) @skip(if: false) @include(if: true) @skip(if: false) } }";
    assert_eq!(fixture.error(Role::Admin, directives).await, "TOO_COMPLEX");
    for query in ["{ campaigns(first: 501) { nodes { id } } }", "{ campaigns(first: 1, last: 1) { nodes { id } } }"] {
        assert_eq!(fixture.error(Role::Admin, query).await, "INVALID", "{query}");
    }
    let unsigned = fixture.schema.execute("{ viewer { name } }").await;
    assert!(format!("{:?}", unsigned.errors).contains("UNAUTHENTICATED"));
}

#[tokio::test]
async fn the_id_of_something_else_is_refused() {
    let fixture = Fixture::with(1).await;
    let job = crate::graphql::node::Key::Job(1).id().0;
    let response = fixture.ask(Role::Admin, &format!("{{ campaign(id: \"{job}\") {{ id }} }}"), json!({})).await;
    assert_eq!(response.errors[0].message, "this is the id of a Job, and a Campaign is expected here");
    assert_eq!(fixture.error(Role::Admin, "{ campaign(id: \"1\") { id } }").await, "INVALID");
    let query = format!("{{ node(id: \"{}\") {{ id __typename ... on Campaign {{ key }} }} }}", campaign());
    assert_eq!(
        fixture.data(&query).await["node"],
        json!({ "id": campaign(), "__typename": "Campaign", "key": "spring" })
    );
}

#[tokio::test]
async fn mutations_answer_refusals_as_data() {
    let fixture = Fixture::with(0).await;
    let create = "mutation { createCampaign(input: { key: \"new\", name: \"New\", state: SENT }) \
        { campaign { key state statistics { recipients } } userErrors { code field message } } }";
    let made = fixture.data(create).await;
    let campaign = &made["createCampaign"]["campaign"];
    assert_eq!(campaign, &json!({ "key": "new", "state": "SENT", "statistics": { "recipients": 0 } }));
    let again = fixture.data(create).await;
    assert_eq!(again["createCampaign"]["campaign"], json!(null));
    assert_eq!(again["createCampaign"]["userErrors"][0]["code"], "CONFLICT");
    let import = "mutation($campaign: ID!) { importRecipients(input: { campaignId: $campaign }) { job { id } userErrors { code field } } }";
    let refused = fixture.data(import).await;
    assert_eq!(refused["importRecipients"]["userErrors"], json!([{ "code": "INVALID", "field": ["uploadId"] }]));
    let cancelled = fixture
        .data("mutation($campaign: ID!) { cancelCampaign(id: $campaign) { userErrors { code } campaign { state } } }")
        .await;
    assert!(cancelled["cancelCampaign"].is_object());

    let create = "mutation { createApiToken(input: { name: \"t\", role: VIEWER }) { secret apiToken { id name role } userErrors { code } } }";
    assert_eq!(fixture.error(Role::Marketer, create).await, "FORBIDDEN");
    let made = fixture.ask(Role::Admin, create, json!({})).await.data.into_json().expect("JSON");
    assert!(made["createApiToken"]["secret"].as_str().expect("a secret").starts_with("nf_"));
    let id = made["createApiToken"]["apiToken"]["id"].as_str().expect("an id");
    let revoke = format!("mutation {{ revokeApiToken(id: \"{id}\") {{ deletedId userErrors {{ code }} }} }}");
    let revoked = fixture.ask(Role::Admin, &revoke, json!({})).await.data.into_json().expect("JSON");
    assert_eq!(revoked["revokeApiToken"], json!({ "deletedId": id, "userErrors": [] }));
}

#[tokio::test]
async fn a_fault_tells_nothing_but_an_id() {
    let fixture = Fixture::with(1).await;
    service::db::execute(fixture.services.db().write(), "DROP TABLE click", []).await.expect("dropped");
    let response = fixture
        .ask(
            Role::Admin,
            "query($campaign: ID!) { campaign(id: $campaign) { clicks { nodes { id } } } }",
            json!({ "campaign": campaign() }),
        )
        .await;
    let error = serde_json::to_value(&response.errors[0]).expect("JSON");
    assert_eq!(error["message"], "internal error");
    assert_eq!(error["extensions"]["code"], "INTERNAL");
    assert_eq!(error["extensions"]["id"].as_str().expect("an id").len(), 26);
    assert!(!error.to_string().contains("click\"s table"), "{error}");
}

#[tokio::test]
async fn a_document_that_is_known_is_checked_all_the_same() {
    let fixture = Fixture::with(10).await;
    let document = "query($campaign: ID!, $first: Int) { campaign(id: $campaign) { recipients(first: $first) { \
        nodes { events(first: 500) { nodes { kind } } } } } }";
    let campaign = json!({ "campaign": campaign() });
    let with = |name: &str, value: serde_json::Value| {
        let mut variables = campaign.clone();
        variables[name] = value;
        variables
    };
    for _ in 0..2 {
        let answer = fixture.ask(Role::Marketer, document, with("first", json!(1))).await;
        assert!(answer.is_ok(), "{:?}", answer.errors);
    }
    for (name, value) in [
        // Too complex with this many rows.
        ("first", json!(500)),
        ("first", json!("many")),
        ("first", json!(-1)),
        ("campaign", json!(null)),
        ("campaign", json!({ "id": 1 })),
    ] {
        let answer = fixture.ask(Role::Marketer, document, with(name, value.clone())).await;
        assert!(!answer.is_ok(), "{name}: {value}");
    }
    // A field that an input object does not have is only found by the whole validation: it is never left out.
    let filtered = "query($campaign: ID!, $filter: RecipientFilter) { \
        campaign(id: $campaign) { recipients(filter: $filter) { nodes { id } } } }";
    for (filter, is_ok) in [(json!({ "opened": true }), true), (json!({ "openend": true }), false)] {
        let answer = fixture.ask(Role::Marketer, filtered, with("filter", filter)).await;
        assert_eq!(answer.is_ok(), is_ok, "{:?}", answer.errors);
    }
}

#[tokio::test]
async fn what_is_known_and_asks_for_little_is_light() {
    let fixture = Fixture::with(3).await;
    let query = "query($campaign: ID!, $first: Int) { campaign(id: $campaign) { recipients(first: $first) { nodes { id status } } } }";
    let request =
        |first: i32| fixture.request(Role::Marketer, query, json!({ "campaign": campaign(), "first": first }));
    assert!(fixture.schema.execute_light(request(2)).await.is_none(), "not known yet");
    let all = fixture.schema.execute(request(2)).await;
    assert!(all.is_ok(), "{:?}", all.errors);
    let light = fixture.schema.execute_light(request(2)).await.expect("it is known");
    assert_eq!((light.data, light.errors.len()), (all.data, 0));
    // An error of its own is an answer.
    let unknown = json!({ "campaign": "nonsense", "first": 1 });
    let refused = fixture.schema.execute_light(fixture.request(Role::Marketer, query, unknown)).await;
    assert!(refused.is_some_and(|response| response.is_err()));
    // As many rows are for the other threads, and so is the document from then on.
    assert!(fixture.schema.execute_light(request(500)).await.is_none());
    assert!(fixture.schema.execute(request(500)).await.is_ok());
    assert!(fixture.schema.execute_light(request(2)).await.is_none());
}
