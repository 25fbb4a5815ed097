//! The chain: recipients are imported, providers post what became of their mails, and GraphQL says it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::harness::{Api, Site, Source, fixture};

in_every_mode!(from_the_command_line, by_upload);

const MAILGUN: Source = Source::mailgun();
const SENDGRID: Source = Source::sendgrid();
const POSTMARK: Source = Source::postmark();

const SENT_AT: &str = "2026-03-02T08:00:00Z";
/// The same in Unix seconds.
const SENT: i64 = 1_772_438_400;
const LINK: &str = "https://shop.example/spring";

async fn from_the_command_line(site: Site) {
    let site = site.with(&[&MAILGUN, &SENDGRID, &POSTMARK]);
    site.write("spring.csv", fixture("spring.csv"));
    let _running = site.start().await;
    let import =
        ["import", "--campaign", "spring", "--name", "Spring", "--state", "sent", "--sent-at", SENT_AT, "--json"];
    let import = || site.run_json(import.into_iter().chain(["spring.csv"]));

    let first = import();
    assert_eq!((&first["read"], &first["imported"], &first["skipped"]), (&json!(9), &json!(7), &json!(2)), "{first}");
    let again = import();
    assert_eq!((&again["imported"], &again["unchanged"]), (&json!(0), &json!(7)), "{again}");

    follow(&site, first["campaignId"].as_str().expect("an id")).await;
}

async fn by_upload(site: Site) {
    let site = site.with(&[&MAILGUN, &SENDGRID, &POSTMARK]);
    let _running = site.start().await;
    let marketer = site.client("marketer");

    let create = "mutation($input: CreateCampaignInput!) { createCampaign(input: $input) { campaign { id } userErrors { code } } }";
    let input = json!({ "input": { "key": "spring", "name": "Spring", "sentAt": SENT_AT, "state": "SENT" } });
    let created = marketer.ask(create, input.clone()).await;
    let again = marketer.ask(create, input).await;
    assert_eq!(again["createCampaign"]["userErrors"][0]["code"], "CONFLICT");

    let campaign = created["createCampaign"]["campaign"]["id"].as_str().expect("an id");
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(&fixture("spring.csv")).expect("compressed");
    let upload =
        marketer.request(Method::POST, "/uploads").header(CONTENT_TYPE, "text/csv").header(CONTENT_ENCODING, "gzip");
    let upload = upload.body(zip.finish().expect("compressed")).send().await.expect("an answer");
    assert_eq!(upload.status(), 201);
    let upload: Value = upload.json().await.expect("JSON");

    let import = "mutation($input: ImportRecipientsInput!) { importRecipients(input: $input) { job { id } userErrors { message } } }";
    let input = json!({ "input": { "campaignId": campaign, "uploadId": upload["uploadId"] } });
    let started = marketer.ask(import, input).await;
    let job = started["importRecipients"]["job"]["id"].as_str().unwrap_or_else(|| panic!("{started}"));
    let result = &marketer.finished(job).await["result"];
    assert_eq!((&result["added"], &result["skipped"]), (&json!(7), &json!(2)), "{result}");

    follow(&site, campaign).await;
}

/// What the providers report leads to the figures and lists.
async fn follow(site: &Site, campaign: &str) {
    let api = site.client("admin");
    report(&api).await;
    api.applied().await;
    figures(&api, campaign).await;
    details(&api, campaign).await;
    lists(&api, campaign).await;
    pages(&api, campaign).await;
    site.assert_counted_right();
}

fn mailgun(event: &str, email: &str, id: &str, minute: i64, more: Value) -> Value {
    let mut body = json!({
        "event": event,
        "id": format!("{event}-{id}-{minute}"),
        "timestamp": SENT + 60 * minute,
        "recipient": email,
        "message": { "headers": { "message-id": format!("{id}@mg.example") } },
        "user-variables": { "nachfass_campaign": "spring", "recipient_id": id },
    });
    merge(&mut body, more);
    body
}

fn sendgrid(event: &str, email: &str, minute: i64, more: Value) -> Value {
    let mut body = json!({
        "event": event,
        "sg_event_id": format!("{event}-{email}-{minute}"),
        "sg_message_id": format!("{email}.filter0001"),
        "email": email,
        "timestamp": SENT + 60 * minute,
        "category": ["spring"],
    });
    merge(&mut body, more);
    body
}

