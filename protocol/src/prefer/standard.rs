//! The expressions of the standard groups. Source: `docs/spec/preferred-content.md` §6.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::expression::Expression;

const CLIENT: &str = "(include=* and ((exclude=*/archive/* and exclude=archive/*) or \
    (not (copies=archive:1 or copies=smallarchive:1)))) or approxlackingcopies=1";
const ARCHIVE: &str = "(not (copies=archive:1 or copies=smallarchive:1)) or approxlackingcopies=1";

static STANDARD: LazyLock<BTreeMap<&[u8], Expression>> = LazyLock::new(|| {
    let texts: [(&[u8], String); 10] = [
        (b"client", CLIENT.to_owned()),
        (b"transfer", format!("(not (inallgroup=client and copies=client:2) and ({CLIENT})) or approxlackingcopies=1")),
        (b"backup", "anything".to_owned()),
        (
            b"incrementalbackup",
            "((not copies=backup:1) and (not copies=incrementalbackup:1)) or approxlackingcopies=1".to_owned(),
        ),
        (
            b"smallarchive",
            format!("((include=*/archive/* or include=archive/*) and ({ARCHIVE})) or approxlackingcopies=1"),
        ),
        (b"archive", ARCHIVE.to_owned()),
        (b"source", "not (copies=1)".to_owned()),
        (b"manual", format!("present and ({CLIENT})")),
        (b"public", "inpreferreddir".to_owned()),
        (b"unwanted", "not anything".to_owned()),
    ];
    texts.into_iter().map(|(group, text)| (group, Expression::parse(text.as_bytes()))).collect()
});

/// Returns what `standard` means for members of a group, if it is a standard group.
pub(super) fn standard_expression(group: &[u8]) -> Option<&'static Expression> {
    STANDARD.get(group)
}
