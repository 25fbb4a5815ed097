//! The arguments of `nachfass token` and `nachfass user`.

use api::graphql::ids;
use clap::{Args, Subcommand};
use service::Role;

use super::values;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is printed once and never again
    #[command(after_help = "Examples:
  nachfass token create --name dashboard --role viewer
  nachfass token create --name ci --role admin --expires 90d --json")]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = values::role())]
        role: Role,
        /// How long it is valid: 12h, 90d, 1y; for ever unless said
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expires: Option<std::time::Duration>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List tokens, the newest first, without their secrets
    #[command(after_help = "Examples:
  nachfass token list
  nachfass token list --json")]
    List {
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke tokens: requests are refused and sockets closed within 5 seconds
    #[command(after_help = "Example:
  nachfass token revoke 3 4")]
    Revoke {
        /// Their numbers, as `token list` shows them, or their ids in the API
        #[arg(required = true, value_name = "ID", value_parser = ids::read_token)]
        ids: Vec<i64>,
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users
    #[command(after_help = "Examples:
  nachfass user list
  nachfass user list --json")]
    List {
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Add a user; the password is asked for, or read from the standard input
    #[command(after_help = "Examples:
  nachfass user add erika@example.com --role marketer
  echo \"$PASSWORD\" | nachfass user add admin@example.com --role admin")]
    Add {
        /// The address to sign in with
        email: String,
        /// What the user may do
        #[arg(long, value_parser = values::role())]
        role: Role,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Lock a user out: sessions and sockets end within 5 seconds, and tokens that the user made are revoked
    #[command(after_help = "Examples:
  nachfass user disable erika@example.com
  nachfass user disable erika@example.com --keep-tokens")]
    Disable {
        /// The user's address
        email: String,
        /// How to lock the user out
        #[command(flatten)]
        lockout: LockoutOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a user sign in again who was disabled
    #[command(after_help = "Example:
  nachfass user enable erika@example.com")]
    Enable {
        /// The user's address
        email: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a user another role; sessions and sockets end within 5 seconds
    #[command(after_help = "Examples:
  nachfass user role erika@example.com admin
  nachfass user role erika@example.com --role viewer

Tokens that the user made and that may do more than the new role are revoked.")]
    Role {
        /// The user's address
        email: String,
        /// What the user may do from now on
        #[arg(value_name = "ROLE", value_parser = values::role(), required_unless_present = "role_option")]
        role: Option<Role>,
        /// The same as ROLE, as in `user add`
        #[arg(long = "role", id = "role_option", value_name = "ROLE", value_parser = values::role(), conflicts_with = "role")]
        role_option: Option<Role>,
        /// How to lock the user out
        #[command(flatten)]
        lockout: LockoutOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a user another password, asked for or read from the standard input; sessions and sockets end within 5 seconds
    #[command(after_help = "Examples:
  nachfass user password erika@example.com
  echo \"$PASSWORD\" | nachfass user password erika@example.com")]
    Password {
        /// The user's address
        email: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Manage a user's second factor: codes of an authenticator app
    #[command(after_help = "Examples:
  nachfass user totp enable admin@example.com
  nachfass user totp reset admin@example.com
  nachfass user totp disable admin@example.com")]
    Totp {
        /// What to do
        #[command(subcommand)]
        command: TotpCommand,
    },
}

/// What else is to hold when somebody is locked out.
#[derive(Args, Clone, Copy, Debug)]
pub struct LockoutOptions {
    /// Even if nobody is left who can sign in as an admin
    #[arg(long)]
    pub force: bool,
    /// Do not revoke tokens that the user made
    #[arg(long)]
    pub keep_tokens: bool,
}

/// What to do with a second factor.
#[derive(Debug, Subcommand)]
pub enum TotpCommand {
    /// Ask for codes from now on; prints the URI for the app (for a QR code) and recovery codes, once
    #[command(after_help = "Examples:
  nachfass user totp enable admin@example.com
  nachfass user totp enable admin@example.com | head -1 | qrencode -t utf8")]
    Enable(TotpOptions),
    /// Replace the app and the recovery codes, for a user who has lost them; prints new ones
    #[command(after_help = "Example:
  nachfass user totp reset admin@example.com --json")]
    Reset(TotpOptions),
    /// Do not ask for codes any more
    #[command(after_help = "Example:
  nachfass user totp disable admin@example.com")]
    Disable(TotpOptions),
}

/// Whose second factor.
#[derive(Args, Clone, Debug)]
pub struct TotpOptions {
    /// The user's address
    pub email: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
