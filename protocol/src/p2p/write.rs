//! A message to a line.

use super::Message;

impl Message {
    /// Appends the message with its line feed.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut line = Line { out };
        match self {
            Self::Auth { uuid, token } => line.start("AUTH").field(uuid.as_bytes()).field(token),
            Self::AuthSuccess(uuid) => line.start("AUTH-SUCCESS").field(uuid.as_bytes()),
            Self::AuthFailure => line.start("AUTH-FAILURE"),
            Self::Version(number) => line.start("VERSION").number(*number),
            Self::Bypass(uuids) => line.start("BYPASS").fields(uuids.iter().map(|uuid| uuid.as_bytes())),
            Self::CheckPresent(key) => line.start("CHECKPRESENT").field(key.as_bytes()),
            Self::LockContent(key) => line.start("LOCKCONTENT").field(key.as_bytes()),
            Self::UnlockContent => line.start("UNLOCKCONTENT"),
            Self::GetTimestamp => line.start("GETTIMESTAMP"),
            Self::Timestamp(seconds) => line.start("TIMESTAMP").number(*seconds),
            Self::Remove(key) => line.start("REMOVE").field(key.as_bytes()),
            Self::RemoveBefore { deadline, key } => line.start("REMOVE-BEFORE").number(*deadline).field(key.as_bytes()),
            Self::Get { offset, file, key } => {
                line.start("GET").number(*offset).field(file.as_bytes()).field(key.as_bytes())
            }
            Self::Put { file, key } => line.start("PUT").field(file.as_bytes()).field(key.as_bytes()),
            Self::PutFrom(offset) => line.start("PUT-FROM").number(*offset),
            Self::AlreadyHave => line.start("ALREADY-HAVE"),
            Self::AlreadyHavePlus(uuids) => {
                line.start("ALREADY-HAVE-PLUS").fields(uuids.iter().map(|uuid| uuid.as_bytes()))
            }
            Self::Data(length) => line.start("DATA").number(*length),
            Self::DataPresent => line.start("DATA-PRESENT"),
            Self::Valid => line.start("VALID"),
            Self::Invalid => line.start("INVALID"),
            Self::Success => line.start("SUCCESS"),
            Self::SuccessPlus(uuids) => line.start("SUCCESS-PLUS").fields(uuids.iter().map(|uuid| uuid.as_bytes())),
            Self::Failure => line.start("FAILURE"),
            Self::FailurePlus(uuids) => line.start("FAILURE-PLUS").fields(uuids.iter().map(|uuid| uuid.as_bytes())),
            Self::Connect(service) => line.start("CONNECT").field(service.as_str().as_bytes()),
            Self::ConnectDone(code) => line.start("CONNECTDONE").number(u64::from(*code)),
            Self::NotifyChange => line.start("NOTIFYCHANGE"),
            Self::Changed(ids) => line.start("CHANGED").fields(ids.iter().map(Vec::as_slice)),
            Self::Error(text) => line.start("ERROR").field(text),
        };
        out.push(b'\n');
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn start(&mut self, command: &str) -> &mut Self {
        self.out.extend_from_slice(command.as_bytes());
        self
    }

    fn field(&mut self, text: &[u8]) -> &mut Self {
        self.out.push(b' ');
        self.out.extend(text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        self
    }

    fn fields<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) -> &mut Self {
        for text in fields {
            self.field(text);
        }
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.field(number.to_string().as_bytes())
    }
}
