//! `aaa/bbb/KEY.log.web`: URLs of keys. Source: `docs/spec/git-annex-branch.md` §5.

use super::presence::PresenceLog;

/// Which program fetches a recorded URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Downloader {
    /// git-annex's own web remote.
    Web,
    /// youtube-dl and its successors: prefix `yt:` (or, historical, `quvi:`).
    YoutubeDl,
    /// Another special remote: prefix `:`.
    Other,
}

/// Returns the URLs recorded as present in a URL log, prefixes removed, sorted by their bytes in the file.
pub fn recorded_urls(content: &[u8]) -> Vec<(Downloader, &[u8])> {
    let url = |info| {
        for (prefix, downloader) in
            [(&b":"[..], Downloader::Other), (b"yt:", Downloader::YoutubeDl), (b"quvi:", Downloader::YoutubeDl)]
        {
            if let Some(url) = <[u8]>::strip_prefix(info, prefix) {
                return (downloader, url);
            }
        }
        (Downloader::Web, info)
    };
    PresenceLog::parse(content).present().map(url).collect()
}
