//! What users do with their own account: password, second factor, sessions.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, ID, Object, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::accounts::{self, Enrolment, SignedIn};
use service::{Refusal, RefusalCode, Role};

use super::errors::{Result, UserError, outcome};
use super::node;
use super::scalars::{DateTime, at};
use super::schema::access;
use super::token::DeletePayload;
use super::user::UserPayload;

/// The session that a mutation has begun in place of the one that asked for it; whoever answers the request sets its cookies.
#[derive(Clone, Default)]
pub struct NewSession(Arc<Mutex<Option<SignedIn>>>);

impl NewSession {
    /// Takes it out.
    pub fn take(&self) -> Option<SignedIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(ctx: &Context<'_>, signed_in: SignedIn) {
        if let Some(Self(slot)) = ctx.data_opt::<Self>() {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed_in);
        }
    }
}

/// A signed-in browser.
pub struct Session(pub(super) accounts::Session);

const SESSION: &str = "Session:";

/// A signed-in browser.
#[Object]
impl Session {
    /// The id, for `endSession`.
    async fn id(&self) -> ID {
        ID(URL_SAFE_NO_PAD.encode(format!("{SESSION}{}", self.0.id)))
    }

    /// When the user signed in.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When the last request came, to the minute.
    async fn last_seen_at(&self) -> Option<DateTime> {
        at(self.0.last_seen_at)
    }

    /// When it ends at the latest; without requests it ends earlier.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }
}

/// The session that an id stands for.
fn session_id(id: &ID) -> Result<String, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(id.as_str()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let found = text.as_deref().and_then(|text| text.strip_prefix(SESSION)).map(str::to_owned);
    found.ok_or_else(|| Refusal::field(RefusalCode::Invalid, &["id"], "not the id of a session"))
}

/// What came of a change of the own account.
#[derive(SimpleObject)]
pub struct AccountPayload {
    /// Whether the change was made.
    success: bool,
    /// Reasons for refusing the mutation; empty if it succeeded.
    user_errors: Vec<UserError>,
}

/// A second factor to be confirmed.
#[derive(SimpleObject)]
pub struct TotpEnrolmentPayload {
    /// The URI for the authenticator app, to be shown as a QR code; shown once. Null where the mutation was refused.
    uri: Option<String>,
    /// The same for typing: the secret in base32; shown once.
    secret: Option<String>,
    /// Reasons for refusing the mutation; empty if it succeeded.
    user_errors: Vec<UserError>,
}

/// New recovery codes.
#[derive(SimpleObject)]
pub struct RecoveryCodesPayload {
    /// Codes for signing in without the app, each for one time; shown once. Null where the mutation was refused.
    recovery_codes: Option<Vec<String>>,
    /// Reasons for refusing the mutation; empty if it succeeded.
    user_errors: Vec<UserError>,
}

impl RecoveryCodesPayload {
    fn of(result: service::Result<Vec<accounts::Secret>>) -> Result<Self> {
        let (codes, user_errors) = outcome(result)?;
        let shown = |codes: Vec<accounts::Secret>| codes.iter().map(|code| code.expose().to_owned()).collect();
        Ok(Self { recovery_codes: codes.map(shown), user_errors })
    }
}

/// The root of mutations of accounts.
#[derive(Default)]
pub struct AccountMutation;

/// What users can change about their own account. API tokens have none: FORBIDDEN. Whatever is asked for with the password counts as an
/// attempt; 10 wrong ones an hour are refused.
#[Object]
impl AccountMutation {
    /// Changes the own password. All sessions of the user end; the one that asks goes on with new cookies.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The present password.")] old_password: String,
        #[graphql(desc = "The new password: at least 12 characters, and not easily guessed.")] new_password: String,
    ) -> Result<AccountPayload> {
        let account = access(ctx)?.own_account()?;
        let (signed_in, user_errors) = outcome(account.change_password(&old_password, &new_password).await)?;
        let success = signed_in.is_some();
        if let Some(signed_in) = signed_in {
            NewSession::put(ctx, signed_in);
        }
        Ok(AccountPayload { success, user_errors })
    }

    /// Begins to enable the own second factor: makes a secret for an authenticator app. It is asked for once `confirmTotp` has seen a code of
    /// the app.
    async fn enable_totp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password.")] password: String,
    ) -> Result<TotpEnrolmentPayload> {
        let (enrolment, user_errors) = outcome(access(ctx)?.own_account()?.begin_totp(&password).await)?;
        let shown = |Enrolment { uri, secret, .. }: Enrolment| (uri.expose().to_owned(), secret.expose().to_owned());
        let (uri, secret) = enrolment.map(shown).unzip();
        Ok(TotpEnrolmentPayload { uri, secret, user_errors })
    }

    /// Enables the own second factor: from now on signing in needs a code. Answers the recovery codes. All sessions of the user end; the one
    /// that asks goes on with new cookies.
    async fn confirm_totp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The six digits that the app shows.")] code: String,
    ) -> Result<RecoveryCodesPayload> {
        let confirmed = access(ctx)?.own_account()?.confirm_totp(&code).await;
        RecoveryCodesPayload::of(confirmed.map(|(codes, signed_in)| {
            NewSession::put(ctx, signed_in);
            codes
        }))
    }

    /// Replaces the own recovery codes; those of before are void.
    async fn renew_recovery_codes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password.")] password: String,
        #[graphql(desc = "A code of the app, or a recovery code.")] code: String,
    ) -> Result<RecoveryCodesPayload> {
        RecoveryCodesPayload::of(access(ctx)?.own_account()?.renew_recovery_codes(&password, &code).await)
    }

    /// Disables the own second factor. Refused for admins where the installation requires one.
    async fn disable_totp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password.")] password: String,
        #[graphql(desc = "A code of the app, or a recovery code.")] code: String,
    ) -> Result<AccountPayload> {
        let (removed, user_errors) = outcome(access(ctx)?.own_account()?.remove_totp(&password, &code).await)?;
        Ok(AccountPayload { success: removed.is_some(), user_errors })
    }

    /// Ends a session, and its sockets within 5 seconds: one of the own, or for admins anybody's.
    async fn end_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the session.")] id: ID,
    ) -> Result<DeletePayload> {
        let access = access(ctx)?;
        let session = session_id(&id);
        let ended = async {
            if access.subject().role >= Role::Admin {
                access.admin()?.end_session(&session?).await
            } else {
                access.own_account()?.end_session(&session?).await
            }
        };
        let (ended, user_errors) = outcome(ended.await)?;
        Ok(DeletePayload { deleted_id: ended.map(|()| id), user_errors })
    }

    /// Ends all sessions of a user, and their sockets within 5 seconds. For admins.
    async fn end_user_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] user_id: ID,
    ) -> Result<UserPayload> {
        let admin = access(ctx)?.admin()?;
        let ended = async {
            let id = node::user(&user_id).map_err(|refusal| refusal.about(&["userId"]))?;
            admin.end_sessions(id).await
        };
        UserPayload::of(ended.await)
    }
}
