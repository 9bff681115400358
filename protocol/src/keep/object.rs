//! UUIDs of what an API server keeps: `CLUSTER-KIND-REST`, five, five and fifteen characters.
//!
//! Source: `docs/spec/keep-federation.md` §1.

use super::ClusterId;

/// What a UUID names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A collection, `4zz18`.
    Collection,
    /// A group, `j7d0g`; a project is one.
    Group,
    /// A link, `o0j2j`.
    Link,
    /// A user, `tpzed`.
    User,
    /// A token, `gj3su`.
    Token,
    /// A Keep service, `bi6l4`.
    KeepService,
}

const KINDS: [(ObjectKind, &str); 6] = [
    (ObjectKind::Collection, "4zz18"),
    (ObjectKind::Group, "j7d0g"),
    (ObjectKind::Link, "o0j2j"),
    (ObjectKind::User, "tpzed"),
    (ObjectKind::Token, "gj3su"),
    (ObjectKind::KeepService, "bi6l4"),
];

impl ObjectKind {
    /// Reads a UUID: the cluster that it belongs to, and what it names. `None` for what is no UUID, or of no known kind.
    pub fn of(uuid: &str) -> Option<(ClusterId, Self)> {
        let mut parts = uuid.split('-');
        let (cluster, code, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let cluster = ClusterId::parse(cluster.as_bytes())?;
        let kind = KINDS.iter().find(|(_, known)| *known == code)?.0;
        let legal = rest.len() == 15 && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (legal && parts.next().is_none()).then_some((cluster, kind))
    }

    /// Tells whether this is the UUID of a project or of a user: of what a collection can belong to.
    pub fn is_owner(uuid: &str) -> bool {
        matches!(Self::of(uuid), Some((_, Self::Group | Self::User)))
    }

    /// Returns the five characters in the middle of a UUID.
    pub fn code(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, code)| code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_tells_cluster_and_kind() {
        let cluster = ClusterId::parse(b"zzzzz").unwrap();
        for (kind, code) in KINDS {
            assert_eq!(ObjectKind::of(&format!("zzzzz-{code}-09az00000000000")), Some((cluster, kind)));
            assert_eq!(kind.code(), code);
            assert_eq!(
                ObjectKind::is_owner(&format!("zzzzz-{code}-09az00000000000")),
                ["j7d0g", "tpzed"].contains(&code)
            );
        }
        for bad in [
            "",
            "zzzzz-4zz18-0",
            "zzzzz-4zz18-00000000000000A",
            "zzzzz-xxxxx-000000000000000",
            "zzzzz-4zz18",
            "zzzz-4zz18-000000000000000",
            "zzzzz-4zz18-000000000000000-",
        ] {
            assert_eq!(ObjectKind::of(bad), None, "{bad}");
        }
    }
}
