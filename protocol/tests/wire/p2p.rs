//! The P2P protocol.

use annex_protocol::p2p::{
    AssociatedFile, Decoder, Event, Expect, MAX_LINE, Message, Mode, ParseError, Service, Verdict, Version,
};
use annex_protocol::uuid::Uuid;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy::{key, text, uuid, word};

const KEY: &str = "SHA256E-s6--5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt";

fn parse(line: &str) -> Result<Message, ParseError> {
    Message::parse(line.as_bytes())
}

fn written(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.write_to(&mut out);
    out
}

#[test]
fn recorded_lines_are_written_as_they_were_read() {
    let lines = include_bytes!("../vectors/p2p-lines.txt");
    let mut count = 0;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap();
        let message = Message::parse(text).unwrap_or_else(|_| panic!("{}", text.escape_ascii()));
        assert_eq!(written(&message), line, "{}", text.escape_ascii());
        count += 1;
    }
    assert_eq!(count, 154);
}

/// git-annex 10.20261026 answered each of these with `ERROR unknown command`.
#[test]
fn lines_that_git_annex_refuses() {
    let lines = [
        "HELLO".into(),
        String::new(),
        "CHECKPRESENT".into(),
        "CHECKPRESENT notakey".into(),
        "UNLOCKCONTENT foo".into(),
        "GETTIMESTAMP  ".into(),
        format!("GET 0 /abs/path {KEY}"),
        format!("GET +0  {KEY}"),
        "GET 0 a b".into(),
        "CONNECT git-foo".into(),
        "VERSION".into(),
        "VERSION x".into(),
    ];
    for line in lines {
        assert_eq!(parse(&line), Err(ParseError), "{line}");
    }
    assert_eq!(ParseError.to_string(), "unknown command");
}

/// git-annex 10.20261026 understood each of these.
#[test]
fn odd_lines_that_git_annex_accepts() {
    let check = parse(&format!("CHECKPRESENT {KEY}"));
    assert!(check.is_ok());
    assert_eq!(parse(&format!("CHECKPRESENT\t{KEY}")), check);
    assert_eq!(parse(&format!("CHECKPRESENT {KEY}\r")), check);
    assert_eq!(parse("GETTIMESTAMP "), Ok(Message::GetTimestamp));
    let uuids = [b"a", b"b"].map(|text| Uuid::parse(text).unwrap());
    assert_eq!(parse("BYPASS   a  b "), Ok(Message::Bypass(uuids.to_vec())));
    assert_eq!(parse("SUCCESS-PLUS"), Ok(Message::SuccessPlus(Vec::new())));
    assert_eq!(parse("CHANGED"), Ok(Message::Changed(Vec::new())));
    assert_eq!(parse("ERROR"), Ok(Message::Error(Vec::new())));
    assert_eq!(parse("VERSION 99999999999999999999999999"), Ok(Message::Version(u64::MAX)));
}

#[test]
fn the_last_field_takes_the_rest_of_the_line() {
    let Ok(Message::Get { offset: 7, file, key }) = parse("GET 7  WORM--a b  c") else { panic!() };
    assert!(file.is_none());
    assert_eq!(key.as_bytes(), b"WORM--a b  c");
    assert_eq!(parse("ERROR  two  spaces "), Ok(Message::error(" two  spaces ")));
}

#[test]
fn older_peers_get_what_they_understand() {
    let uuids = vec![Uuid::parse(b"u").unwrap()];
    for (new, old) in [
        (Message::SuccessPlus(uuids.clone()), Message::Success),
        (Message::FailurePlus(uuids.clone()), Message::Failure),
        (Message::AlreadyHavePlus(uuids), Message::AlreadyHave),
    ] {
        assert_eq!(new.clone().for_version(Version::V1), old);
        assert_eq!(new.clone().for_version(Version::V2), new);
    }
    let before = parse(&format!("REMOVE-BEFORE 9 {KEY}")).unwrap();
    assert_eq!(before.clone().for_version(Version::V2), parse(&format!("REMOVE {KEY}")).unwrap());
    assert_eq!(before.clone().for_version(Version::V3), before);
}

#[test]
fn versions_meet_at_the_lower_one() {
    for (offered, agreed) in [(0, Version::V0), (3, Version::V3), (4, Version::V4), (9, Version::V4)] {
        assert_eq!(Version::negotiate(offered), agreed);
        assert_eq!(agreed.number(), offered.min(4));
    }
}

