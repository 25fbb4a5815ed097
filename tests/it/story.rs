//! The story that nachfass is for, over GraphQL and against a CRM outside: a campaign bounces for some; they are handed to the people who
//! act on it; their addresses are corrected in every way there is; and the campaign is sent again to exactly those.

use crm_testing::superoffice::SuperOffice;
use domain::crm::ListKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Site, Source, eventually};

in_every_mode!(bounced_handed_over_corrected_and_sent_again);

const SHOP: Source = Source::generic("shop");

async fn bounced_handed_over_corrected_and_sent_again(site: Site) {
    let crm = SuperOffice::start();
    crm.generate(30);
    readdress(&crm, 3, "person3@gmial.com");
    let site = site.with(&[&SHOP]).with_more(&format!("{}\n[corrections]\ncheck_mx = false\n", crm.toml(200)));
    let _running = site.start().await;
    let api = site.client("admin");
    site.run(["crm", "sync"]);

    let (campaign, audience) = send_out(&api).await;
    // Persons 1 to 6 bounce; 7 to 18 get it, and 8 reads it; of 19 and 20 nothing is heard.
    for id in 1..=18 {
        let (kind, class) = if id <= 6 { ("hard_bounce", Some("hard")) } else { ("delivered", None) };
        report(&api, kind, id, class).await;
    }
    report(&api, "opened", 8, None).await;
    api.applied().await;
    assert_eq!(statuses(&api, &campaign, "HARD_BOUNCED").await.len(), 6);

    hand_over(&api, &crm, &campaign).await;
    correct(&api, &crm).await;

    // One joins the audience.
    let joining = json!({ "addresses": { "emails": ["person21@example.com"] }, "selectionId": audience });
    block_and_clear(&api, "person21@example.com").await;
    run(&api, "addToSelection", "AddToSelectionInput", joining).await;
    let reload = "mutation($id: ID!) { reloadRecipients(campaignId: $id) { job { id } userErrors { message } } }";
    let reloaded = result_of(&api, api.ask(reload, json!({ "id": campaign })).await, "reloadRecipients").await;
    assert_eq!(reloaded["added"], 1, "{reloaded}");

    let again = json!({ "campaignId": campaign, "onlyUpdated": true });
    let resent = run(&api, "resend", "ResendInput", again.clone()).await;
    assert_eq!(resent["added"], 4, "{resent}");
    let expected = ["eins@example.com", "person3@gmail.com", "vier-crm@example.com", "zwei@example.com"];
    let to_be_sent = json!({ "status": ["READY"] });
    let once_more = json!({ "status": ["READY"], "corrected": true });
    assert_eq!(emails(&api, &campaign, once_more).await, expected, "exactly those, once more");
    assert_eq!(emails(&api, &campaign, to_be_sent).await.len(), 5, "and who has joined, for the first time");
    let pressed_twice = run(&api, "resend", "ResendInput", again).await;
    assert_eq!((&pressed_twice["added"], &pressed_twice["unchanged"]), (&json!(0), &json!(4)), "{pressed_twice}");
    assert_eq!(statuses(&api, &campaign, "HARD_BOUNCED").await, ["person5@example.com", "person6@example.com"]);
    site.assert_counted_right();
}

fn readdress(crm: &SuperOffice, id: i64, email: &str) {
    crm.change(id, |person| person.emails[0].address = email.to_owned());
}

fn email(id: i64) -> String {
    if id == 3 { "person3@gmial.com".to_owned() } else { format!("person{id}@example.com") }
}

/// Makes an audience in the CRM, and a campaign that has gone out to it; their ids.
async fn send_out(api: &Api) -> (String, String) {
    let list = make_campaign(api, json!({ "key": "list", "name": "List" })).await;
    let mut csv = "email,crm id\n".to_owned();
    (1..=20).for_each(|id| csv.push_str(&format!("{},{id}\n", email(id))));
    let upload = upload(api, csv).await;
    run(api, "importRecipients", "ImportRecipientsInput", json!({ "campaignId": list, "uploadId": upload })).await;
    let input = json!({ "recipients": { "where": { "campaignId": list } }, "newSelection": { "name": "Audience" } });
    let added = run(api, "addToSelection", "AddToSelectionInput", input).await;
    assert_eq!(added["added"], 20, "{added}");
    let audience = added["selection"]["id"].as_str().expect("an id").to_owned();

    let spring = json!({ "key": "spring", "name": "Spring", "state": "SENT", "sentAt": "2026-03-02T08:00:00Z" });
    let campaign = make_campaign(api, spring).await;
    let input = json!({ "campaignId": campaign, "selectionIds": [audience] });
    let imported = run(api, "importRecipients", "ImportRecipientsInput", input).await;
    assert_eq!(imported["added"], 20, "{imported}");
    (campaign, audience)
}

