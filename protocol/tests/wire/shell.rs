//! git-annex-shell command lines.

use annex_protocol::p2p::{Message, Mode};
use annex_protocol::shell::{
    Action, AnnexCommand, Base, Command, CommandError, Directory, GitService, LimitError, Limits, UnterminatedQuote,
    quote, split,
};
use annex_protocol::uuid::Uuid;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy;

const HOME: &[u8] = b"/home/git";

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

fn arguments(words: &[&str]) -> Result<Command, CommandError> {
    Command::from_arguments(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
}

fn annex(action: Action, directory: &str) -> AnnexCommand {
    AnnexCommand::new(action, Directory::new(directory.as_bytes()))
}

/// Recorded from the clients: git-annex 10.20261026 and git.
#[test]
fn command_strings_of_clients() {
    let uuid = |text: &str| Uuid::parse(text.as_bytes()).unwrap();
    let config = annex(Action::ConfigList, "/srv/gw");
    assert_eq!(parse("true"), Ok(Command::True));
    assert_eq!(parse("git-annex-shell 'configlist' '/srv/gw'"), Ok(Command::Annex(config.clone())));
    assert_eq!(
        parse("git-annex-shell 'configlist' '/srv/gw' '--' 'autoinit=1' '--'"),
        Ok(Command::Annex(AnnexCommand { autoinit: true, ..config.clone() }))
    );
    assert_eq!(parse("git-annex-shell 'configlist' '/srv/gw' '--debug'"), Ok(Command::Annex(config)));
    let p2p = annex(Action::P2pStdio { client: uuid("c-1") }, "/~/it's gw");
    assert_eq!(
        parse(r#"git-annex-shell 'p2pstdio' '/~/it'"'"'s gw' 'c-1' --uuid r-2"#),
        Ok(Command::Annex(AnnexCommand { uuid: Some(uuid("r-2")), ..p2p }))
    );
    let git = |service, directory: &str| Ok(Command::Git { service, directory: Directory::new(directory.as_bytes()) });
    assert_eq!(parse("git-upload-pack '/srv/gw'"), git(GitService::UploadPack, "/srv/gw"));
    assert_eq!(parse(r"git-receive-pack '/it'\''s gw'\!''"), git(GitService::ReceivePack, "/it's gw!"));
    assert_eq!(parse("git upload-archive 'dir'"), git(GitService::UploadArchive, "dir"));
    assert_eq!(parse("git-upload-pack ~/dir"), git(GitService::UploadPack, "~/dir"));
    assert_eq!(
        parse("/opt/bin/git-annex-shell notifychanges /x"),
        Ok(Command::Annex(annex(Action::NotifyChanges, "/x")))
    );
}

#[test]
fn command_strings_that_are_refused() {
    let refused = |line: &str| parse(line).unwrap_err().to_string();
    assert_eq!(refused("ls /"), "unrecognized command 'ls /'");
    assert_eq!(refused("configlist '/srv/gw'"), "unrecognized command 'configlist '/srv/gw''");
    assert_eq!(refused("true; id"), "unrecognized command 'true; id'");
    assert_eq!(refused(""), "unrecognized command ''");
    assert_eq!(refused("git-annex-shell commit /x"), "unrecognized command 'git-annex-shell commit /x'");
    assert_eq!(refused("git-annex-shell configlist"), "bad parameters");
    assert_eq!(refused("git-upload-pack '-x'"), "bad argument");
    assert_eq!(refused("git-upload-pack"), "bad argument");
    assert_eq!(refused("git-upload-archive '/x' y"), "bad argument");
    assert_eq!(refused("git-upload-pack '/x'; id"), "bad argument");
    assert_eq!(refused("git-upload-pack '/x"), "unterminated quote");
}

/// Recorded from git-annex-shell 10.20261026.
#[test]
fn arguments_as_git_annex_shell_takes_them() {
    let config = Ok(Command::Annex(annex(Action::ConfigList, "/r")));
    assert_eq!(arguments(&["configlist", "/r"]), config);
    assert_eq!(arguments(&["-c", "-c", "git-annex-shell configlist /r"]), config);
    assert_eq!(arguments(&["configlist", "/r", "--quiet", "-d", "--debugfilter=x", "-F"]), config);
    assert_eq!(arguments(&["configlist", "/r", "--", "foo", "autoinit=2", "--", "--bogus"]), config);
    let error = |words: &[&str]| arguments(words).unwrap_err().to_string();
    assert_eq!(error(&[]), "bad parameters");
    assert_eq!(error(&["configlist"]), "bad parameters");
    assert_eq!(error(&["configlist", "/r", "--uuid"]), "The option `--uuid` expects an argument.");
    assert_eq!(error(&["configlist", "/r", "--bogus"]), "Invalid option `--bogus'");
    assert_eq!(error(&["configlist", "/r", "extra"]), "This command takes no parameters.");
    assert_eq!(error(&["p2pstdio", "/r"]), "missing UUID parameter");
    assert_eq!(error(&["p2pstdio", "/r", "c1", "c2"]), "missing UUID parameter");
    assert_eq!(error(&["notacommand", "/r"]), "unrecognized command 'notacommand /r'");
    assert!(matches!(
        arguments(&["p2pstdio", "/r", "--uuid=u", "c1"]),
        Ok(Command::Annex(AnnexCommand { uuid: Some(_), action: Action::P2pStdio { .. }, .. }))
    ));
    assert!(arguments(&["configlist", "/r", "--uuid=a", "--uuid", "a"]).is_ok());
    assert!(arguments(&["configlist", "/r", "--uuid=a", "--uuid", "b"]).is_err());
    let Ok(Command::Annex(drop)) = arguments(&["dropkey", "/r", "MD5--a", "--force", "MD5--b"]) else { panic!() };
    assert!(drop.force);
    assert_eq!(drop.action, Action::DropKey { keys: vec![b"MD5--a".to_vec(), b"MD5--b".to_vec()] });
}

#[test]
fn directories_keep_their_form() {
    for (name, base, path) in [
        ("/srv/gw", Base::Root, "srv/gw"),
        ("//x", Base::Root, "x"),
        ("/~/dir", Base::Home, "dir"),
        ("~/dir", Base::Home, "dir"),
        ("/~", Base::Home, ""),
        ("dir/sub", Base::Home, "dir/sub"),
        ("/~bob/dir", Base::HomeOf(b"bob"), "dir"),
        ("", Base::Home, ""),
    ] {
        let directory = Directory::new(name.as_bytes());
        assert_eq!(directory.parts(), (base, path.as_bytes()), "{name}");
        assert_eq!(directory.as_bytes(), name.as_bytes());
    }
}

fn limits(variables: &[(&str, &str)]) -> Limits {
    Limits::from_environment(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes().to_vec())
    })
}

