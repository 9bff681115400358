//! The external special remote protocol.

use annex_protocol::external::{
    Availability, Cost, Direction, Extension, Extensions, Fit, HostMessage, Job, ParseError, ProgramMessage,
    RemoteRequest, RemoteResponse, Request, Response, Text, UrlContent, WireKey, Word,
};
use annex_protocol::key::Key;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy;

fn host(line: &[u8]) -> Result<HostMessage, ParseError> {
    HostMessage::parse(line)
}

fn program(line: &[u8]) -> Result<ProgramMessage, ParseError> {
    ProgramMessage::parse(line)
}

/// Parses a line of either side and writes it again.
fn rewritten(arrow: &[u8], line: &[u8]) -> Result<Vec<u8>, ParseError> {
    let mut out = Vec::new();
    let message = match Job::parse(line) {
        Some((job, message)) => {
            job.write_to(&mut out);
            message
        }
        None => line,
    };
    match arrow {
        b"<-- " => host(message)?.write_to(&mut out),
        _ => program(message)?.write_to(&mut out),
    }
    Ok(out)
}

#[test]
fn recorded_lines_are_written_as_they_were_read() {
    let lines = include_bytes!("../vectors/external-lines.txt");
    let mut count = 0;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let (arrow, line) = line.split_at(4);
        let text = line.strip_suffix(b"\n").unwrap();
        assert_eq!(rewritten(arrow, text).as_deref(), Ok(line), "{}", text.escape_ascii());
        count += 1;
    }
    assert_eq!(count, 275);
}

#[test]
fn recorded_answers_fit_their_requests() {
    let lines = include_bytes!("../vectors/external-conversations.txt");
    let (mut current, mut ended, mut open) = (None::<Request>, 0, None::<RemoteRequest>);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let context = line.escape_ascii();
        if line == b"###" {
            (current, open) = (None, None);
        } else if let Some(text) = line.strip_prefix(b"<-- ") {
            match host(text).unwrap() {
                HostMessage::Request(request) => {
                    assert_eq!(current, None, "{context}");
                    current = Some(request).filter(Request::is_answered);
                }
                HostMessage::RemoteResponse(_) => assert!(open.take().unwrap().is_answered(), "{context}"),
                HostMessage::Error(_) => panic!("{context}"),
            }
        } else {
            match program(&line[4..]).unwrap() {
                ProgramMessage::Response(response) => match current.as_ref().unwrap().fit(&response) {
                    Fit::Ends => {
                        current = None;
                        ended += 1;
                    }
                    Fit::Continues => {}
                    Fit::Wrong => panic!("{context}"),
                },
                ProgramMessage::RemoteRequest(request) => open = Some(request).filter(RemoteRequest::is_answered),
                ProgramMessage::Error(_) => panic!("{context}"),
            }
        }
    }
    assert!(ended > 200, "{ended}");
}

