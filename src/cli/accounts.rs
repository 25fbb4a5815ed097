//! `nachfass token` and `nachfass user`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::Context;
use domain::Timestamp;
use serde_json::json;

use super::args::{TokenCommand, UserCommand};
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Manages tokens.
pub async fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    let TokenCommand::Create { name, role, expires, json } = command;
    let installation = Installation::open(config.clone()).await?;
    let expires_at = expires.map(|duration| end(installation.services.now(), duration)).transpose()?;
    let (token, secret) = installation.access().admin()?.create_token(&name, role, expires_at).await?;
    let secret = secret.expose();
    if json {
        let expires = token.expires_at.map(|at| at.to_string());
        return Ok(output::line(
            json!({ "id": token.id.to_string(), "token": secret, "role": role.name(), "expiresAt": expires }),
        )?);
    }
    Ok(output::line(secret)?)
}

fn end(now: Timestamp, duration: std::time::Duration) -> anyhow::Result<Timestamp> {
    let seconds = i64::try_from(duration.as_secs()).context("the token would outlive every calendar")?;
    Ok(now.plus_seconds(seconds))
}

/// Manages users.
pub async fn user(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Add { email, role, json } = command;
    let installation = Installation::open(config.clone()).await?;
    let admin = installation.access().admin()?;
    let password = password()?;
    let user = admin.add_user(&email, role, &password).await?;
    if json {
        return Ok(output::line(json!({ "id": user.id.to_string(), "email": user.email, "role": role.name() }))?);
    }
    output::note(format_args!("{} may sign in as {}", user.email, role.name()));
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