/// Texts recorded from git-annex 10.20261026.
#[test]
fn modes_refuse_with_the_words_of_git_annex() {
    let read_only = Some("this repository is read-only; write access denied");
    let append_only = Some("this repository is append-only; removal denied");
    let refusals = |line: &str| {
        let message = parse(line).unwrap();
        [Mode::ReadWrite, Mode::AppendOnly, Mode::ReadOnly].map(|mode| mode.refusal(&message))
    };
    assert_eq!(refusals(&format!("PUT  {KEY}")), [None, None, read_only]);
    assert_eq!(refusals(&format!("REMOVE {KEY}")), [None, append_only, read_only]);
    assert_eq!(refusals(&format!("REMOVE-BEFORE 9 {KEY}")), [None, append_only, read_only]);
    assert_eq!(refusals("CONNECT git-receive-pack"), [None, read_only, read_only]);
    assert_eq!(refusals("CONNECT git-upload-pack"), [None; 3]);
    assert_eq!(refusals(&format!("LOCKCONTENT {KEY}")), [None; 3]);
}

/// Texts recorded from git-annex 10.20261026.
#[test]
fn messages_out_of_place_get_the_words_of_git_annex() {
    let judge = |expect: Expect, line: &str, version| expect.judge(parse(line).as_ref(), version);
    let v4 = Version::V4;
    let table = [
        (Expect::Request, "HELLO", Verdict::Refuse("unknown command")),
        (Expect::Request, "SUCCESS", Verdict::Refuse("unexpected command")),
        (Expect::Request, "UNLOCKCONTENT", Verdict::Refuse("unexpected command")),
        (Expect::Request, "AUTH a", Verdict::Refuse("unexpected command")),
        (Expect::Request, "DATA 0", Verdict::Refuse("unexpected command")),
        (Expect::Request, "ERROR oops", Verdict::End),
        (Expect::Request, "GETTIMESTAMP", Verdict::Fits),
        (Expect::Unlock, "UNLOCKCONTENT", Verdict::Fits),
        (Expect::Unlock, "UNLOCKCONTENT x", Verdict::Refuse("expected UNLOCKCONTENT")),
        (Expect::Unlock, "ERROR x", Verdict::Refuse("expected UNLOCKCONTENT")),
        (Expect::PutData, "DATA 3", Verdict::Fits),
        (Expect::PutData, "DATA-PRESENT", Verdict::Fits),
        (Expect::PutData, "HELLO", Verdict::Refuse("expected DATA")),
        (Expect::PutData, "ERROR hm", Verdict::Ignore),
        (Expect::Validity, "INVALID", Verdict::Fits),
        (Expect::Validity, "ERROR q", Verdict::Refuse("expected VALID or INVALID")),
        (Expect::Outcome, "FAILURE", Verdict::Fits),
        (Expect::Outcome, "SUCCESS-PLUS u", Verdict::Fits),
        (Expect::Outcome, "ERROR hm", Verdict::Ignore),
        (
            Expect::Outcome,
            "GETTIMESTAMP",
            Verdict::Refuse("expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS"),
        ),
    ];
    for (expect, line, verdict) in table {
        assert_eq!(judge(expect, line, v4), verdict, "{expect:?} {line}");
    }
    assert_eq!(judge(Expect::PutData, "DATA-PRESENT", Version::V3), Verdict::Refuse("expected DATA"));
}

/// git-annex 10.20261026 took 32767 bytes and a line feed, and hung up on 32768.
#[test]
fn the_longest_line() {
    let mut line = vec![b'E'; MAX_LINE - 1];
    line.push(b'\n');
    assert!(matches!(Decoder::default().next(&line), Ok((MAX_LINE, Some(Event::Line(_))))));
    let mut decoder = Decoder::default();
    assert_eq!(decoder.next(&line[..MAX_LINE - 1]), Ok((MAX_LINE - 1, None)));
    assert!(matches!(decoder.next(b"\nrest"), Ok((1, Some(Event::Line(_))))));
    line.insert(0, b'E');
    assert!(Decoder::default().next(&line).is_err());
    let mut decoder = Decoder::default();
    assert_eq!(decoder.next(&line[..MAX_LINE]), Ok((MAX_LINE, None)));
    assert!(decoder.next(b"\n").is_err());
}

#[test]
fn associated_files_decode_as_git_annex_does() {
    let decode = |field: &str| AssociatedFile::parse(field.as_bytes()).unwrap().decode();
    assert_eq!(decode(""), None);
    assert_eq!(decode("a%file.bin"), Some(b"a_file.bin".to_vec()));
    assert_eq!(decode("big%%f.bin"), Some(b"big%f.bin".to_vec()));
    assert_eq!(decode("%%%"), Some(b"%_".to_vec()));
    assert_eq!(decode("a\u{1b}b\u{85}c"), Some(b"a_b_c".to_vec()));
    assert_eq!(decode("../x"), Some(b"../x".to_vec()));
    assert_eq!(AssociatedFile::parse(b"/abs"), None);
    let encode = |path: &str| AssociatedFile::encode(path.as_bytes()).map(|file| file.as_bytes().to_vec());
    assert_eq!(encode("ünï\ttab name%.txt"), Some("ünï%tab%name%%.txt".into()));
    assert_eq!(encode("a\u{a0}b"), Some(b"a%b".to_vec()));
    assert_eq!(encode("/abs"), None);
    assert_eq!(AssociatedFile::encode(b""), Some(AssociatedFile::default()));
}