#[test]
fn answers_to_something_else_are_wrong() {
    let request = |line: &str| match host(line.as_bytes()) {
        Ok(HostMessage::Request(request)) => request,
        other => panic!("{other:?}"),
    };
    let response = |line: &str| match program(line.as_bytes()) {
        Ok(ProgramMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    };
    for (asked, answered, fit) in [
        ("TRANSFER STORE MD5--a f", "TRANSFER-SUCCESS STORE MD5--a", Fit::Ends),
        ("TRANSFER STORE MD5--a f", "TRANSFER-SUCCESS RETRIEVE MD5--a", Fit::Wrong),
        ("TRANSFER STORE MD5--a f", "TRANSFER-SUCCESS STORE MD5--b", Fit::Wrong),
        ("TRANSFER STORE MD5-s1--a f", "TRANSFER-SUCCESS STORE MD5-s01--a", Fit::Wrong),
        ("TRANSFER STORE MD5--a f", "TRANSFER-RETRIEVE-URL MD5--a http://x/", Fit::Wrong),
        ("TRANSFER RETRIEVE MD5--a f", "TRANSFER-RETRIEVE-URL MD5--a http://x/", Fit::Ends),
        ("TRANSFER STORE MD5--a f", "CHECKPRESENT-SUCCESS MD5--a", Fit::Wrong),
        ("TRANSFER STORE MD5--a f", "DELEGATE type=directory", Fit::Ends),
        ("CHECKPRESENTEXPORT MD5--a", "CHECKPRESENT-FAILURE MD5--a", Fit::Ends),
        ("REMOVE MD5--a", "REMOVE-SUCCESS MD5--b", Fit::Wrong),
        ("RENAMEEXPORT MD5--a n", "RENAMEEXPORT-FAILURE MD5--a", Fit::Ends),
        ("LISTCONFIGS", "CONFIG a b", Fit::Continues),
        ("LISTCONFIGS", "CONFIGEND", Fit::Ends),
        ("GETINFO", "CONFIGEND", Fit::Wrong),
        ("PREPARE", "UNSUPPORTED-REQUEST", Fit::Ends),
        ("PREPARE", "PREPARE-FAILURE no", Fit::Ends),
        ("PREPARE", "INITREMOTE-SUCCESS", Fit::Wrong),
        ("EXPORT name", "UNSUPPORTED-REQUEST", Fit::Wrong),
    ] {
        assert_eq!(request(asked).fit(&response(answered)), fit, "{asked} / {answered}");
    }
}

#[test]
fn unknown_and_malformed_lines_are_told_apart() {
    assert_eq!(host(b"FROBNICATE x"), Err(ParseError::UnknownCommand));
    assert_eq!(host(b""), Err(ParseError::UnknownCommand));
    assert_eq!(host(b"PREPARE x"), Err(ParseError::Malformed));
    assert_eq!(host(b"TRANSFER SIDEWAYS MD5--a f"), Err(ParseError::Malformed));
    assert_eq!(host(b"CHECKPRESENT "), Err(ParseError::Malformed));
    assert_eq!(program(b"PREPARE-SUCCESS x"), Err(ParseError::Malformed));
    assert_eq!(program(b"PROGRESS -1"), Err(ParseError::Malformed));
    assert_eq!(program(b"COST inf"), Err(ParseError::Malformed));
    // The other side's words.
    assert_eq!(host(b"PREPARE-SUCCESS"), Err(ParseError::UnknownCommand));
    assert_eq!(program(b"PREPARE"), Err(ParseError::UnknownCommand));
}

#[test]
fn the_last_parameter_takes_the_rest_of_the_line() {
    let text = |bytes: &str| Text::new(bytes).unwrap();
    let Ok(HostMessage::Request(Request::Transfer { direction, key, file })) =
        host(b"TRANSFER STORE MD5-s01--a  two words ")
    else {
        panic!()
    };
    assert_eq!((direction, file), (Direction::Store, text(" two words ")));
    assert_eq!(key.as_bytes(), b"MD5-s01--a");
    assert_eq!(key.key().unwrap().as_bytes(), b"MD5-s1--a");
    let none = RemoteResponse::Creds { user: Word::default(), password: Text::default() };
    assert_eq!(host(b"CREDS  "), Ok(HostMessage::RemoteResponse(none.clone())));
    let mut out = Vec::new();
    none.write_to(&mut out);
    assert_eq!(out, b"CREDS  \n");
}

#[test]
fn parameters_cannot_break_a_line() {
    assert_eq!(Word::new("a b"), None);
    assert_eq!(Text::new("a\nb"), None);
    assert_eq!(Text::of_message("a\nb").as_bytes(), b"a b");
    assert_eq!(WireKey::new(&Key::parse(b"WORM--a b").unwrap()), None);
    assert!(WireKey::new(&Key::parse(b"WORM--a,32b").unwrap()).is_some());
}

#[test]
fn extensions_are_negotiated_to_what_was_offered() {
    let Ok(HostMessage::Request(Request::Extensions { list: offered })) = host(b"EXTENSIONS INFO ASYNC NEWER") else {
        panic!()
    };
    assert!(offered.contains(Extension::Async) && !offered.contains(Extension::Delegate));
    let reply = Extensions::negotiate(&offered, &[Extension::Delegate, Extension::Info]);
    assert_eq!(reply, [Extension::Info].into_iter().collect());
    assert_eq!(reply.not_in(&offered).count(), 0);
    let Ok(ProgramMessage::Response(Response::Extensions { list })) = program(b"EXTENSIONS INFO FROBNICATE") else {
        panic!()
    };
    assert_eq!(list.not_in(&offered).collect::<Vec<_>>(), [b"FROBNICATE"]);
    let mut out = Vec::new();
    Response::Extensions { list: Extensions::default() }.write_to(&mut out);
    assert_eq!(out, b"EXTENSIONS \n");
}

#[test]
fn jobs_stand_before_the_message() {
    assert_eq!(Job::parse(b"J 12 VALUE  x"), Some((Job(12), &b"VALUE  x"[..])));
    assert_eq!(Job::parse(b"J 1 PREPARE"), Some((Job(1), &b"PREPARE"[..])));
    for line in ["VALUE x", "J", "J x PREPARE", "J  1 PREPARE", "JOB 1 PREPARE", "J -1 PREPARE"] {
        assert_eq!(Job::parse(line.as_bytes()), None, "{line}");
    }
}

fn wire_key() -> impl Strategy<Value = WireKey> {
    strategy::key().prop_filter_map("white space", |key| WireKey::new(&key))
}

fn word() -> impl Strategy<Value = Word> {
    strategy::word().prop_filter_map("white space", Word::new)
}

fn full_word() -> impl Strategy<Value = Word> {
    word().prop_filter("empty", |word| !word.as_bytes().is_empty())
}

fn text() -> impl Strategy<Value = Text> {
    vec(any::<u8>(), 0..30).prop_map(Text::of_message)
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Store), Just(Direction::Retrieve)]
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let known = [
        Extension::Info,
        Extension::GetGitRemoteName,
        Extension::UnavailableResponse,
        Extension::TransferRetrieveUrl,
        Extension::CheckPresentUrl,
        Extension::ImportKey,
        Extension::Delegate,
        Extension::Async,
    ];
    proptest::sample::subsequence(known.to_vec(), 0..=known.len()).prop_map(|list| list.into_iter().collect())
}

