//! Addresses as users enter them: what is none is refused with the field that it was entered into.

use domain::email::{EmailAddress, InvalidEmail, MAX_LENGTH, address_of_mailbox};

use crate::error::{Refusal, RefusalCode};

/// How much of a text that is no address is repeated, in characters.
const SHOWN: usize = 60;

/// The address that somebody entered into this field.
///
/// # Errors
/// A refusal about the field that repeats the text, for whoever entered it.
pub fn read(text: &str, field: &[&str]) -> Result<EmailAddress, Refusal> {
    EmailAddress::parse(text).map_err(|error| refusal(error, text, field))
}

/// The address of a sender: alone, or with a name as in `Erika Muster <erika@example.com>`.
///
/// # Errors
/// As for [`read`].
pub fn read_sender(text: &str, field: &[&str]) -> Result<EmailAddress, Refusal> {
    EmailAddress::parse(address_of_mailbox(text)).map_err(|error| refusal(error, text, field))
}

fn refusal(error: InvalidEmail, text: &str, field: &[&str]) -> Refusal {
    let shown = || text.trim().chars().take(SHOWN).collect::<String>();
    let message = match error {
        InvalidEmail::Empty => "this is empty: enter an e-mail address".to_owned(),
        InvalidEmail::TooLong => {
            return Refusal::exceeds(field, "the address", (text.trim().len(), MAX_LENGTH, "bytes"), "shorten it");
        }
        InvalidEmail::Malformed => format!("`{}` is not an e-mail address: write it as name@example.com", shown()),
        InvalidEmail::Domain => format!("`{}` is not an e-mail address: its domain is not valid", shown()),
    };
    Refusal::field(RefusalCode::Invalid, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let refusal = read_sender(text, &["fromAddress"]).expect_err("refused");
        assert_eq!(refusal.field, ["fromAddress"]);
        refusal.message
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_do() {
        assert_eq!(message("notanaddress"), "`notanaddress` is not an e-mail address: write it as name@example.com");
        assert_eq!(message(" "), "this is empty: enter an e-mail address");
        assert_eq!(message("Erika <erika>"), "`Erika <erika>` is not an e-mail address: write it as name@example.com");
        let long = format!("{}@example.com", "a".repeat(300));
        assert_eq!(message(&long), "the address has 312 bytes, and at most 254 are allowed: shorten it");
    }

    #[test]
    fn a_sender_may_have_a_name() {
        for text in ["erika@example.com", "Erika Muster <erika@example.com>", "\"Muster, Erika\" <erika@example.com> "]
        {
            assert_eq!(
                read_sender(text, &[]).map(|address| address.as_str().to_owned()),
                Ok("erika@example.com".to_owned())
            );
        }
        assert!(read("Erika <erika@example.com>", &[]).is_err());
    }
}
