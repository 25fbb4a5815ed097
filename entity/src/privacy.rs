//! Which text columns are personal: decided here, column by column, and nowhere else.
//!
//! What a viewer is shown follows from this, see `service/src/privacy.rs`. A column that is not classified counts as personal; a test
//! fails for it.

use sea_orm::IdenStatic;

/// What a text in a column may say about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nothing: a code, a hash, an id of nachfass, or what an admin has configured.
    Plain,
    /// Usually nothing: the name of a thing, as people or programs outside chose it. It may hold an address all the same.
    Named,
    /// It names a person, or may hold anything.
    Personal,
}

/// A column whose privacy is known.
pub trait Classified: Copy {
    /// What its texts may say about a person; `None` for what is no text, and for what nobody has classified.
    fn privacy(self) -> Option<Privacy>;
}

macro_rules! classify {
    ($($table:ident { $($privacy:ident: $($column:ident)+;)* })+) => {
        $(impl Classified for crate::$table::Column {
            fn privacy(self) -> Option<Privacy> {
                match self {
                    $($(Self::$column => Some(Privacy::$privacy),)+)*
                    _ => None,
                }
            }
        })+

        /// Every text column with its table, and what it may say about a person.
        #[must_use]
        pub fn texts() -> Vec<(&'static str, &'static str, Privacy)> {
            vec![$($($((stringify!($table), crate::$table::Column::$column.as_str(), Privacy::$privacy),)+)*)+]
        }

        /// The text columns of each table that nobody has classified.
        #[cfg(test)]
        fn unclassified() -> Vec<String> {
            let mut found = Vec::new();
            $(found.extend(unclassified_of::<crate::$table::Entity>(stringify!($table)));)+
            found
        }
    };
}

classify! {
    address {
        Plain: Outcomes;
        Personal: EmailKey LastReason BlockNote;
    }
    alert {}
    api_token {
        Plain: TokenHash CreatedBy;
        Named: Name;
    }
    attempt {
        Plain: FailureEnhancedCode;
        Personal: EmailKey Email FailureDiagnostic;
    }
    audit_entry {
        Plain: Subject Action Object;
        Named: Detail;
    }
    bounce_statistics { Plain: EnhancedCode; }
    campaign {
        Plain: CreatedBy;
        Named: Key Name Subject;
        Personal: FromAddress;
    }
    campaign_hour {}
    campaign_source { Named: Subscription; }
    campaign_statistics {}
    click {}
    complaint {}
    correction {
        Plain: CreatedBy DecidedBy;
        Personal: OldEmail OldKey OldDomain NewEmail NewKey NewDomain Reason PushError CrmEmail;
    }
    correction_issue { Personal: Content Reason; }
    crm_report { Personal: Key Error; }
    crm_sync {
        Plain: Subject;
        Personal: LastError;
    }
    crm_token { Plain: Name; }
    delivery {
        Plain: Source;
        Personal: Headers Error;
    }
    domain_statistics { Personal: Domain; }
    event {
        Plain: EnhancedCode Source;
        Personal: EventId Diagnostic Url MessageId Email RecipientRef CampaignKeys;
    }
    export_file {
        Plain: Id ContentType CreatedBy;
        Personal: Name;
    }
    follow_up {
        Plain: Reason CreatedBy;
        Personal: Key CrmId OwnerId Owner Title Description Error;
    }
    import { Plain: CreatedBy; }
    import_issue { Personal: Content Reason; }
    job {
        Plain: IdempotencyKey Worker CreatedBy;
        Personal: Payload Result Error Position;
    }
    link_statistics {}
    message { Personal: MessageId; }
    person { Personal: CrmId Name CompanyId Company OwnerId Owner Subscriptions; }
    person_email { Personal: EmailKey Email; }
    project {
        Plain: Key CrmId CreatedBy;
        Named: Name;
        Personal: Description SyncError;
    }
    project_member {}
    recipient {
        Plain: FailureEnhancedCode;
        Personal: EmailKey Email Domain Ref Name Company Owner CrmId Attributes FailureDiagnostic;
    }
    recipient_status {}
    reminder {}
    reminder_check {}
    reminder_rule {
        Plain: TimeZone SendFrom SendTo SendDays CreatedBy;
        Named: Name NamePattern SubjectPrefix;
    }
    reminder_target {}
    schedule_tick { Plain: Rule; }
    selection {
        Plain: Key CrmId CreatedBy;
        Named: Name;
        Personal: Description SyncError;
    }
    selection_member {}
    session { Plain: TokenHash; }
    setting { Plain: Name Value UpdatedBy; }
    source_tally { Plain: Source; }
    tracked_link { Personal: Url UrlHash; }
    upload {
        Plain: Id CreatedBy;
        Named: ContentType;
    }
    user_account {
        Plain: PasswordHash;
        Personal: Email EmailKey;
    }
    user_recovery_code { Plain: CodeHash; }
    user_totp {}
}

#[cfg(test)]
fn unclassified_of<E>(table: &str) -> Vec<String>
where
    E: sea_orm::EntityTrait,
    E::Column: Classified,
{
    use sea_orm::{ColumnTrait, ColumnType, Iterable};
    let is_text = |column: &E::Column| {
        let kind = column.def().get_column_type().clone();
        matches!(
            kind,
            ColumnType::String(_) | ColumnType::Text | ColumnType::Char(_) | ColumnType::Json | ColumnType::JsonBinary
        )
    };
    let open = E::Column::iter().filter(|column| is_text(column) && column.privacy().is_none());
    open.map(|column| format!("{table}.{}", column.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_text_column_is_classified() {
        assert_eq!(unclassified(), Vec::<String>::new(), "is it personal? Say so in entity/src/privacy.rs");
    }

    #[test]
    fn every_table_is_looked_at() {
        let tables: BTreeSet<&str> = include_str!("lib.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
            .filter(|name| *name != "privacy")
            .collect();
        let source = include_str!("privacy.rs");
        let missing: Vec<&&str> =
            tables.iter().filter(|table| !source.contains(&format!("\n    {table} {{"))).collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }
}
