//! `nachfass token` and `nachfass user`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::Context;
use api::graphql::ids;
use domain::Timestamp;
use serde_json::{Value, json};
use service::accounts::{ApiToken, Enrolment, Lockout, User, UserChange};
use service::{Admin, RefusalCode, Role, ServiceError};

use super::args::{LockoutOptions, TokenCommand, TotpCommand, TotpOptions, UserCommand};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Manages tokens.
pub async fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    let installation = Installation::open(config.clone()).await?;
    let admin = installation.access().admin()?;
    match command {
        TokenCommand::Create { name, role, expires, json } => {
            let expires_at = expires.map(|duration| end(installation.services.now(), duration)).transpose()?;
            let (token, secret) = admin.create_token(&name, role, expires_at).await?;
            let secret = secret.expose();
            if !json {
                return Ok(output::line(secret)?);
            }
            let (id, expires) = (ids::token(token.id), at(token.expires_at));
            Ok(output::line(json!({ "id": id, "token": secret, "role": word(role), "expiresAt": expires }))?)
        }
        TokenCommand::List { json } => {
            for token in admin.tokens().await? {
                show_token(&token, installation.services.now(), json)?;
            }
            Ok(())
        }
        TokenCommand::Revoke { ids, json } => {
            for id in ids {
                let token = admin.revoke_token(id).await.with_context(|| format!("token {id} was not revoked"))?;
                if json {
                    show_token(&token, installation.services.now(), json)?;
                } else {
                    output::line(format_args!("token {id} ({}) is revoked", token.name))?;
                }
            }
            Ok(())
        }
    }
}

fn end(now: Timestamp, duration: std::time::Duration) -> anyhow::Result<Timestamp> {
    let seconds = i64::try_from(duration.as_secs()).context("the token would outlive every calendar")?;
    Ok(now.plus_seconds(seconds))
}

/// A role as GraphQL writes it.
fn word(role: Role) -> String {
    role.name().to_uppercase()
}

fn at(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

fn show_token(token: &ApiToken, now: Timestamp, json: bool) -> io::Result<()> {
    let state = match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        _ => "valid",
    };
    if json {
        return output::line(json!({
            "id": ids::token(token.id),
            "name": token.name,
            "role": word(token.role),
            "state": state,
            "createdBy": token.created_by,
            "createdAt": token.created_at.to_string(),
            "expiresAt": at(token.expires_at),
            "revokedAt": at(token.revoked_at),
        }));
    }
    let end = at(token.expires_at).map(|end| format!("  until {end}")).unwrap_or_default();
    output::line(format_args!(
        "{:>6}  {:<8}  {state:<7}  {}  by {}{end}",
        token.id,
        token.role.name(),
        token.name,
        token.created_by
    ))
}

/// Manages users.
pub async fn user(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    let installation = Installation::open(config.clone()).await?;
    let admin = installation.access().admin()?;
    match command {
        UserCommand::List { json } => {
            for user in admin.users().await? {
                show_user(&installation, &user, json)?;
            }
            Ok(())
        }
        UserCommand::Add { email, role, json } => {
            let user = admin.add_user(&email, role, &password()?).await?;
            if json {
                return Ok(output::line(json!({ "id": ids::user(user.id), "email": user.email, "role": word(role) }))?);
            }
            Ok(output::line(format_args!("{} may sign in as {}", user.email, role.name()))?)
        }
        UserCommand::Disable { email, lockout, json } => {
            let user = admin.user_by_email(&email).await?;
            let change = admin.disable_user(user.id, how(lockout)).await.map_err(hint)?;
            tell(&change, "is disabled", json)
        }
        UserCommand::Enable { email, json } => {
            let user = admin.user_by_email(&email).await?;
            tell(&admin.enable_user(user.id).await?, "may sign in", json)
        }
        UserCommand::Role { email, role, role_option, lockout, json } => {
            let role = role.or(role_option).context("no role was given")?;
            let user = admin.user_by_email(&email).await?;
            let change = admin.set_user_role(user.id, role, how(lockout)).await.map_err(hint)?;
            tell(&change, &format!("has the role {}", role.name()), json)
        }
        UserCommand::Password { email, json } => {
            let user = admin.user_by_email(&email).await?;
            let change = admin.set_user_password(user.id, &password()?).await?;
            tell(&change, "has a new password", json)
        }
        UserCommand::Totp { command } => totp(&admin, command).await,
    }
}

