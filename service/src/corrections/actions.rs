//! What people do about corrections: making one, deciding on suggestions, solving conflicts.

use domain::Timestamp;
use domain::correction::{CorrectionSource, CorrectionState, PushState};
use domain::email::{EmailAddress, key_of};
use domain::health::AddressHealth;
use sea_orm::ConnectionTrait;

use super::decide::{self, Terms, Verdict, Wanted, Why};
use super::follow::{self, Also};
use super::{Correction, MAX_REASON, find, not_found, object};
use crate::access::Marketer;
use crate::addresses::actions::lock;
use crate::apply::create;
use crate::audit;
use crate::db::{execute, query_one};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};
use crate::jobs::{self, Job, JobKind, NewJob};
use crate::recipients::RecipientKey;

/// A correction by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCorrection {
    /// The address that is wrong; it need not be a valid one.
    pub old: String,
    /// The address instead.
    pub new: EmailAddress,
    /// The person of the CRM whose address it is; found by the address where nothing is said.
    pub person: Option<i64>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Which address holds where the CRM has another one than we.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictSide {
    /// Ours: the CRM is to take it.
    Ours,
    /// The CRM's: our recipients take it.
    Crm,
}

impl ConflictSide {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "OURS",
            Self::Crm => "CRM",
        }
    }
}

impl Marketer {
    /// Corrects an address: recipients follow by a job, and the CRM is told.
    ///
    /// # Errors
    /// A refusal where the new address is the old one or blocked, where nobody has the old one, where that is not the person's, where it
    /// was corrected so before; those of the database.
    pub async fn correct_address(&self, correction: NewCorrection) -> Result<Correction> {
        let reason = correction.reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let length = reason.as_ref().map_or(0, |reason| reason.chars().count());
        if length > MAX_REASON {
            let size = (length, MAX_REASON, "characters");
            return Err(Refusal::exceeds(&["reason"], "the reason", size, "shorten it").into());
        }
        let (old_email, old_key) = (correction.old.trim().to_owned(), key_of(&correction.old));
        let (new, person) = (correction.new, correction.person);
        let wanted = Wanted { old_email, old_key, new, person, reason, suggestion: None };
        self.apply_one(wanted, CorrectionSource::Manual).await
    }

    /// The address of a recipient as it is written, valid or not: for [`NewCorrection::old`].
    ///
    /// # Errors
    /// A refusal where there is no such recipient; those of the database.
    pub async fn written_address(&self, recipient: RecipientKey) -> Result<String> {
        let sql = "SELECT email FROM recipient WHERE campaign_id = $1 AND number = $2";
        let row = query_one(self.services.db.read(), sql, [recipient.campaign.into(), recipient.number.into()]).await?;
        let none = || Refusal::field(RefusalCode::NotFound, &["recipientId"], "there is no such recipient");
        Ok(row.ok_or_else(none)?.try_get_by_index(0)?)
    }

    /// Applies a suggestion, as [`Marketer::correct_address`] does.
    ///
    /// # Errors
    /// As for [`Marketer::correct_address`]; a refusal where there is no such suggestion, or somebody has decided on it.
    pub async fn accept_suggestion(&self, id: i64) -> Result<Correction> {
        let suggestion = self.suggestion(id).await?;
        let new = EmailAddress::parse(&suggestion.new_email)
            .map_err(|_| ServiceError::Inconsistent(format!("correction {id} suggests what is no address")))?;
        let (old_email, old_key) = (suggestion.old_email.clone(), key_of(&suggestion.old_email));
        let wanted = Wanted { old_email, old_key, new, person: None, reason: None, suggestion: Some(id) };
        self.apply_one(wanted, CorrectionSource::Suggestion).await
    }

    /// Notes that a suggestion is wrong: it is not made again.
    ///
    /// # Errors
    /// A refusal where there is no such suggestion, or somebody has decided on it; those of the database.
    pub async fn reject_suggestion(&self, id: i64) -> Result<Correction> {
        self.suggestion(id).await?;
        let now = self.services.now();
        let transaction = self.services.db.begin().await?;
        let sql = "UPDATE correction SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1 AND state = $5";
        let (rejected, suggested) = (CorrectionState::Rejected.code(), CorrectionState::Suggested.code());
        let values =
            [id.into(), rejected.into(), self.subject.id.clone().into(), now.micros().into(), suggested.into()];
        if execute(&transaction, sql, values).await?.rows_affected() == 0 {
            return Err(refusal(Why::Decided).into());
        }
        audit::record(&transaction, now, &self.subject, "correction.rejected", object(id), None).await?;
        let rejected = find(&transaction, id, &self.subject).await?.ok_or_else(not_found)?;
        transaction.commit().await?;
        Ok(rejected)
    }

    /// Decides which address holds where the CRM has another one than we: ours, which is pushed to the CRM in place of what it has, or added
    /// where the old one is gone there and nothing took its place; or the CRM's, which our recipients take in place of ours.
    ///
    /// # Errors
    /// A refusal where there is no such conflict, or the CRM's address cannot be taken; those of the database.
    pub async fn resolve_conflict(&self, id: i64, keep: ConflictSide) -> Result<Correction> {
        let now = self.services.now();
        let transaction = self.services.db.begin_keyed().await?;
        let lock = if self.services.db.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!("SELECT id FROM correction WHERE id = $1{lock}");
        query_one(&transaction, &sql, [id.into()]).await?;
        let correction = find(&transaction, id, &self.subject).await?.ok_or_else(not_found)?;
        if correction.state != CorrectionState::Conflict {
            return Err(conflict("the CRM has no other address here, or this was decided on meanwhile").into());
        }
        let detail = match keep {
            ConflictSide::Ours => {
                // Where nothing stands in its place any more, it is added.
                let sql = "UPDATE correction SET state = $2, push = $3, push_error = NULL, is_added = crm_email IS NULL WHERE id = $1";
                let (state, push) = (CorrectionState::Applied.code(), PushState::Pending.code());
                execute(&transaction, sql, [id.into(), state.into(), push.into()]).await?;
                decide::request_push(&transaction, &self.subject.id, now).await?;
                serde_json::json!({ "keep": keep.as_str() })
            }
            ConflictSide::Crm => self.take_from_crm(&transaction, &correction, now).await?,
        };
        let action = "correction.resolved";
        audit::record(&transaction, now, &self.subject, action, object(id), Some(detail)).await?;
        let resolved = find(&transaction, id, &self.subject).await?.ok_or_else(not_found)?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(resolved)
    }

