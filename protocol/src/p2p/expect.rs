//! Which messages fit where in a server's session.

use super::{Message, ParseError, Version};

/// What a server waits for; spec `p2p-protocol.md` §3 and §12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Any request.
    Request,
    /// UNLOCKCONTENT: a lock was granted.
    Unlock,
    /// DATA, or DATA-PRESENT: PUT-FROM was sent.
    PutData,
    /// VALID or INVALID: the data of a PUT has arrived.
    Validity,
    /// SUCCESS or FAILURE, in either form: the data of a GET was sent.
    Outcome,
}

/// What a server does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is one of those waited for.
    Fits,
    /// Answer ERROR with this text and forget the message. The session goes on, with a request next.
    ///
    /// After [`Expect::Unlock`] the lock is gone; after [`Expect::Validity`] the data counts as INVALID and the result
    /// of the PUT still follows.
    Refuse(&'static str),
    /// Forget the message without an answer and go on with a request.
    Ignore,
    /// End the session without an answer: the client reported an error.
    End,
}

impl Expect {
    /// Judges the next message, or the failure to parse it.
    pub fn judge(self, message: Result<&Message, &ParseError>, version: Version) -> Verdict {
        use Message as M;
        match (self, message) {
            (Self::Request, Err(_)) => Verdict::Refuse("unknown command"),
            (Self::Request, Ok(M::Error(_))) => Verdict::End,
            (Self::Request, Ok(request)) if is_request(request) => Verdict::Fits,
            (Self::Request, Ok(_)) => Verdict::Refuse("unexpected command"),

            (Self::Unlock, Ok(M::UnlockContent)) => Verdict::Fits,
            (Self::Unlock, _) => Verdict::Refuse("expected UNLOCKCONTENT"),

            (Self::PutData, Ok(M::Data(_))) => Verdict::Fits,
            (Self::PutData, Ok(M::DataPresent)) if version.has_data_present() => Verdict::Fits,
            (Self::PutData | Self::Outcome, Ok(M::Error(_))) => Verdict::Ignore,
            (Self::PutData, _) => Verdict::Refuse("expected DATA"),

            (Self::Validity, Ok(M::Valid | M::Invalid)) => Verdict::Fits,
            (Self::Validity, _) => Verdict::Refuse("expected VALID or INVALID"),

            (Self::Outcome, Ok(M::Success | M::SuccessPlus(_) | M::Failure | M::FailurePlus(_))) => Verdict::Fits,
            (Self::Outcome, _) => Verdict::Refuse("expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS"),
        }
    }
}

/// Tells whether a client that has been let in may start with this message.
fn is_request(message: &Message) -> bool {
    matches!(
        message,
        Message::Version(_)
            | Message::Bypass(_)
            | Message::CheckPresent(_)
            | Message::LockContent(_)
            | Message::GetTimestamp
            | Message::Remove(_)
            | Message::RemoveBefore { .. }
            | Message::Get { .. }
            | Message::Put { .. }
            | Message::Connect(_)
            | Message::NotifyChange
    )
}
