//! The tables as SeaORM entities, one file a table.
//!
//! What the columns mean stands in the migrations' SQL; numbers that stand for words are the codes of the enums in `domain`,
//! and of those in `service` that only its own tables need (`JobKind`, `JobState`, `Queue`, `DeliveryState`, reports to the CRM);
//! times are microseconds since 1970, UTC.
#![expect(missing_docs, reason = "the columns are documented where they are made: in the migrations' SQL")]

pub mod address;
pub mod alert;
pub mod api_token;
pub mod attempt;
pub mod audit_entry;
pub mod bounce_statistics;
pub mod campaign;
pub mod campaign_hour;
pub mod campaign_source;
pub mod campaign_statistics;
pub mod click;
pub mod complaint;
pub mod correction;
pub mod correction_issue;
pub mod crm_report;
pub mod crm_sync;
pub mod crm_token;
pub mod delivery;
pub mod domain_statistics;
pub mod event;
pub mod export_file;
pub mod follow_up;
pub mod import;
pub mod import_issue;
pub mod job;
pub mod link_statistics;
pub mod message;
pub mod person;
pub mod person_email;
pub mod privacy;
pub mod project;
pub mod project_member;
pub mod recipient;
pub mod recipient_status;
pub mod reminder;
pub mod reminder_check;
pub mod reminder_rule;
pub mod reminder_target;
pub mod schedule_tick;
pub mod selection;
pub mod selection_member;
pub mod session;
pub mod setting;
pub mod source_tally;
pub mod tracked_link;
pub mod upload;
pub mod user_account;
pub mod user_recovery_code;
pub mod user_totp;