/// Recorded from git-annex-shell 10.20261026, whose home directory was /tmp/wirehome.
#[test]
fn limits_refuse_with_the_words_of_git_annex() {
    let refusal = |variables: &[(&str, &str)], line: &str| {
        limits(variables).check(&parse(line).unwrap(), HOME).err().map(|error| error.to_string())
    };
    let (read, append) = (("GIT_ANNEX_SHELL_READONLY", "1"), ("GIT_ANNEX_SHELL_APPENDONLY", "1"));
    let limited = ("GIT_ANNEX_SHELL_LIMITED", "1");
    let by_read = Some("Action blocked by GIT_ANNEX_SHELL_READONLY".to_owned());
    let by_append = Some("Action blocked by GIT_ANNEX_SHELL_APPENDONLY".to_owned());
    assert_eq!(refusal(&[read, append], "git-annex-shell dropkey /r x"), by_read);
    assert_eq!(refusal(&[append], "git-annex-shell dropkey /r x"), by_append);
    assert_eq!(refusal(&[append], "git-annex-shell gcryptsetup /r x"), by_append);
    assert_eq!(refusal(&[append], "git-annex-shell recvkey /r x"), None);
    assert_eq!(refusal(&[read], "git-annex-shell recvkey /r x"), by_read);
    assert_eq!(refusal(&[read, append], "git-annex-shell p2pstdio /r c"), None);
    assert_eq!(refusal(&[read], "git-annex-shell configlist /r"), None);
    assert_eq!(refusal(&[read, append], "git-receive-pack /r"), None);
    let by_limited = Some("Action blocked by GIT_ANNEX_SHELL_LIMITED".to_owned());
    assert_eq!(refusal(&[limited], "git-upload-pack /r"), by_limited);
    assert_eq!(refusal(&[limited], "git-annex-shell configlist /r"), None);
    assert_eq!(refusal(&[("GIT_ANNEX_SHELL_READONLY", "")], "git-annex-shell dropkey /r x"), None);
    assert_eq!(limits(&[read, append]).mode(), Mode::ReadOnly);
    assert_eq!(limits(&[append]).mode(), Mode::AppendOnly);
    assert_eq!(limits(&[]).mode().refusal(&Message::parse(b"REMOVE MD5--a").unwrap()), None);
    assert_eq!(limits(&[read]).check_initialise(), Err(LimitError::Blocked("GIT_ANNEX_SHELL_READONLY")));
    assert_eq!(limits(&[append]).check_initialise(), Ok(()));
}

