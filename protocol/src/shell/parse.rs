//! Words to a command.

use super::{Action, AnnexCommand, Command, Directory, GitService, UnterminatedQuote, split};
use crate::uuid::Uuid;

/// Why a command line cannot be followed; each ends the connection with exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The words cannot be told apart.
    #[error(transparent)]
    Quote(#[from] UnterminatedQuote),
    /// A command of git-annex-shell names no directory.
    #[error("bad parameters")]
    BadParameters,
    /// No UUID follows `p2pstdio DIR`, or more than that.
    #[error("missing UUID parameter")]
    MissingUuid,
    /// Something follows a command that takes nothing.
    #[error("This command takes no parameters.")]
    NoParameters,
    /// Not one of git-annex-shell's options.
    #[error("Invalid option `{0}'")]
    InvalidOption(String),
    /// An option comes without its value.
    #[error("The option `{0}` expects an argument.")]
    MissingArgument(String),
    /// Not exactly one directory follows a git command.
    #[error("bad argument")]
    BadArgument,
    /// Neither git-annex-shell nor a git service.
    #[error("unrecognized command '{0}'")]
    Unrecognized(String),
}

/// Options that git-annex-shell takes and that change nothing here.
const IGNORED: [&[u8]; 12] = [
    b"--debug",
    b"-d",
    b"--no-debug",
    b"--quiet",
    b"-q",
    b"--no-quiet",
    b"--verbose",
    b"-v",
    b"--no-verbose",
    b"--fast",
    b"-F",
    b"--no-fast",
];

impl Command {
    /// Parses the command string of an ssh client.
    ///
    /// git-annex-shell may be named with a path.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let words = split(line)?;
        let unrecognized = || CommandError::Unrecognized(lossy(line));
        let (program, arguments) = words.split_first().ok_or_else(unrecognized)?;
        match (program.as_slice(), arguments) {
            (b"true", []) => Ok(Self::True),
            (b"git", [subcommand, arguments @ ..]) => match subcommand.as_slice() {
                b"upload-pack" => git(GitService::UploadPack, arguments),
                b"receive-pack" => git(GitService::ReceivePack, arguments),
                b"upload-archive" => git(GitService::UploadArchive, arguments),
                _ => Err(unrecognized()),
            },
            (b"git-upload-pack", arguments) => git(GitService::UploadPack, arguments),
            (b"git-receive-pack", arguments) => git(GitService::ReceivePack, arguments),
            (b"git-upload-archive", arguments) => git(GitService::UploadArchive, arguments),
            (program, arguments) if program.rsplit(|byte| *byte == b'/').next() == Some(b"git-annex-shell") => {
                annex(arguments)?.ok_or_else(unrecognized)
            }
            _ => Err(unrecognized()),
        }
    }

    /// Parses the arguments of a program that stands in for git-annex-shell, without the program's own name.
    ///
    /// Leading `-c` are dropped. A single argument is a command string, as sshd gives it to a login shell; several are
    /// a command of git-annex-shell, already split.
    pub fn from_arguments(arguments: &[Vec<u8>]) -> Result<Self, CommandError> {
        let dashes = arguments.iter().take_while(|argument| *argument == b"-c").count();
        match arguments.get(dashes..).unwrap_or_default() {
            [] => Err(CommandError::BadParameters),
            [name] if action(name, Vec::new()).is_some() => Err(CommandError::BadParameters),
            [line] => Self::parse(line),
            words => annex(words)?.ok_or_else(|| CommandError::Unrecognized(lossy(&words.join(&b' ')))),
        }
    }
}

fn git(service: GitService, arguments: &[Vec<u8>]) -> Result<Command, CommandError> {
    match arguments {
        [directory] if !directory.is_empty() && !directory.starts_with(b"-") => {
            Ok(Command::Git { service, directory: Directory::new(directory.as_slice()) })
        }
        _ => Err(CommandError::BadArgument),
    }
}

/// Parses `CMD DIR ARGS`; `None` if there is no such command.
fn annex(words: &[Vec<u8>]) -> Result<Option<Command>, CommandError> {
    let (name, directory, arguments) = match words {
        [name, directory, arguments @ ..] => (name, directory, arguments),
        [name] if action(name, Vec::new()).is_none() => return Ok(None),
        _ => return Err(CommandError::BadParameters),
    };
    let mut sections = arguments.split(|word| word == b"--");
    let (parameters, options) = options(sections.next().unwrap_or_default())?;
    let Some(action) = action(name, parameters) else { return Ok(None) };
    let mut command = AnnexCommand::new(action?, Directory::new(directory.as_slice()));
    command.uuid = options.uuid;
    command.force = options.force;
    for field in sections.next().unwrap_or_default() {
        if let Some(uuid) = field.strip_prefix(b"remoteuuid=") {
            let plain = uuid.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            command.remote_uuid = Uuid::parse(uuid).filter(|_| plain).or(command.remote_uuid);
        } else if field == b"autoinit=1" {
            command.autoinit = true;
        }
    }
    Ok(Some(Command::Annex(command)))
}

fn action(name: &[u8], mut parameters: Vec<Vec<u8>>) -> Option<Result<Action, CommandError>> {
    let alone = |action| if parameters.is_empty() { Ok(action) } else { Err(CommandError::NoParameters) };
    Some(match name {
        b"configlist" => alone(Action::ConfigList),
        b"notifychanges" => alone(Action::NotifyChanges),
        b"p2pstdio" => match parameters.pop().and_then(|uuid| Uuid::parse(&uuid)) {
            Some(client) if parameters.is_empty() => Ok(Action::P2pStdio { client }),
            _ => Err(CommandError::MissingUuid),
        },
        b"inannex" => Ok(Action::InAnnex { keys: parameters }),
        b"dropkey" => Ok(Action::DropKey { keys: parameters }),
        b"sendkey" => Ok(Action::SendKey { parameters }),
        b"recvkey" => Ok(Action::RecvKey { parameters }),
        b"gcryptsetup" => Ok(Action::GcryptSetup { parameters }),
        _ => return None,
    })
}

#[derive(Default)]
struct Options {
    uuid: Option<Uuid>,
    force: bool,
}

/// Takes the options out of what follows the directory.
fn options(words: &[Vec<u8>]) -> Result<(Vec<Vec<u8>>, Options), CommandError> {
    let (mut parameters, mut options) = (Vec::new(), Options::default());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let missing = || CommandError::MissingArgument(lossy(word));
        if word == b"--uuid" {
            options.name(words.next().ok_or_else(missing)?)?;
        } else if let Some(uuid) = word.strip_prefix(b"--uuid=") {
            options.name(uuid)?;
        } else if word == b"--force" {
            options.force = true;
        } else if word == b"--debugfilter" {
            words.next().ok_or_else(missing)?;
        } else if IGNORED.contains(&word.as_slice()) || word.starts_with(b"--debugfilter=") {
        } else if word.starts_with(b"-") && word != b"-" {
            return Err(CommandError::InvalidOption(lossy(word)));
        } else {
            parameters.push(word.clone());
        }
    }
    Ok((parameters, options))
}

impl Options {
    /// git-annex checks every `--uuid`: two that differ can never both be right.
    fn name(&mut self, text: &[u8]) -> Result<(), CommandError> {
        let uuid = Uuid::parse(text).filter(|uuid| self.uuid.as_ref().is_none_or(|earlier| earlier == uuid));
        match uuid {
            Some(uuid) => self.uuid = Some(uuid),
            None => return Err(CommandError::InvalidOption("--uuid".into())),
        }
        Ok(())
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
