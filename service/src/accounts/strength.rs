//! Which passwords are good enough.

use zxcvbn::feedback::Feedback;
use zxcvbn::{Score, zxcvbn};

use super::password::{self, Lane};
use crate::error::{Refusal, RefusalCode, Result};

/// The shortest password, in characters.
pub const MIN_PASSWORD_LENGTH: usize = 12;

/// The longest password, in bytes: long enough for any sentence, short enough to be hashed without a thought.
const MAX_PASSWORD_BYTES: usize = 1024;

/// Guessing is simulated on so many characters: it takes the longer, the more there are. What is behind them only makes a password
/// better.
const JUDGED_CHARACTERS: usize = 72;

/// The worst password that is taken: about a hundred million guesses.
const WORST: Score = Score::Three;

/// Refuses a password that is too short, too long, or easily guessed, by somebody who knows whose it is.
///
/// # Errors
/// The refusal, at `field`.
pub(super) async fn require(field: &'static str, password: &str, email: &str) -> Result<()> {
    let refuse = |message: String| Err(Refusal::field(RefusalCode::Invalid, &[field], message).into());
    if password.chars().count() < MIN_PASSWORD_LENGTH {
        let length = password.chars().count();
        return refuse(format!(
            "the password has {length} characters, and at least {MIN_PASSWORD_LENGTH} are needed: several words in a row do"
        ));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        let size = (password.len(), MAX_PASSWORD_BYTES, "bytes");
        return Err(Refusal::exceeds(&[field], "the password", size, "shorten it").into());
    }
    let (password, email) = (password.to_owned(), email.to_lowercase());
    match password::aside(Lane::Known, move || Ok(weakness(&password, &email))).await? {
        Some(message) => refuse(message),
        None => Ok(()),
    }
}

/// What is wrong with a password, and what would be better; `None` for a good one.
fn weakness(password: &str, email: &str) -> Option<String> {
    let judged: String = password.chars().take(JUDGED_CHARACTERS).collect();
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    // Guesses grow with the number of parts, so the whole name counts as one.
    let name: String = local.chars().filter(|character| character.is_alphanumeric()).collect();
    let mut known = vec![email, local, domain, "nachfass", &name];
    known.extend(email.split(|character: char| !character.is_alphanumeric()).filter(|part| part.len() > 2));
    let entropy = zxcvbn(&judged, &known);
    if entropy.score() >= WORST {
        return None;
    }
    Some(message(entropy.feedback()))
}

fn message(feedback: Option<&Feedback>) -> String {
    let warning = feedback.and_then(Feedback::warning).map(|warning| warning.to_string());
    let suggestions = feedback.map(Feedback::suggestions).unwrap_or_default();
    let advice = suggestions.iter().map(ToString::to_string);
    let advice: Vec<String> = warning.into_iter().chain(advice).collect();
    let advice = if advice.is_empty() { "Add another word or two.".to_owned() } else { advice.join(" ") };
    format!("this password is too easy to guess. {advice}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accounts::Secret;

    const EMAIL: &str = "erika.muster@example.com";

    #[test]
    fn common_and_repetitive_passwords_are_refused_with_a_reason() {
        for password in [
            "password1234",
            "passwordpassword",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabc",
            "123456789012",
            "qwertyuiopasdf",
            "erika.muster@example.com",
            "erikamuster1234",
            "nachfass12345",
            "Password123!",
        ] {
            let message = weakness(password, EMAIL).unwrap_or_else(|| panic!("{password} is good enough"));
            assert!(message.starts_with("this password is too easy to guess. ") && message.ends_with('.'), "{message}");
        }
        assert!(weakness(&"xy".repeat(500), EMAIL).is_some());
    }

    #[test]
    fn sentences_and_random_passwords_pass() {
        for password in ["correct horse battery", "zwölf Boxkämpfer jagen Viktor", "kV7$pq2!mZr9"] {
            assert_eq!(weakness(password, EMAIL), None, "{password}");
        }
        for _ in 0..50 {
            assert_eq!(weakness(Secret::password().expose(), EMAIL), None);
        }
    }

    #[tokio::test]
    async fn the_length_is_limited_both_ways() {
        for password in ["elevenchars".to_owned(), "ü".repeat(11), "correct horse battery".repeat(100)] {
            assert!(require("password", &password, EMAIL).await.is_err());
        }
        require("password", "correct horse battery", EMAIL).await.expect("good enough");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_can_be_judged(password in "\\PC{12,90}", email in "\\PC{0,40}") {
            weakness(&password, &email);
        }
    }
}