    /// Has a job look for addresses that may be written wrongly now, instead of in the night. Where such a job is waiting or at work,
    /// it is that one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn suggest_corrections(&self) -> Result<Job> {
        let (now, kind) = (self.services.now(), JobKind::SuggestCorrections);
        let transaction = self.services.db.begin().await?;
        let sql = "SELECT id FROM job WHERE kind = $1 AND state IN (1, 2) ORDER BY id LIMIT 1";
        let known = query_one(&transaction, sql, [kind.code().into()]).await?;
        let id = match known {
            Some(row) => row.try_get_by_index(0)?,
            None => {
                let job = NewJob::new(kind, serde_json::json!({}), &self.subject.id, now);
                let id = jobs::enqueue(&transaction, job, now).await?;
                audit::record(&transaction, now, &self.subject, "corrections.suggest", format!("job:{id}"), None)
                    .await?;
                id
            }
        };
        let job = jobs::get(&transaction, id).await?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(job)
    }

    /// A suggestion that nobody has decided on.
    async fn suggestion(&self, id: i64) -> Result<Correction> {
        let known = find(self.services.db.read(), id, &self.subject).await?.ok_or_else(not_found)?;
        if known.state == CorrectionState::Suggested {
            return Ok(known);
        }
        Err(refusal(Why::Decided).into())
    }

    async fn apply_one(&self, wanted: Wanted, source: CorrectionSource) -> Result<Correction> {
        let now = self.services.now();
        let transaction = self.services.db.begin_keyed().await?;
        let terms = Terms { source, subject: &self.subject.id, job: None, now };
        let verdicts = decide::apply(&transaction, &[wanted], terms).await?;
        let id = match verdicts.first() {
            Some(Verdict::Applied(id)) => *id,
            Some(Verdict::Refused(why)) => return Err(refusal(*why).into()),
            Some(Verdict::Unchanged) | None => {
                return Err(conflict("this was corrected so before, and nobody has the old address any more").into());
            }
        };
        let applied = find(&transaction, id, &self.subject).await?.ok_or_else(not_found)?;
        transaction.commit().await?;
        self.services.jobs_were_added();
        Ok(applied)
    }

    /// Makes the CRM's address the new one; says what the audit log says of it.
    async fn take_from_crm<C: ConnectionTrait>(
        &self,
        connection: &C,
        correction: &Correction,
        now: Timestamp,
    ) -> Result<serde_json::Value> {
        let kept = correction.crm_email.as_deref().map(EmailAddress::parse);
        let kept = match kept {
            Some(Ok(kept)) if kept.key() == key_of(&correction.old_email) => {
                return Err(
                    conflict("the CRM has the old address again: keep ours, or correct the address anew").into()
                );
            }
            Some(Ok(kept)) => kept,
            Some(Err(_)) | None => return Err(conflict("the CRM has no address there that could be taken").into()),
        };
        let (ours, theirs) = (key_of(&correction.new_email), kept.key().to_owned());
        let ids = create::addresses(connection, [&ours, &theirs], now).await?;
        let (ours, theirs) = (ids.get(&ours).copied(), ids.get(&theirs).copied());
        let standing = lock(connection, theirs.into_iter().collect()).await?;
        if standing.iter().any(|state| state.judgement().health == AddressHealth::Blocked) {
            return Err(conflict(
                "the address in the CRM is blocked here: clear it first, if it is right all the same",
            )
            .into());
        }
        let sql = "UPDATE correction SET new_email = $2, new_key = $3, new_domain = $4, state = $5, push = $6, push_error = NULL, \
                      crm_email = NULL, decided_by = $7, decided_at = $8 WHERE id = $1";
        let values = [
            correction.id.into(),
            kept.as_str().into(),
            kept.key().into(),
            kept.domain().into(),
            CorrectionState::Applied.code().into(),
            PushState::Pushed.code().into(),
            self.subject.id.clone().into(),
            now.micros().into(),
        ];
        execute(connection, sql, values).await?;
        let since = correction.decided_at.unwrap_or(correction.created_at);
        let also = ours.map(|address| Also { address, since });
        follow::request(connection, vec![correction.id], also, &self.subject.id, now).await?;
        Ok(serde_json::json!({ "keep": ConflictSide::Crm.as_str(), "was": ours, "is": theirs }))
    }
}

fn conflict(message: &str) -> Refusal {
    Refusal::new(RefusalCode::Conflict, message)
}

fn refusal(why: Why) -> Refusal {
    let (code, field) = match why {
        Why::Same => (RefusalCode::Invalid, "newEmail"),
        Why::Unknown => (RefusalCode::NotFound, "oldEmail"),
        Why::NotThePersons => (RefusalCode::NotFound, "personId"),
        Why::Blocked => (RefusalCode::Conflict, "newEmail"),
        Why::Twice | Why::Decided => return conflict(why.message()),
    };
    Refusal::field(code, &[field], why.message())
}
