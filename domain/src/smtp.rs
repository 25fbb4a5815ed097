//! SMTP reply codes (RFC 5321) and enhanced status codes (RFC 3463): finding them in a server's words, and checking a
//! provider's verdict against them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::event::{BounceClass, EventKind};

/// An enhanced mail system status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 address, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

/// A text that is no enhanced status code.
#[derive(Debug, thiserror::Error)]
#[error("not an enhanced status code such as 5.1.1")]
pub struct InvalidEnhancedCode;

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for EnhancedCode {
    type Err = InvalidEnhancedCode;

    fn from_str(text: &str) -> Result<Self, InvalidEnhancedCode> {
        let number = |part: &str| (part.len() <= 3).then(|| part.parse::<u16>().ok()).flatten();
        let mut parts = text.trim().split('.');
        let (Some(class), Some(subject), Some(detail), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidEnhancedCode);
        };
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return Err(InvalidEnhancedCode),
        };
        match (number(subject), number(detail)) {
            (Some(subject), Some(detail)) => Ok(Self { class, subject, detail }),
            _ => Err(InvalidEnhancedCode),
        }
    }
}

impl Serialize for EnhancedCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The codes found in a server's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 200 to 599.
    pub code: Option<u16>,
    /// The enhanced status code.
    pub enhanced: Option<EnhancedCode>,
}

impl Reply {
    /// Finds the codes in a server's words, such as `smtp; 550-5.1.1 no such user` or `550 5.1.1 …`.
    ///
    /// The reply code must be the first number of the text, or follow `smtp;` or directly precede the enhanced code:
    /// a `550` further on may be anything.
    #[must_use]
    pub fn find(text: &str) -> Self {
        let trimmed = text.trim_start();
        let body = match trimmed.get(..5) {
            Some(prefix) if prefix.eq_ignore_ascii_case("smtp;") => trimmed.get(5..).unwrap_or_default().trim_start(),
            _ => trimmed,
        };
        let mut reply = Self::default();
        let mut previous_code = None;
        let words = body.split(|c: char| {
            c.is_whitespace() || matches!(c, '-' | '(' | ')' | '[' | ']' | ',' | ':' | ';' | '#' | '"')
        });
        for (position, word) in words.filter(|word| !word.is_empty()).enumerate() {
            let code = word.parse::<u16>().ok().filter(|code| word.len() == 3 && (200..600).contains(code));
            if position == 0 {
                reply.code = code;
            }
            if let Ok(enhanced) = word.trim_end_matches('.').parse::<EnhancedCode>() {
                reply.enhanced = Some(enhanced);
                reply.code = reply.code.or(previous_code);
                break;
            }
            previous_code = code;
        }
        reply
    }

    /// What stands in fields of their own, completed from the server's words.
    #[must_use]
    pub fn complete(code: Option<u16>, enhanced: Option<EnhancedCode>, text: Option<&str>) -> Self {
        let found = text.map(Self::find).unwrap_or_default();
        let code = code.filter(|code| (200..600).contains(code));
        Self { code: code.or(found.code), enhanced: enhanced.or(found.enhanced) }
    }
}

/// What the codes alone say: a kind and a class, or a class only where the kind stays the provider's.
fn said_by(reply: Reply) -> (Option<EventKind>, Option<BounceClass>) {
    use BounceClass::{Block, Content, Dns, Hard, MailboxFull, Soft};
    use EventKind::{Blocked, HardBounce, SoftBounce};
    if let Some(code) = reply.enhanced {
        return match (code.class, code.subject, code.detail) {
            (2, ..) => (None, None),
            // Errors in the sender's address, not in the recipient's.
            (5, 1, 7 | 8) => (Some(Blocked), Some(Block)),
            (5, 1, _) | (5, 2, 1) => (Some(HardBounce), Some(Hard)),
            (5, 2, 2) => (Some(SoftBounce), Some(MailboxFull)),
            (5, 2, 3) | (5, 3, 4) | (5, 6, _) => (Some(Blocked), Some(Content)),
            (5, 7, _) => (Some(Blocked), Some(Block)),
            (5, 4, _) => (None, Some(Dns)),
            (4, 2, 2) => (Some(SoftBounce), Some(MailboxFull)),
            (4, 2, 3) | (4, 3, 4) | (4, 6, _) => (Some(SoftBounce), Some(Content)),
            (4, 4, _) => (Some(SoftBounce), Some(Dns)),
            (4, 7, _) => (Some(SoftBounce), Some(Block)),
            (4, ..) => (Some(SoftBounce), Some(Soft)),
            _ => (None, None),
        };
    }
    match reply.code {
        Some(452 | 552) => (Some(SoftBounce), Some(MailboxFull)),
        Some(code) if (400..500).contains(&code) => (Some(SoftBounce), Some(Soft)),
        _ => (None, None),
    }
}

