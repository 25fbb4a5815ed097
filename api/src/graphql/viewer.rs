//! Who is asking.

use async_graphql::SimpleObject;
use service::Subject;

use super::words::Role;

/// Who is asking, and what they may do.
#[derive(SimpleObject)]
pub struct Viewer {
    /// How they stand in the audit log: `user:1`, `token:2`.
    subject: String,
    /// What to call them: the address of a user, the name of an API token.
    name: String,
    /// What they may do.
    role: Role,
    /// Whether they may see addresses, names and other personal data.
    sees_personal_data: bool,
}

impl From<&Subject> for Viewer {
    fn from(subject: &Subject) -> Self {
        Self {
            subject: subject.id.clone(),
            name: subject.name.clone(),
            role: subject.role.into(),
            sees_personal_data: subject.sees_personal_data(),
        }
    }
}
