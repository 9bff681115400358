//! Which messages fit where in a server's session.

use super::{Message, ParseError, Version};

/// What a server waits for; `docs/spec/p2p-protocol.md` §3 and §12.
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
        if message.is_ok_and(|message| self.fits(message, version)) {
            return Verdict::Fits;
        }
        match (self, message) {
            (Self::Request, Ok(Message::Error(_))) => Verdict::End,
            (Self::Request, Ok(_)) => Verdict::Refuse("unexpected command"),
            (Self::Request, Err(_)) => Verdict::Refuse("unknown command"),
            (Self::Unlock, _) => Verdict::Refuse("expected UNLOCKCONTENT"),
            (Self::PutData | Self::Outcome, Ok(Message::Error(_))) => Verdict::Ignore,
            (Self::PutData, _) => Verdict::Refuse("expected DATA"),
            (Self::Validity, _) => Verdict::Refuse("expected VALID or INVALID"),
            (Self::Outcome, _) => Verdict::Refuse("expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS"),
        }
    }

    fn fits(self, message: &Message, version: Version) -> bool {
        use Message as M;
        match self {
            Self::Request => is_request(message),
            Self::Unlock => *message == M::UnlockContent,
            Self::PutData => match message {
                M::Data(_) => true,
                M::DataPresent => version.has_data_present(),
                _ => false,
            },
            Self::Validity => matches!(message, M::Valid | M::Invalid),
            Self::Outcome => matches!(message, M::Success | M::SuccessPlus(_) | M::Failure | M::FailurePlus(_)),
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