fn request() -> impl Strategy<Value = Request> {
    use Request as R;
    prop_oneof![
        extensions().prop_map(|list| R::Extensions { list }),
        prop_oneof![Just(R::ListConfigs), Just(R::InitRemote), Just(R::Prepare), Just(R::GetCost)],
        prop_oneof![Just(R::GetAvailability), Just(R::GetOrdered), Just(R::GetInfo), Just(R::ExportSupported)],
        prop_oneof![Just(R::ImportSupported), Just(R::ListImportableContents)],
        (direction(), wire_key(), text()).prop_map(|(direction, key, file)| R::Transfer { direction, key, file }),
        (direction(), wire_key(), text()).prop_map(|(direction, key, file)| R::TransferExport { direction, key, file }),
        wire_key().prop_map(|key| R::CheckPresent { key }),
        wire_key().prop_map(|key| R::Remove { key }),
        wire_key().prop_map(|key| R::WhereIs { key }),
        wire_key().prop_map(|key| R::CheckPresentExport { key }),
        wire_key().prop_map(|key| R::RemoveExport { key }),
        wire_key().prop_map(|key| R::CheckPresentImport { key }),
        text().prop_map(|url| R::ClaimUrl { url }),
        text().prop_map(|url| R::CheckUrl { url }),
        text().prop_map(|name| R::Export { name }),
        text().prop_map(|name| R::Import { name }),
        text().prop_map(|dir| R::RemoveExportDirectory { dir }),
        text().prop_map(|file| R::RetrieveImport { file }),
        (wire_key(), text()).prop_map(|(key, new_name)| R::RenameExport { key, new_name }),
        (any::<u64>(), text()).prop_map(|(size, cid)| R::ImportKey { size, cid }),
    ]
}

