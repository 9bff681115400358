//! Everything that one side sends.

use super::{RemoteRequest, RemoteResponse, Request, Response, Text};
use crate::external::param::Param;
use crate::line::field;

/// What the host sends.
#[derive(Debug, Clone, PartialEq)]
pub enum HostMessage {
    /// Something to do.
    Request(Request),
    /// The answer to what the program asked.
    RemoteResponse(RemoteResponse),
    /// `ERROR text`: the program should exit.
    Error(Text),
}

/// What the program sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgramMessage {
    /// The answer to a request, or a part of it.
    Response(Response),
    /// A question or a remark to the host.
    RemoteRequest(RemoteRequest),
    /// `ERROR text`: the program is finished.
    Error(Text),
}

/// Why a line is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The command is unknown; a program answers UNSUPPORTED-REQUEST.
    #[error("unknown command")]
    UnknownCommand,
    /// The command is known, its parameters cannot be read.
    #[error("unable to parse command")]
    Malformed,
}

impl HostMessage {
    /// Parses a line of the host, given without its line feed and job prefix.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let (command, input) = split(line)?;
        None.or_else(|| Request::parse_params(command, input).map(|request| request.map(Self::Request)))
            .or_else(|| RemoteResponse::parse_params(command, input).map(|answer| answer.map(Self::RemoteResponse)))
            .or_else(|| error(command, input).map(|text| text.map(Self::Error)))
            .unwrap_or(Err(ParseError::UnknownCommand))
    }

    /// Appends the message with its line feed.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(request) => request.write_to(out),
            Self::RemoteResponse(response) => response.write_to(out),
            Self::Error(text) => write_error(text, out),
        }
    }
}

impl ProgramMessage {
    /// Parses a line of the program, given without its line feed and job prefix.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let (command, input) = split(line)?;
        None.or_else(|| Response::parse_params(command, input).map(|response| response.map(Self::Response)))
            .or_else(|| RemoteRequest::parse_params(command, input).map(|request| request.map(Self::RemoteRequest)))
            .or_else(|| error(command, input).map(|text| text.map(Self::Error)))
            .unwrap_or(Err(ParseError::UnknownCommand))
    }

    /// Appends the message with its line feed.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Response(response) => response.write_to(out),
            Self::RemoteRequest(request) => request.write_to(out),
            Self::Error(text) => write_error(text, out),
        }
    }
}

fn split(line: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    field(line).map(|(input, command)| (command, input)).map_err(|_| ParseError::Malformed)
}

fn error(command: &[u8], input: &[u8]) -> Option<Result<Text, ParseError>> {
    (command == b"ERROR").then(|| Text::parse(input).ok_or(ParseError::Malformed))
}

fn write_error(text: &Text, out: &mut Vec<u8>) {
    out.extend_from_slice(b"ERROR ");
    text.write_to(out);
    out.push(b'\n');
}
