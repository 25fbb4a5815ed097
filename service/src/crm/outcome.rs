//! What a refusal or a failure of the CRM means for a job.

use domain::crm::CrmError;

use crate::error::{Refusal, RefusalCode, ServiceError};

/// A job waits so long for a CRM that cannot be reached and does not say for how long, in seconds.
const WAIT: i64 = 60;
/// And at most so long, whatever it says.
const LONGEST_WAIT: i64 = 3_600;

impl From<CrmError> for ServiceError {
    /// What may pass is waited for; the rest is for somebody to see to, and the job can be tried again by then.
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::Unavailable { source, retry_after, .. } => Self::Later {
                why: "the CRM cannot be reached",
                seconds: retry_after.map_or(WAIT, i64::from).clamp(1, LONGEST_WAIT),
                source: Some(source),
            },
            CrmError::NoAccess(message) => {
                Refusal::new(RefusalCode::Conflict, format!("the CRM does not let nachfass in: {message}")).into()
            }
            CrmError::Refused(message) => {
                Refusal::new(RefusalCode::Conflict, format!("the CRM refuses: {message}")).into()
            }
            CrmError::NotFound => Refusal::new(RefusalCode::NotFound, "the CRM does not know it (any more)").into(),
            CrmError::Conflict => Refusal::new(RefusalCode::Conflict, "it was changed in the CRM meanwhile").into(),
        }
    }
}
