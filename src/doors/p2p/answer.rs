//! What came of a request as a line of the protocol.
//!
//! The protocol has two words for what did not work, whatever kind of error it is: ERROR, whose text clients show to their
//! users, and FAILURE, which is the only one that they understand after content. What FAILURE cannot say is told to the
//! client's user beside the conversation, where the door can do that.

use annex_gateway::gateway::{GatewayError, HasKind, joined};
use annex_protocol::p2p::{Message, Version};
use annex_protocol::uuid::Uuid;

/// The answer to a request that failed, where an ERROR is understood: the error's text in one line.
pub(super) fn failed(error: &impl HasKind) -> Message {
    Message::error(error.to_string().replace(['\n', '\r'], " "))
}

/// The answer to a question.
pub(super) fn yes_or_no(answer: Result<bool, GatewayError>) -> Message {
    match answer {
        Ok(true) => Message::Success,
        Ok(false) => Message::Failure,
        Err(error) => failed(&error),
    }
}

/// The answer after content was stored, also on these nodes besides the one that was asked for.
pub(super) fn stored(others: Vec<Uuid>) -> Message {
    if others.is_empty() { Message::Success } else { Message::SuccessPlus(others) }
}

/// The answer where content is already that was to be stored, also on these nodes besides the one that was asked for.
pub(super) fn already_have(others: Vec<Uuid>) -> Message {
    if others.is_empty() { Message::AlreadyHave } else { Message::AlreadyHavePlus(others) }
}

/// The answer to a removal that also removed the content from `others`, and failed for these reasons if there are any.
pub(super) fn removed(others: Vec<Uuid>, failures: &[GatewayError], version: Version) -> Message {
    match (failures, others.is_empty()) {
        ([], true) => Message::Success,
        ([], false) => Message::SuccessPlus(others),
        (_, false) if version.has_plus() => Message::FailurePlus(others),
        // The client shows the text of an ERROR to its user, but would not know what is gone from a plain one.
        (failures, _) => Message::error(joined(failures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid() -> Uuid {
        Uuid::parse(b"59a5eba9-ef36-4fc5-b11d-effc1bd2effc").unwrap()
    }

    fn locked() -> GatewayError {
        GatewayError::Locked { node: "a".to_owned() }
    }

    #[test]
    fn an_error_is_one_line() {
        let error = GatewayError::NoSuchNode("two\nlines".to_owned());
        assert_eq!(failed(&error), Message::error("this repository has no node two lines"));
    }

    #[test]
    fn a_removal_that_failed_tells_what_is_gone_or_else_why() {
        let why = Message::error("node a: the content is locked against removal");
        let (old, new) = (Version::negotiate(1), Version::negotiate(2));
        assert_eq!(removed(Vec::new(), &[locked()], new), why);
        assert_eq!(removed(vec![uuid()], &[locked()], old), why, "it could not be told what is gone");
        assert_eq!(removed(vec![uuid()], &[locked()], new), Message::FailurePlus(vec![uuid()]));
        assert_eq!(removed(vec![uuid()], &[], new), Message::SuccessPlus(vec![uuid()]));
        assert_eq!(removed(Vec::new(), &[], new), Message::Success);
    }
}
