//! GraphiQL in a browser, as an admin uses it on the first day.

use serde_json::{Value, json};

use crate::harness::{Browser, Site};

in_mode!(on_sqlite, Sqlite: the_schema_is_read_and_the_saved_queries_run);

const PASSWORD: &str = "correct horse battery";

/// The fields of the page that the test looks at.
const QUERY_EDITOR: &str = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror";
const ANSWER: &str = "document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()";
const EXPLORER: &str = "document.querySelector('.graphiql-doc-explorer')";

async fn sign_in(browser: &mut Browser, site: &Site) {
    browser.open(&site.url()).await;
    browser.until("document.querySelector('form [name=password]')").await;
    let form = format!(
        "(() => {{ const form = document.querySelector('form'); form.email.value = 'admin@haus.example'; \
         form.password.value = '{PASSWORD}'; form.querySelector('button').click(); return true }})()"
    );
    browser.evaluate(&form).await;
    browser.until("document.querySelector('a[href=\"/graphiql\"]')").await;
}

/// Follows the link with this text in the documentation explorer.
async fn follow(browser: &mut Browser, text: &str) {
    let link = format!("[...{EXPLORER}.querySelectorAll('a')].find(link => link.textContent === '{text}')");
    browser.until(&link.replace("find(", "some(")).await;
    browser.evaluate(&format!("{link}.click()")).await;
}

/// Runs the query of the tab. For a moment after a tab is chosen, GraphiQL still sends the name of the last one's operation.
async fn run(browser: &mut Browser) -> Value {
    for _ in 0..100 {
        browser.evaluate("document.querySelector('.graphiql-execute-button').click()").await;
        let answer = browser.until(&format!("{ANSWER}.includes('\"data\"') && {ANSWER}")).await;
        let answer: Value = serde_json::from_str(answer.as_str().expect("a text")).expect("JSON");
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        if !message.starts_with("Unknown operation named") {
            return answer;
        }
    }
    panic!("GraphiQL goes on sending the name of another operation")
}

async fn the_schema_is_read_and_the_saved_queries_run(site: Site) {
    let Some(mut browser) = Browser::start().await else { return };
    site.write("spring.csv", "email\nada@alpha.example\n");
    let _running = site.start().await;
    let imported = site.run_json(["import", "--campaign", "spring", "--state", "sent", "--json", "spring.csv"]);
    let mut add = site.command(["user", "add", "admin@haus.example", "--role", "admin", "--json"]);
    crate::cli::with_input(&mut add, &format!("{PASSWORD}\n"));

    sign_in(&mut browser, &site).await;
    browser.open(&format!("{}/graphiql", site.url())).await;
    browser.until("document.querySelector('.graphiql-container')").await;

    // The documentation explorer: a type, its description and its fields.
    browser.until("document.querySelector('button[aria-label=\"Show Documentation Explorer\"]')").await;
    browser.evaluate("document.querySelector('button[aria-label=\"Show Documentation Explorer\"]').click()").await;
    follow(&mut browser, "Query").await;
    follow(&mut browser, "Campaign").await;
    let shown = browser.until(&format!("{EXPLORER}.innerText.includes('statistics') && {EXPLORER}.innerText")).await;
    assert!(shown.as_str().is_some_and(|text| text.contains("Campaign") && text.contains("Fields")), "{shown}");

    // The saved queries, as they are.
    let tabs = browser.until("document.querySelectorAll('.graphiql-tab-button').length").await;
    let tabs = tabs.as_u64().expect("a number");
    assert_eq!(tabs, 7);
    let (mut kinds, mut last) = (Vec::new(), String::new());
    for tab in 0..tabs {
        browser.evaluate(&format!("document.querySelectorAll('.graphiql-tab-button')[{tab}].click()")).await;
        // Both editors follow the tab a moment later.
        let changed = format!("{ANSWER} === '' && {QUERY_EDITOR}.getValue() !== {last:?} && {QUERY_EDITOR}.getValue()");
        let query = browser.until(&changed).await.as_str().expect("a text").to_owned();
        last.clone_from(&query);
        kinds.extend(
            ["query", "mutation", "subscription"].into_iter().find(|kind| query.contains(&format!("\n{kind} "))),
        );
        if query.contains("$campaign") {
            let variables = browser
                .until("document.querySelector('[aria-label=Variables] .CodeMirror').CodeMirror.getValue()")
                .await;
            assert!(variables.as_str().expect("a text").contains(imported["campaignId"].as_str().expect("an id")));
            let open = "document.querySelector('[aria-label=Variables]').offsetHeight > 0";
            assert_eq!(browser.evaluate(open).await, json!(true), "the variables are in sight");
        }
        let answer = run(&mut browser).await;
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        assert!(!answer.to_string().contains("\"message\""), "{query}: {answer}");
    }
    kinds.dedup();
    assert_eq!(kinds, ["query", "mutation", "query", "subscription"]);

    // Completion knows the schema.
    let hints = format!(
        "(() => {{ const editor = {QUERY_EDITOR}; editor.setValue('{{ view'); editor.setCursor(0, 6); editor.focus(); \
         editor.execCommand('autocomplete'); \
         return [...document.querySelectorAll('.CodeMirror-hints li')].some(hint => hint.textContent.startsWith('viewer')) }})()"
    );
    browser.until(&hints).await;
}
