//! What is fuzzed, and nothing that is shipped.
//!
//! A [`Target`] is a function over bytes that panics where something is wrong. The same functions are driven in two ways: by libFuzzer
//! (`fuzz/`, `make fuzz`), and by a test of this crate that mutates the seeds, which needs no other toolchain and is part of
//! `make test`. docs/FUZZING.md says more.

pub mod cursors;
pub mod files;
pub mod filters;
pub mod graphql;
mod input;
pub mod rules;
pub mod seeds;
pub mod tokens;
pub mod webhooks;

/// Something that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the program in `fuzz/` and of its corpus.
    pub name: &'static str,
    /// Panics where an input shows a mistake. An input that is refused is fine.
    pub run: fn(&[u8]),
    /// Inputs to begin with, from what the repository holds already.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that its inputs are made of.
    pub words: &'static [&'static str],
}

const fn webhook(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds, words: seeds::JSON_WORDS }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    webhook("webhook_brevo", webhooks::brevo, || seeds::webhooks("brevo")),
    webhook("webhook_generic", webhooks::generic, || seeds::webhooks("generic")),
    webhook("webhook_mailersend", webhooks::mailersend, || seeds::webhooks("mailersend")),
    webhook("webhook_mailgun", webhooks::mailgun, || seeds::webhooks("mailgun")),
    webhook("webhook_mailjet", webhooks::mailjet, || seeds::webhooks("mailjet")),
    webhook("webhook_mailtrap", webhooks::mailtrap, || seeds::webhooks("mailtrap")),
    webhook("webhook_mandrill", webhooks::mandrill, || seeds::webhooks("mandrill")),
    webhook("webhook_postal", webhooks::postal, || seeds::webhooks("postal")),
    webhook("webhook_postmark", webhooks::postmark, || seeds::webhooks("postmark")),
    webhook("webhook_resend", webhooks::resend, || seeds::webhooks("resend")),
    webhook("webhook_scaleway", webhooks::scaleway, || seeds::webhooks("scaleway")),
    webhook("webhook_sendgrid", webhooks::sendgrid, || seeds::webhooks("sendgrid")),
    webhook("webhook_ses", webhooks::ses, || seeds::webhooks("ses")),
    webhook("webhook_sparkpost", webhooks::sparkpost, || seeds::webhooks("sparkpost")),
    webhook("webhook_unisender", webhooks::unisender, || seeds::webhooks("unisender")),
    Target { name: "graphql_text", run: graphql::text, seeds: seeds::documents, words: seeds::GRAPHQL_WORDS },
    Target { name: "graphql_nested", run: graphql::nested, seeds: seeds::recipes, words: &[] },
    Target { name: "graphql_request", run: graphql::request, seeds: seeds::requests, words: seeds::GRAPHQL_WORDS },
    Target { name: "cursor", run: cursors::cursor, seeds: seeds::cursors, words: &[] },
    Target { name: "global_id", run: cursors::global_id, seeds: seeds::global_ids, words: &[] },
    Target { name: "import_csv", run: files::csv, seeds: seeds::csv, words: seeds::CSV_WORDS },
    Target { name: "import_jsonl", run: files::json_lines, seeds: seeds::json_lines, words: seeds::JSON_WORDS },
    Target { name: "filter", run: filters::filter, seeds: seeds::filters, words: seeds::FILTER_WORDS },
    Target { name: "sealed_token", run: tokens::sealed, seeds: seeds::sealed, words: &[] },
    Target { name: "export_link", run: tokens::link, seeds: seeds::links, words: &[] },
    Target { name: "email", run: rules::email, seeds: seeds::emails, words: seeds::EMAIL_WORDS },
    Target { name: "smtp_reply", run: rules::smtp_reply, seeds: seeds::replies, words: seeds::REPLY_WORDS },
    Target { name: "formula", run: rules::formula, seeds: seeds::cells, words: seeds::CSV_WORDS },
    Target { name: "time", run: rules::time, seeds: seeds::times, words: &[] },
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
