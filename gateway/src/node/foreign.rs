//! What git-annex says, told apart by its words.
//!
//! A peer of the P2P protocol has one way to say why it failed: a line of English for people. This is the only place
//! where such a text decides anything. The peer may also be another gateway of ours. Over HTTP its status says so
//! before the text is looked at; over ssh nothing does.

use super::error::NodeError;

/// The words of git-annex, and of the system's own errors that it passes on, for a disk without room.
const NO_ROOM: [&str; 3] = ["not enough free space", "No space left on device", "Disk quota exceeded"];

/// All that git-annex's HTTP server says of most failures, of a removal of locked content for instance.
const NO_REASON: &str = "Something went wrong";

/// What is made of the answer that an upload was not stored, which has no reason with it.
pub(super) const NOT_STORED: &str = "it did not store the content: it has no room, or the content is not the key's";

/// The most characters of a peer's text that are passed on.
const SHOWN: usize = 500;

/// Makes the error from what a peer says of itself, of which a line is kept.
pub(super) fn error_of_peer(text: &[u8]) -> NodeError {
    let text = String::from_utf8_lossy(text);
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = printable.take(SHOWN).collect();
    match NO_ROOM.iter().any(|words| text.contains(words)) {
        true => NodeError::Full(text),
        false => NodeError::Failed(text),
    }
}

/// Tells whether git-annex means that content is locked by what it says when it ends a connection in place of an answer to
/// REMOVE.
pub(super) fn refuses_to_remove(last_words: &str) -> bool {
    last_words.contains("locked")
}

/// Tells whether that is all that git-annex's HTTP server says when it does not say why.
pub(super) fn gives_no_reason(text: &str) -> bool {
    text == NO_REASON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_known_by_the_words_of_git_annex_and_of_the_system() {
        for text in [
            "  not enough free space, need 1.5 MB more (use --force to override this check or adjust annex.diskreserve)",
            "git-annex: /r/annex/tmp/k: withBinaryFile: resource exhausted (No space left on device)",
            "commitBuffer: resource exhausted (Disk quota exceeded)",
        ] {
            assert_eq!(error_of_peer(text.as_bytes()), NodeError::Full(text.trim().to_owned()));
        }
        assert_eq!(error_of_peer(b"it\x07broke\n"), NodeError::Failed("it broke".to_owned()));
        assert_eq!(error_of_peer(&[b'x'; 1000]).reason().len(), SHOWN);
    }

    #[test]
    fn a_removal_that_git_annex_refuses_is_known_by_its_words() {
        assert!(refuses_to_remove("git-annex-shell: content is locked"));
        assert!(!refuses_to_remove("git-annex-shell: permission denied"));
        assert!(gives_no_reason("Something went wrong"));
        assert!(!gives_no_reason("Something went wrong: the disk is full"));
    }
}