fn remote_response() -> impl Strategy<Value = RemoteResponse> {
    use RemoteResponse as R;
    prop_oneof![
        text().prop_map(|text| R::Value { text }),
        (word(), text()).prop_map(|(user, password)| R::Creds { user, password }),
        text().prop_map(|file| R::DownloadUrlSuccess { file }),
        text().prop_map(|message| R::DownloadUrlFailure { message }),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    use Response as R;
    let contents =
        (full_word(), any::<Option<u64>>(), full_word()).prop_map(|(url, size, file)| UrlContent { url, size, file });
    let availability =
        prop_oneof![Just(Availability::Global), Just(Availability::Local), Just(Availability::Unavailable)];
    prop_oneof![
        extensions().prop_map(|list| R::Extensions { list }),
        prop_oneof![Just(R::UnsupportedRequest), Just(R::ConfigEnd), Just(R::InfoEnd), Just(R::ImportKeySkip)],
        prop_oneof![Just(R::Ordered), Just(R::Unordered), Just(R::ClaimUrlSuccess), Just(R::WhereIsFailure)],
        (word(), text()).prop_map(|(name, description)| R::Config { name, description }),
        (direction(), wire_key()).prop_map(|(direction, key)| R::TransferSuccess { direction, key }),
        (direction(), wire_key(), text()).prop_map(|(direction, key, message)| R::TransferFailure {
            direction,
            key,
            message
        }),
        (wire_key(), text()).prop_map(|(key, url)| R::TransferRetrieveUrl { key, url }),
        (wire_key(), text()).prop_map(|(key, message)| R::CheckPresentUnknown { key, message }),
        wire_key().prop_map(|key| R::CheckPresentFailure { key }),
        (0f64..1e6).prop_filter_map("no cost", |cost| Some(R::Cost { cost: Cost::new(cost)? })),
        availability.prop_map(|availability| R::Availability { availability }),
        (any::<Option<u64>>(), text()).prop_map(|(size, file)| R::CheckUrlContents { size, file }),
        vec(contents, 0..4).prop_map(|contents| R::CheckUrlMulti { contents }),
        text().prop_map(|name| R::InfoField { name }),
        (any::<u64>(), text()).prop_map(|(size, name)| R::ImportableContent { size, name }),
        text().prop_map(|settings| R::Delegate { settings }),
    ]
}

fn remote_request() -> impl Strategy<Value = RemoteRequest> {
    use RemoteRequest as R;
    prop_oneof![
        any::<u64>().prop_map(|number| R::Version { number }),
        any::<u64>().prop_map(|bytes| R::Progress { bytes }),
        wire_key().prop_map(|key| R::DirHash { key }),
        (word(), text()).prop_map(|(name, value)| R::SetConfig { name, value }),
        text().prop_map(|name| R::GetConfig { name }),
        (word(), word(), text()).prop_map(|(name, user, password)| R::SetCreds { name, user, password }),
        prop_oneof![Just(R::GetUuid), Just(R::GetGitDir), Just(R::GetGitRemoteName), Just(R::GetWanted)],
        text().prop_map(|expression| R::SetWanted { expression }),
        (wire_key(), text()).prop_map(|(key, value)| R::SetState { key, value }),
        (wire_key(), text()).prop_map(|(key, prefix)| R::GetUrls { key, prefix }),
        text().prop_map(|text| R::Debug { text }),
        text().prop_map(|url| R::DownloadUrl { url }),
    ]
}

fn host_message() -> impl Strategy<Value = HostMessage> {
    prop_oneof![
        6 => request().prop_map(HostMessage::Request),
        2 => remote_response().prop_map(HostMessage::RemoteResponse),
        1 => text().prop_map(HostMessage::Error),
    ]
}

fn program_message() -> impl Strategy<Value = ProgramMessage> {
    prop_oneof![
        4 => response().prop_map(ProgramMessage::Response),
        4 => remote_request().prop_map(ProgramMessage::RemoteRequest),
        1 => text().prop_map(ProgramMessage::Error),
    ]
}

proptest! {
    #[test]
    fn what_the_host_writes_the_program_reads(message in host_message(), number in any::<u64>()) {
        let mut out = Vec::new();
        Job(number).write_to(&mut out);
        message.write_to(&mut out);
        let line = out.strip_suffix(b"\n").unwrap();
        prop_assert!(!line.contains(&b'\n'));
        let (job, line) = Job::parse(line).unwrap();
        prop_assert_eq!(job, Job(number));
        prop_assert_eq!(host(line), Ok(message));
    }

    #[test]
    fn what_the_program_writes_the_host_reads(message in program_message()) {
        let mut out = Vec::new();
        message.write_to(&mut out);
        let line = out.strip_suffix(b"\n").unwrap();
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(Job::parse(line), None);
        prop_assert_eq!(program(line), Ok(message));
    }
}