/// Those for whom it bounced become a selection, and a task each for whoever is responsible.
async fn hand_over(api: &Api, crm: &SuperOffice, campaign: &str) {
    let bounced = json!({ "where": { "campaignId": campaign, "filter": { "status": ["HARD_BOUNCED"] } } });
    let input = json!({ "recipients": bounced, "newSelection": { "name": "Bounced in spring" } });
    let added = run(api, "addToSelection", "AddToSelectionInput", input).await;
    assert_eq!(added["added"], 6, "{added}");
    let lists = crm.lists(ListKind::Selection);
    let (id, _) = lists.iter().find(|(_, name)| name == "Bounced in spring").expect("it is in the CRM");
    let members: Vec<i64> = crm.members(ListKind::Selection, *id).into_iter().map(|(person, _)| person).collect();
    assert_eq!(members, [1, 2, 3, 4, 5, 6]);
    let input = json!({ "recipients": bounced, "title": "Ask for the new address", "dueDate": "2026-03-09" });
    let made = run(api, "createFollowUps", "CreateFollowUpsInput", input).await;
    assert_eq!((&made["added"], crm.count_tasks()), (&json!(6), 6), "{made}");
}

/// One by hand, one by a file, one by a suggestion, and one that somebody else has changed in the CRM meanwhile.
async fn correct(api: &Api, crm: &SuperOffice) {
    correct_by_hand(api, "person1@example.com", "eins@example.com").await;
    let file = upload(api, "old,new\nperson2@example.com,zwei@example.com\nnobody at all,x\n".to_owned()).await;
    let corrected = run(api, "importCorrections", "ImportCorrectionsInput", json!({ "uploadId": file })).await;
    assert_eq!((&corrected["updated"], &corrected["rejected"]), (&json!(1), &json!(1)), "{corrected}");

    let asked = api.ask("mutation { suggestCorrections { job { id } userErrors { message } } }", json!({})).await;
    result_of(api, asked, "suggestCorrections").await;
    let suggested = corrections(api, "SUGGESTED").await;
    let typo = suggested.iter().find(|row| row["oldEmail"] == "person3@gmial.com").expect("a suggestion");
    assert_eq!(typo["newEmail"], "person3@gmail.com", "{typo}");
    let accept =
        "mutation($id: ID!) { acceptSuggestion(correctionId: $id) { correction { state } userErrors { message } } }";
    let accepted = api.ask(accept, json!({ "id": typo["id"] })).await;
    assert_eq!(accepted["acceptSuggestion"]["correction"]["state"], "APPLIED", "{accepted}");

    readdress(crm, 4, "vier-crm@example.com");
    correct_by_hand(api, "person4@example.com", "vier@example.com").await;
    let conflict = eventually("the conflict is noticed", async || corrections(api, "CONFLICT").await.pop()).await;
    let sides = (&conflict["newEmail"], &conflict["crmEmail"]);
    assert_eq!(sides, (&json!("vier@example.com"), &json!("vier-crm@example.com")));
    let resolve = "mutation($id: ID!) { resolveConflict(correctionId: $id, keep: CRM) { correction { state } userErrors { message } } }";
    let resolved = api.ask(resolve, json!({ "id": conflict["id"] })).await;
    assert_eq!(resolved["resolveConflict"]["userErrors"], json!([]), "{resolved}");

    let wanted = ["eins@example.com", "zwei@example.com", "person3@gmail.com", "vier-crm@example.com"];
    for (id, email) in (1..).zip(wanted) {
        eventually("the CRM has it", async || {
            (crm.person(id).expect("a person").emails[0].address == email).then_some(())
        })
        .await;
    }
    // Recipients follow by a job each.
    eventually("all jobs are done", async || {
        let query = "{ queued: jobs(filter: { state: QUEUED }, first: 1) { nodes { id } } running: jobs(filter: { state: RUNNING }, first: 1) { nodes { id } } }";
        let data = api.ask(query, json!({})).await;
        let is_empty = |name: &str| data[name]["nodes"].as_array().expect("a list").is_empty();
        (is_empty("queued") && is_empty("running")).then_some(())
    })
    .await;
}