/// Checks what a provider reports against the SMTP status, and completes the class.
///
/// Rules (RFC 3463 and experience with what providers report): 5.1.x and 5.2.1 are hard, 5.2.2 is a full mailbox and soft,
/// 5.7.x and 5.6.x are the sender's or the message's fault, 4.x.x never is hard. A deferral stays one while the status is
/// transient; with a permanent status it is what the status says. A refusal that the provider blames on the sender
/// ([`EventKind::Blocked`]) stays one: it never harms the recipient. All other kinds are not about delivery and stay.
#[must_use]
pub fn reconcile(kind: EventKind, class: Option<BounceClass>, reply: Reply) -> (EventKind, Option<BounceClass>) {
    let default_class = match kind {
        EventKind::HardBounce => BounceClass::Hard,
        EventKind::SoftBounce | EventKind::Deferred => BounceClass::Soft,
        EventKind::Blocked => BounceClass::Block,
        EventKind::AutoReply => return (kind, Some(BounceClass::AutoReply)),
        EventKind::Rejected | EventKind::Failed => return (kind, class),
        _ => return (kind, None),
    };
    let (said_kind, said_class) = said_by(reply);
    let vague = |class: &BounceClass| matches!(class, BounceClass::Hard | BounceClass::Soft | BounceClass::Unknown);
    let own_class = class.filter(|class| !vague(class));
    match (kind, said_kind) {
        (EventKind::Blocked, _) => {
            let said = said_class.filter(|class| matches!(class, BounceClass::Block | BounceClass::Content));
            (kind, own_class.or(said).or(Some(default_class)))
        }
        (EventKind::Deferred, Some(EventKind::SoftBounce)) => (kind, said_class),
        (_, Some(said)) => (said, said_class),
        (_, None) => (kind, own_class.or(said_class).or(class).or(Some(default_class))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<EnhancedCode> {
        text.parse().ok()
    }

    #[test]
    fn codes_are_found_where_servers_write_them() {
        let cases = [
            ("smtp; 550 5.1.1 The email account does not exist", Some(550), code("5.1.1")),
            ("smtp;550 5.1.1 user unknown", Some(550), code("5.1.1")),
            ("550-5.1.1 no such user\n550 5.1.1 try again", Some(550), code("5.1.1")),
            ("550 #5.1.0 Address rejected.", Some(550), code("5.1.0")),
            ("421 Temporarily deferred", Some(421), None),
            ("Mailbox full (#5.2.2)", None, code("5.2.2")),
            ("host mx.example.com[10.5.1.1] said: 554 5.7.1 blocked", Some(554), code("5.7.1")),
            ("connected to 5.1.1.7, waited 300 s", None, None),
            ("user unknown", None, None),
            ("", None, None),
        ];
        for (text, smtp, enhanced) in cases {
            assert_eq!(Reply::find(text), Reply { code: smtp, enhanced }, "{text}");
        }
    }

    #[test]
    fn a_status_outweighs_a_providers_word() {
        use BounceClass as C;
        use EventKind as K;
        let cases = [
            (K::HardBounce, "550 5.1.1 unknown", K::HardBounce, Some(C::Hard)),
            (K::SoftBounce, "550 5.1.1 unknown", K::HardBounce, Some(C::Hard)),
            (K::Deferred, "550 5.1.1 unknown", K::HardBounce, Some(C::Hard)),
            (K::Deferred, "451 4.7.1 greylisted", K::Deferred, Some(C::Block)),
            (K::HardBounce, "552 5.2.2 full", K::SoftBounce, Some(C::MailboxFull)),
            (K::HardBounce, "421 4.3.0 busy", K::SoftBounce, Some(C::Soft)),
            (K::HardBounce, "554 5.7.1 spam", K::Blocked, Some(C::Block)),
            (K::Blocked, "550 5.1.1 unknown", K::Blocked, Some(C::Block)),
            (K::HardBounce, "no reason given", K::HardBounce, Some(C::Hard)),
            (K::SoftBounce, "", K::SoftBounce, Some(C::Soft)),
            (K::Delivered, "250 2.0.0 ok", K::Delivered, None),
            (K::AutoReply, "550 5.1.1", K::AutoReply, Some(C::AutoReply)),
        ];
        for (kind, text, want_kind, want_class) in cases {
            assert_eq!(reconcile(kind, None, Reply::find(text)), (want_kind, want_class), "{kind} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,80}") {
            let _reply = Reply::find(&text);
        }

        #[test]
        fn a_transient_status_never_makes_a_hard_bounce(kind in 0..EventKind::ALL.len(), subject in 0_u16..8, detail in 0_u16..20) {
            let reply = Reply { code: None, enhanced: Some(EnhancedCode { class: 4, subject, detail }) };
            let (kind, _) = reconcile(EventKind::ALL[kind], None, reply);
            prop_assert_ne!(kind, EventKind::HardBounce);
        }

        #[test]
        fn reconciling_twice_changes_nothing_more(kind in 0..EventKind::ALL.len(), class in 2_u8..6, subject in 0_u16..8, detail in 0_u16..20) {
            let reply = Reply { code: None, enhanced: Some(EnhancedCode { class, subject, detail }) };
            let once = reconcile(EventKind::ALL[kind], None, reply);
            prop_assert_eq!(reconcile(once.0, once.1, reply), once);
        }
    }
}
