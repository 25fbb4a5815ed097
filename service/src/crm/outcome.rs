//! What a refusal or a failure of the CRM means for a job.

use domain::crm::{CrmError, Trouble};
use domain::text::cut;

use crate::error::{Refusal, RefusalCode, ServiceError};

/// A job waits so long for a CRM that cannot be reached and does not say for how long, in seconds.
const WAIT: i64 = 60;
/// And at most so long, whatever it says.
const LONGEST_WAIT: i64 = 3_600;

/// As much of what a CRM says is kept, in characters.
pub(crate) const MAX_MESSAGE: usize = 1_000;

impl From<CrmError> for ServiceError {
    /// What may pass is waited for; the rest is for somebody to see to, and the job can be tried again by then.
    fn from(error: CrmError) -> Self {
        let trouble = error.trouble();
        match error {
            CrmError::Unavailable { source, retry_after, .. } => Self::Later {
                why: trouble.map_or("the CRM cannot be reached", Trouble::words),
                seconds: retry_after.map_or(WAIT, i64::from).clamp(1, LONGEST_WAIT),
                source: Some(source),
            },
            CrmError::NoAccess(message) => Refusal::new(
                RefusalCode::Conflict,
                format!("the CRM does not let nachfass in: {}", cut(&message, MAX_MESSAGE)),
            )
            .into(),
            CrmError::Refused(message) => {
                Refusal::new(RefusalCode::Conflict, format!("the CRM refuses: {}", cut(&message, MAX_MESSAGE))).into()
            }
            CrmError::NotFound => Refusal::new(RefusalCode::NotFound, "the CRM does not know it (any more)").into(),
            CrmError::Conflict => Refusal::new(RefusalCode::Conflict, "it was changed in the CRM meanwhile").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_reads_what_is_wrong_and_the_log_reads_the_rest() {
        let later = |source, retry_after| {
            let error = CrmError::Unavailable { source, may_have_happened: false, retry_after };
            match ServiceError::from(error) {
                ServiceError::Later { why, seconds, source: Some(source) } => (why, seconds, source.to_string()),
                other => panic!("{other:?}"),
            }
        };
        let log = || "status 429 at https://x.example/?token=secret".to_owned();
        assert_eq!(later(Trouble::Pause.because(log()), Some(90)), ("the CRM asked for a pause", 90, log()));
        let (why, seconds, _) = later(Trouble::Suspended.because(log()), Some(90_000));
        assert_eq!((why, seconds), ("the CRM says that the tenant is suspended", LONGEST_WAIT));
        assert_eq!(later(log().into(), None), ("the CRM cannot be reached", WAIT, log()));
    }
}