fn file() -> impl Strategy<Value = AssociatedFile> {
    word().prop_filter_map("absolute", |field| AssociatedFile::parse(&field))
}

fn message() -> impl Strategy<Value = Message> {
    let uuids = || vec(uuid(), 0..4);
    prop_oneof![
        (uuid(), text()).prop_map(|(uuid, token)| Message::Auth { uuid, token }),
        uuid().prop_map(Message::AuthSuccess),
        Just(Message::AuthFailure),
        any::<u64>().prop_map(Message::Version),
        uuids().prop_map(Message::Bypass),
        key().prop_map(Message::CheckPresent),
        key().prop_map(Message::LockContent),
        Just(Message::UnlockContent),
        Just(Message::GetTimestamp),
        any::<u64>().prop_map(Message::Timestamp),
        key().prop_map(Message::Remove),
        (any::<u64>(), key()).prop_map(|(deadline, key)| Message::RemoveBefore { deadline, key }),
        (any::<u64>(), file(), key()).prop_map(|(offset, file, key)| Message::Get { offset, file, key }),
        (file(), key()).prop_map(|(file, key)| Message::Put { file, key }),
        any::<u64>().prop_map(Message::PutFrom),
        prop_oneof![Just(Message::AlreadyHave), uuids().prop_map(Message::AlreadyHavePlus)],
        any::<u64>().prop_map(Message::Data),
        prop_oneof![Just(Message::DataPresent), Just(Message::Valid), Just(Message::Invalid)],
        prop_oneof![Just(Message::Success), uuids().prop_map(Message::SuccessPlus)],
        prop_oneof![Just(Message::Failure), uuids().prop_map(Message::FailurePlus)],
        prop_oneof![Just(Service::UploadPack), Just(Service::ReceivePack)].prop_map(Message::Connect),
        any::<u32>().prop_map(Message::ConnectDone),
        Just(Message::NotifyChange),
        vec(word().prop_filter("empty", |word| !word.is_empty()), 0..4).prop_map(Message::Changed),
        text().prop_map(Message::Error),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in message()) {
        let line = written(&message);
        let (end, line) = line.split_last().unwrap();
        prop_assert_eq!(*end, b'\n');
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(Message::parse(line), Ok(message));
    }

    #[test]
    fn free_text_never_makes_a_second_line(text in vec(any::<u8>(), 0..20)) {
        let line = written(&Message::Error(text));
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    #[test]
    fn a_path_without_space_or_control_characters_survives(path in "[^/\\s\\pC][^\\s\\pC]{0,20}") {
        let file = AssociatedFile::encode(path.as_bytes()).unwrap();
        prop_assert_eq!(AssociatedFile::parse(file.as_bytes()), Some(file.clone()));
        prop_assert_eq!(file.decode().unwrap(), path.into_bytes());
    }

    #[test]
    fn any_relative_path_can_be_sent(path in vec(any::<u8>(), 1..20)) {
        prop_assume!(path[0] != b'/');
        let file = AssociatedFile::encode(&path).unwrap();
        prop_assert_eq!(AssociatedFile::parse(file.as_bytes()), Some(file));
    }

    #[test]
    fn cuts_in_the_stream_change_nothing(
        parts in vec((text(), vec(any::<u8>(), 0..30)), 0..6),
        cuts in vec(1usize..20, 1..20),
    ) {
        let stream: Vec<u8> =
            parts.iter().flat_map(|(line, data)| [line, &b"\n"[..], data].concat()).collect();
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.into_iter().cycle());
        let (mut decoder, mut read) = (Decoder::default(), Vec::<(Vec<u8>, Vec<u8>)>::new());
        while !rest.is_empty() {
            let (mut input, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            while !input.is_empty() {
                let (used, event) = decoder.next(input).unwrap();
                match event {
                    Some(Event::Line(line)) => {
                        read.push((line.to_vec(), Vec::new()));
                        decoder.expect_data(parts[read.len() - 1].1.len() as u64);
                    }
                    Some(Event::Data(data)) => read.last_mut().unwrap().1.extend_from_slice(data),
                    None => prop_assert_eq!(used, input.len()),
                }
                input = &input[used..];
            }
            rest = later;
        }
        prop_assert!(decoder.is_between_lines());
        prop_assert_eq!(read, parts);
    }
}