fn postmark(record: &str, email: &str, more: Value) -> Value {
    let mut body = json!({ "RecordType": record, "MessageID": format!("pm-{email}"), "Tag": "spring" });
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let (Value::Object(body), Value::Object(more)) = (body, more) else { panic!("two objects") };
    body.extend(more);
}

/// Ada clicks, Bob's mailbox does not exist, a proxy opens Cem's mail, Dora's mailbox is full, Eve complains, Fred unsubscribes, and
/// nobody says anything of Gina. Of some we hear twice, and not in this order.
async fn report(api: &Api) {
    let ada = |event, minute, more| mailgun(event, "ada@alpha.example", "r1", minute, more);
    let clicked = ada("clicked", 12, json!({ "url": LINK }));
    let refused = json!({ "code": 550, "message": "5.1.1 no such user" });
    let bounced = json!({ "severity": "permanent", "reason": "bounce", "delivery-status": refused });
    for event in [
        clicked.clone(),
        ada("delivered", 1, json!({})),
        ada("opened", 10, json!({})),
        mailgun("failed", "bob@alpha.example", "r2", 1, bounced),
        clicked,
    ] {
        api.report(&MAILGUN, &event).await;
    }

    let full = json!({ "type": "bounce", "status": "4.2.2", "reason": "452 4.2.2 mailbox full", "bounce_classification": "Mailbox Unavailable" });
    let batch = json!([
        sendgrid("open", "cem@beta.example", 70, json!({ "sg_machine_open": true })),
        sendgrid("delivered", "cem@beta.example", 1, json!({ "response": "250 OK" })),
        sendgrid("bounce", "dora@beta.example", 2, full),
    ]);
    api.report(&SENDGRID, &batch).await;
    api.report(&SENDGRID, &batch).await;

    let (eve, fred) = ("eve@gamma.example", "fred@gamma.example");
    for event in [
        postmark(
            "SpamComplaint",
            eve,
            json!({ "ID": 5, "Type": "SpamComplaint", "TypeCode": 512, "Email": eve, "BouncedAt": "2026-03-02T09:30:00Z" }),
        ),
        postmark("Open", eve, json!({ "Recipient": eve, "ReceivedAt": "2026-03-02T09:29:00Z" })),
        postmark("Delivery", eve, json!({ "Recipient": eve, "DeliveredAt": "2026-03-02T08:01:00Z" })),
        postmark("Delivery", fred, json!({ "Recipient": fred, "DeliveredAt": "2026-03-02T08:01:00Z" })),
        postmark(
            "SubscriptionChange",
            fred,
            json!({ "Recipient": fred, "ChangedAt": "2026-03-02T10:00:00Z", "Origin": "Recipient", "SuppressSending": true, "SuppressionReason": "ManualSuppression" }),
        ),
    ] {
        api.report(&POSTMARK, &event).await;
    }
}

async fn figures(api: &Api, campaign: &str) {
    const QUERY: &str = "query($id: ID!) { campaign(id: $id) {
        name state sentAt
        statistics {
            recipients sent delivered softBounced hardBounced blocked opened machineOpened clicked machineClicked complained
            unsubscribed opens clicks openRate clickThroughRate clickToOpenRate bounceRate complaintRate
        }
        statusBreakdown { status count }
    } }";
    let data = api.ask(QUERY, json!({ "id": campaign })).await;
    let found = &data["campaign"];
    assert_eq!((&found["name"], &found["state"]), (&json!("Spring"), &json!("SENT")));
    assert!(found["sentAt"].as_str().expect("a time").starts_with("2026-03-02T08:00:00"));
    let expected = json!({
        "recipients": 9, "sent": 7, "delivered": 5, "softBounced": 1, "hardBounced": 1, "blocked": 2,
        "opened": 2, "machineOpened": 1, "clicked": 1, "machineClicked": 0, "complained": 1, "unsubscribed": 1,
        "opens": 2, "clicks": 1,
        "openRate": 2.0 / 5.0, "clickThroughRate": 1.0 / 5.0, "clickToOpenRate": 1.0 / 2.0, "bounceRate": 2.0 / 7.0,
        "complaintRate": 1.0 / 5.0,
    });
    assert_eq!(found["statistics"], expected);

    let mut breakdown: Vec<(&str, i64)> = list(&found["statusBreakdown"])
        .iter()
        .map(|row| (text(&row["status"]), row["count"].as_i64().expect("a number")))
        .filter(|(_, count)| *count > 0)
        .collect();
    breakdown.sort_unstable();
    let expected = [
        ("BLOCKED", 2),
        ("CLICKED", 1),
        ("COMPLAINED", 1),
        ("DELIVERED", 1),
        ("HARD_BOUNCED", 1),
        ("SENT", 1),
        ("SOFT_BOUNCED", 1),
        ("UNSUBSCRIBED", 1),
    ];
    assert_eq!(breakdown, expected);
}