#[test]
fn only_the_directory_allowed() {
    let refusal = |allowed: &str, asked: &str| {
        let command = Command::Annex(annex(Action::ConfigList, asked));
        let limits = limits(&[("GIT_ANNEX_SHELL_DIRECTORY", allowed)]);
        limits.check(&command, HOME).err().map(|error| error.to_string())
    };
    for (allowed, asked) in [
        ("/home/git/r", "/home/git/r"),
        ("/home/git/./r/", "/home/git/r"),
        ("/home/git/x/../r", "/home/git/r"),
        ("r", "/home/git/r"),
        ("r", "/~/r"),
        ("~/r", "r"),
        ("/~bob/r", "/~bob/r"),
    ] {
        assert_eq!(refusal(allowed, asked), None, "{allowed} {asked}");
    }
    for (allowed, asked, text) in [
        ("/other", "/srv/gw", "Only allowed to access /other not /srv/gw"),
        ("/other", "/~/r", "Only allowed to access /other not ~/r"),
        ("", "/home/git/r", "Only allowed to access ~/ not ~/r"),
        ("/srv/gw", "/srv/gw/../other", "Only allowed to access /srv/gw not /srv/other"),
        ("/srv/gw", "/srv/gw/sub", "Only allowed to access /srv/gw not /srv/gw/sub"),
        ("/~bob/r", "/~eve/r", "Only allowed to access /~bob/r not /~eve/r"),
    ] {
        assert_eq!(refusal(allowed, asked).as_deref(), Some(text));
    }
    let git = parse("git-upload-pack '/srv/gw'").unwrap();
    assert!(limits(&[("GIT_ANNEX_SHELL_DIRECTORY", "/other")]).check(&git, HOME).is_err());
}

#[test]
fn words_follow_posix_quoting() {
    let words = |line: &str| split(line.as_bytes()).map(|words| words.join(&b'|'));
    assert_eq!(words("  a\tb  'c d' "), Ok(b"a|b|c d".to_vec()));
    assert_eq!(words("'' \"\""), Ok(b"|".to_vec()));
    assert_eq!(words(r#"a"b c"'d'\e"#), Ok(b"ab cde".to_vec()));
    assert_eq!(words(r#""a\"\\\$\x""#), Ok(br#"a"\$\x"#.to_vec()));
    assert_eq!(words("a\\\nb $HOME ~ * ;"), Ok(b"ab|$HOME|~|*|;".to_vec()));
    for line in ["'a", "\"a", "a\\", "\"a\\"] {
        assert_eq!(words(line), Err(UnterminatedQuote), "{line}");
    }
    assert_eq!(quote(b"it's gw"), br#"'it'"'"'s gw'"#);
}

/// The shell that a client's command line is written for.
#[test]
fn words_are_those_of_the_shell() {
    for line in [
        r#"git-annex-shell 'p2pstdio' '/~/it'"'"'s gw' 'c-1' --uuid r-2"#,
        r"git-receive-pack '/it'\''s gw'\!''",
        r#"a"b c"'d'\e  "x\y\"z\$" \  '' "" end"#,
    ] {
        let printed =
            std::process::Command::new("sh").arg("-c").arg(format!(r"printf '%s\0' {line}")).output().unwrap();
        let words: Vec<Vec<u8>> =
            printed.stdout.split_inclusive(|byte| *byte == 0).map(|word| word[..word.len() - 1].to_vec()).collect();
        assert_eq!(split(line.as_bytes()), Ok(words), "{line}");
    }
}

fn annex_command() -> impl Strategy<Value = AnnexCommand> {
    let plain = || "[0-9a-zA-Z][0-9a-zA-Z-]{0,20}".prop_filter_map("no UUID", |text| Uuid::parse(text.as_bytes()));
    let keys = || vec(strategy::key().prop_map(|key| key.as_bytes().to_vec()), 0..3);
    let action = prop_oneof![
        Just(Action::ConfigList),
        Just(Action::NotifyChanges),
        plain().prop_map(|client| Action::P2pStdio { client }),
        keys().prop_map(|keys| Action::InAnnex { keys }),
        keys().prop_map(|keys| Action::DropKey { keys }),
        keys().prop_map(|parameters| Action::RecvKey { parameters }),
    ];
    let options = (any::<bool>(), any::<bool>(), proptest::option::of(plain()));
    (action, vec(any::<u8>(), 0..20), proptest::option::of(strategy::uuid()), options).prop_map(
        |(action, directory, uuid, (force, autoinit, remote_uuid))| AnnexCommand {
            uuid,
            force,
            autoinit,
            remote_uuid,
            ..AnnexCommand::new(action, Directory::new(directory))
        },
    )
}

proptest! {
    #[test]
    fn quoted_words_are_split_again(words in vec(vec(any::<u8>(), 0..20), 0..5)) {
        let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
        prop_assert_eq!(split(&line), Ok(words));
    }

    #[test]
    fn words_quoted_as_git_does_are_split_again(word in vec(prop_oneof![Just(b'\''), Just(b'!'), any::<u8>()], 0..20)) {
        let mut line = vec![b'\''];
        for byte in &word {
            match byte {
                b'\'' | b'!' => line.extend_from_slice(&[b'\'', b'\\', *byte, b'\'']),
                byte => line.push(*byte),
            }
        }
        line.push(b'\'');
        prop_assert_eq!(split(&line), Ok(vec![word]));
    }

    #[test]
    fn written_commands_are_read(command in annex_command()) {
        prop_assert_eq!(Command::parse(&command.to_line()), Ok(Command::Annex(command)));
    }
}
