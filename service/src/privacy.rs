//! What of a text a subject may see: it follows from the classification of its column (`entity::privacy`).

use domain::privacy::{HIDDEN, holds_address};
use entity::privacy::{Classified, Privacy};

use crate::subject::Subject;

impl Subject {
    /// A text of a column as this subject may see it; `None` where it may not.
    pub(crate) fn visible<C: Classified>(&self, column: C, text: Option<String>) -> Option<String> {
        text.filter(|text| self.may_see(column, text))
    }

    /// The same with something in its place where there is a text that this subject may not see.
    pub(crate) fn masked<C: Classified>(&self, column: C, text: String) -> String {
        if self.may_see(column, &text) { text } else { HIDDEN.to_owned() }
    }

    fn may_see<C: Classified>(&self, column: C, text: &str) -> bool {
        self.sees_personal_data()
            || match column.privacy() {
                Some(Privacy::Plain) => true,
                Some(Privacy::Named) => !holds_address(text),
                Some(Privacy::Personal) | None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use entity::{campaign, event, recipient};

    use super::*;
    use crate::subject::Role;

    #[test]
    fn a_viewer_sees_what_names_nobody() {
        let of = |role| Subject { id: "user:1".to_owned(), name: "x".to_owned(), role };
        let (viewer, marketer) = (of(Role::Viewer), of(Role::Marketer));
        let text = || "erika@example.com".to_owned();
        assert_eq!(viewer.visible(recipient::Column::Name, Some("Erika".to_owned())), None);
        assert_eq!(viewer.masked(recipient::Column::Email, text()), HIDDEN);
        assert_eq!(viewer.masked(campaign::Column::Name, "Spring".to_owned()), "Spring");
        assert_eq!(viewer.masked(campaign::Column::Name, text()), HIDDEN);
        assert_eq!(viewer.visible(event::Column::EnhancedCode, Some("5.1.1".to_owned())).as_deref(), Some("5.1.1"));
        // No text at all: whoever adds one says what it is.
        assert_eq!(viewer.masked(recipient::Column::Opens, text()), HIDDEN);
        assert_eq!(marketer.masked(recipient::Column::Email, text()), text());
    }
}