async fn details(api: &Api, campaign: &str) {
    const QUERY: &str = "query($id: ID!) { campaign(id: $id) {
        links { id url clicks clickers machineClicks }
        clicks(first: 10) { nodes { link { url } machine occurredAt recipient { email } } totalCount { value exact } }
        bounceReasons { bounceClass smtpCode enhancedCode recipients }
        timeline { at sent delivered opened clicked complained unsubscribed softBounced hardBounced }
        domains { domain statistics { recipients sent delivered opened } }
    } }";
    let data = api.ask(QUERY, json!({ "id": campaign })).await;
    let found = &data["campaign"];

    let link = &list(&found["links"])[0];
    assert_eq!((&link["url"], &link["clicks"], &link["clickers"]), (&json!(LINK), &json!(1), &json!(1)));
    let clicks = list(&found["clicks"]["nodes"]);
    assert_eq!(clicks.len(), 1);
    assert_eq!((&clicks[0]["recipient"]["email"], &clicks[0]["machine"]), (&json!("ada@alpha.example"), &json!(false)));
    assert!(text(&clicks[0]["occurredAt"]).starts_with("2026-03-02T08:12:00"));

    let reason = |class: &str| list(&found["bounceReasons"]).iter().find(|reason| reason["bounceClass"] == class);
    let hard = json!({ "bounceClass": "HARD", "smtpCode": 550, "enhancedCode": "5.1.1", "recipients": 1 });
    let full = json!({ "bounceClass": "MAILBOX_FULL", "smtpCode": 452, "enhancedCode": "4.2.2", "recipients": 1 });
    assert_eq!((reason("HARD"), reason("MAILBOX_FULL")), (Some(&hard), Some(&full)));

    let hour = |hour: u8, figure: &str| {
        let begin = format!("2026-03-02T{hour:02}:00:00");
        let point = list(&found["timeline"]).iter().find(|point| text(&point["at"]).starts_with(&begin));
        point.map_or(0, |point| point[figure].as_i64().expect("a number"))
    };
    assert_eq!([hour(8, "sent"), hour(8, "delivered"), hour(8, "opened"), hour(8, "clicked")], [7, 4, 1, 1]);
    assert_eq!([hour(8, "softBounced"), hour(8, "hardBounced")], [1, 1]);
    assert_eq!([hour(9, "opened"), hour(9, "complained"), hour(10, "unsubscribed")], [1, 1, 1]);

    let alpha = list(&found["domains"]).iter().find(|row| row["domain"] == "alpha.example").expect("a domain");
    let expected = json!({ "recipients": 4, "sent": 3, "delivered": 2, "opened": 1 });
    assert_eq!(alpha["statistics"], expected);
}