async fn correct_by_hand(api: &Api, old: &str, new: &str) {
    let query = "mutation($input: CorrectAddressInput!) { correctAddress(input: $input) { correction { state } userErrors { message } } }";
    let data = api.ask(query, json!({ "input": { "oldEmail": old, "newEmail": new } })).await;
    assert_eq!(data["correctAddress"]["correction"]["state"], "APPLIED", "{data}");
}

async fn corrections(api: &Api, state: &str) -> Vec<Value> {
    let query = "query($state: [CorrectionState!]) { corrections(filter: { state: $state }) { nodes { id oldEmail newEmail crmEmail } } }";
    let data = api.ask(query, json!({ "state": [state] })).await;
    data["corrections"]["nodes"].as_array().expect("a list").clone()
}

/// So that the address is known.
async fn block_and_clear(api: &Api, email: &str) {
    for mutation in ["blockAddresses", "clearBounces"] {
        let query = format!(
            "mutation($input: AddressSet!) {{ {mutation}(input: $input) {{ job {{ id }} userErrors {{ message }} }} }}"
        );
        let data = api.ask(&query, json!({ "input": { "emails": [email] } })).await;
        result_of(api, data, mutation).await;
    }
}

/// The addresses of the recipients with this status, in order.
async fn statuses(api: &Api, campaign: &str, status: &str) -> Vec<String> {
    emails(api, campaign, json!({ "status": [status] })).await
}

/// The addresses of the recipients that a filter finds, in order.
async fn emails(api: &Api, campaign: &str, filter: Value) -> Vec<String> {
    let query = "query($id: ID!, $filter: RecipientFilter!) { campaign(id: $id) { recipients(filter: $filter) { nodes { email } } } }";
    let data = api.ask(query, json!({ "id": campaign, "filter": filter })).await;
    let nodes = data["campaign"]["recipients"]["nodes"].as_array().expect("a list");
    let mut emails: Vec<String> = nodes.iter().map(|node| node["email"].as_str().expect("a text").to_owned()).collect();
    emails.sort();
    emails
}

async fn report(api: &Api, kind: &str, id: i64, class: Option<&str>) {
    let body = json!({
        "type": kind,
        "id": format!("{kind}-{id}"),
        "occurred_at": "2026-03-02T09:00:00Z",
        "campaign": "spring",
        "recipient": email(id),
        "bounce_class": class,
        "smtp_code": class.map(|_| 550),
        "enhanced_code": class.map(|_| "5.1.1"),
        "diagnostic": class.map(|_| "no such user"),
    });
    api.report(&SHOP, &body).await;
}

async fn make_campaign(api: &Api, input: Value) -> String {
    let query = "mutation($input: CreateCampaignInput!) { createCampaign(input: $input) { campaign { id } userErrors { message } } }";
    let data = api.ask(query, json!({ "input": input })).await;
    data["createCampaign"]["campaign"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

async fn upload(api: &Api, csv: String) -> String {
    let response = api.request(Method::POST, "/uploads").header("content-type", "text/csv").body(csv).send().await;
    let answer: Value = response.expect("an answer").json().await.expect("JSON");
    answer["uploadId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Orders something, and waits for what comes of it.
async fn run(api: &Api, mutation: &str, input_type: &str, input: Value) -> Value {
    let query = format!(
        "mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ job {{ id }} userErrors {{ field message }} }} }}"
    );
    let data = api.ask(&query, json!({ "input": input })).await;
    result_of(api, data, mutation).await
}

/// What came of the job that a mutation has ordered.
async fn result_of(api: &Api, data: Value, mutation: &str) -> Value {
    let id = data[mutation]["job"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned();
    let query = "query($id: ID!) { job(id: $id) { state error result { added updated unchanged skipped rejected selection { id } \
        skippedByReason { reason count } } } }";
    let mut job = eventually("the job is over", async || {
        let job = api.ask(query, json!({ "id": id })).await["job"].take();
        (!["QUEUED", "RUNNING"].contains(&job["state"].as_str().expect("a state"))).then_some(job)
    })
    .await;
    assert_eq!(job["state"], "SUCCEEDED", "{mutation}: {job}");
    job["result"].take()
}