const fn how(options: LockoutOptions) -> Lockout {
    Lockout { force: options.force, keep_tokens: options.keep_tokens }
}

/// Names the way out that only the command line has.
fn hint(error: ServiceError) -> anyhow::Error {
    match error {
        ServiceError::Refused(refusal) if refusal.code == RefusalCode::Conflict => {
            anyhow::anyhow!("{refusal}, or repeat the command with --force")
        }
        error => error.into(),
    }
}

fn show_user(installation: &Installation, user: &User, json: bool) -> io::Result<()> {
    if json {
        return output::line(json!({
            "id": ids::user(user.id),
            "email": user.email,
            "role": word(user.role),
            "disabled": user.disabled_at.is_some(),
            "disabledAt": at(user.disabled_at),
            "totp": user.has_totp,
            "createdAt": user.created_at.to_string(),
            "account": installation.services.account_name(&user.email),
        }));
    }
    let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
    let totp = if user.has_totp { "  second factor" } else { "" };
    output::line(format_args!("{:>6}  {:<8}  {state:<8}  {}{totp}", user.id, user.role.name(), user.email))
}

fn tell(change: &UserChange, what: &str, json: bool) -> anyhow::Result<()> {
    let user = &change.user;
    if json {
        let tokens: Vec<String> = change.tokens_revoked.iter().copied().map(ids::token).collect();
        return Ok(output::line(json!({
            "id": ids::user(user.id),
            "email": user.email,
            "role": word(user.role),
            "disabled": user.disabled_at.is_some(),
            "sessionsEnded": change.sessions_ended,
            "tokensRevoked": tokens,
        }))?);
    }
    let ended = match (change.sessions_ended, change.tokens_revoked.len()) {
        (0, 0) => String::new(),
        (sessions, 0) => format!("; sessions ended: {sessions}"),
        (sessions, tokens) => format!("; sessions ended: {sessions}, tokens revoked: {tokens}"),
    };
    Ok(output::line(format_args!("{} {what}{ended}", user.email))?)
}

async fn totp(admin: &Admin, command: TotpCommand) -> anyhow::Result<()> {
    match command {
        TotpCommand::Enable(TotpOptions { email, json }) => {
            let user = admin.user_by_email(&email).await?;
            show_enrolment(&admin.enable_totp(user.id).await?, json)
        }
        TotpCommand::Reset(TotpOptions { email, json }) => {
            let user = admin.user_by_email(&email).await?;
            show_enrolment(&admin.reset_totp(user.id).await?, json)
        }
        TotpCommand::Disable(TotpOptions { email, json }) => {
            let user = admin.user_by_email(&email).await?;
            tell(&admin.disable_totp(user.id).await?, "needs no code any more", json)
        }
    }
}

fn show_enrolment(enrolment: &Enrolment, json: bool) -> anyhow::Result<()> {
    let codes: Vec<&str> = enrolment.recovery_codes.iter().map(|code| code.expose()).collect();
    if json {
        let shown: Value =
            json!({ "uri": enrolment.uri.expose(), "secret": enrolment.secret.expose(), "recoveryCodes": codes });
        return Ok(output::line(shown)?);
    }
    output::note(
        "This is shown once. The first line is for the authenticator app, as a QR code or by hand; the others",
    );
    output::note("are recovery codes, each for one sign-in without the app. All sessions of the user have ended.");
    output::line(enrolment.uri.expose())?;
    for code in codes {
        output::line(code)?;
    }
    Ok(())
}

/// From a prompt on a terminal, else the first line of the standard input.
fn password() -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").context("while reading the password")?;
        let again = rpassword::prompt_password("Again: ").context("while reading the password")?;
        anyhow::ensure!(password == again, "the two passwords are not the same");
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("while reading the password from the standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