async fn lists(api: &Api, campaign: &str) {
    for (arguments, expected) in [
        ("filter: { status: [HARD_BOUNCED, SOFT_BOUNCED] }", &["bob", "dora"][..]),
        ("filter: { skipReason: [INVALID_ADDRESS] }", &["hans at home"]),
        ("filter: { skipReason: [DUPLICATE] }", &["ADA"]),
        ("filter: { bounceClass: [MAILBOX_FULL] }", &["dora"]),
        ("filter: { opened: true }", &["ada", "eve"]),
        ("filter: { opened: false, status: [DELIVERED, SENT] }", &["cem", "gina"]),
        ("filter: { clicked: true }", &["ada"]),
        ("filter: { domain: [\"gamma.example\"] }", &["eve", "fred"]),
        ("filter: { or: [{ clicked: true }, { status: [COMPLAINED] }] }", &["ada", "eve"]),
        ("filter: { domain: [\"beta.example\"], not: { status: [SOFT_BOUNCED] } }", &["cem"]),
        ("search: \"fuchs\"", &["fred"]),
        ("search: \"beta\"", &["cem", "dora"]),
    ] {
        let query = format!(
            "query($id: ID!) {{ campaign(id: $id) {{ recipients({arguments}, first: 50) {{ nodes {{ email }} totalCount {{ value }} }} }} }}"
        );
        let data = api.ask(&query, json!({ "id": campaign })).await;
        let found = &data["campaign"]["recipients"];
        let names: Vec<&str> = list(&found["nodes"]).iter().map(|node| local_part(&node["email"])).collect();
        assert_eq!(names, expected, "{arguments}");
        assert_eq!(found["totalCount"]["value"], expected.len(), "{arguments}");
    }

    let ada = "query($id: ID!) { campaign(id: $id) { recipients(search: \"ada@alpha\", first: 1) { nodes {
        name company owner crmId recipientId attributes status opens clicks firstClickedAt events(first: 10) { nodes { kind } }
    } } } }";
    let data = api.ask(ada, json!({ "id": campaign })).await;
    let ada = &data["campaign"]["recipients"]["nodes"][0];
    assert_eq!(
        [&ada["name"], &ada["company"], &ada["crmId"], &ada["recipientId"], &ada["status"]],
        ["Ada Abel", "Alpha AG", "101", "r1", "CLICKED"]
    );
    assert!(text(&ada["attributes"]).contains("Ulm"), "other columns are kept: {ada}");
    let mut kinds: Vec<&str> = list(&ada["events"]["nodes"]).iter().map(|event| text(&event["kind"])).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["CLICKED", "DELIVERED", "OPENED"], "what came twice is there once");

    let blocked =
        api.ask("{ blockedAddresses(first: 10) { nodes { email health blockReason lastReason } } }", json!({})).await;
    let blocked = list(&blocked["blockedAddresses"]["nodes"]);
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert_eq!(
        (&blocked[0]["email"], &blocked[0]["blockReason"]),
        (&json!("bob@alpha.example"), &json!("HARD_BOUNCE"))
    );
    assert!(text(&blocked[0]["lastReason"]).contains("no such user"));
}

/// Page by page in both directions is the same list.
async fn pages(api: &Api, campaign: &str) {
    const FORWARDS: &str = "query($id: ID!, $at: String) { campaign(id: $id) {
        recipients(first: 4, after: $at, orderBy: { field: EMAIL, direction: DESC }) { nodes { email } pageInfo { more: hasNextPage at: endCursor } }
    } }";
    const BACKWARDS: &str = "query($id: ID!, $at: String) { campaign(id: $id) {
        recipients(last: 4, before: $at, orderBy: { field: EMAIL, direction: DESC }) { nodes { email } pageInfo { more: hasPreviousPage at: startCursor } }
    } }";
    let walk = async |query: &str, is_forwards: bool| {
        let (mut all, mut at) = (Vec::new(), Value::Null);
        loop {
            let data = api.ask(query, json!({ "id": campaign, "at": at })).await;
            let page = &data["campaign"]["recipients"];
            let mut emails: Vec<String> =
                list(&page["nodes"]).iter().map(|node| text(&node["email"]).to_owned()).collect();
            if !is_forwards {
                emails.reverse();
            }
            all.extend(emails);
            if page["pageInfo"]["more"] == false {
                return all;
            }
            at = page["pageInfo"]["at"].clone();
        }
    };
    let forwards = walk(FORWARDS, true).await;
    let mut backwards = walk(BACKWARDS, false).await;
    backwards.reverse();
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.len(), 9);
    assert!(forwards.is_sorted_by(|a, b| a.to_lowercase() >= b.to_lowercase()), "{forwards:?}");
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn local_part(email: &Value) -> &str {
    let email = text(email);
    email.split_once('@').map_or(email, |(local, _)| local)
}
