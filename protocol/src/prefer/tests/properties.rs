//! Laws that hold for any text.

use proptest::prelude::*;

use super::support::{Known, key, uuid};
use crate::log::Trust;
use crate::prefer::{Expression, Placement, Question, lint};

const WORDS: &[&str] = &[
    "and",
    "or",
    "not",
    "(",
    ")",
    "()",
    "(not",
    "include=*a*",
    "exclude=a",
    "present",
    "copies=1",
    "copies=g:1",
    "copies=trusted+:1",
    "lackingcopies=1",
    "largerthan=1kb",
    "smallerthan=10",
    "inallgroup=g",
    "onlyingroup=g",
    "balanced=g",
    "fullybalanced=g:2",
    "sizebalanced=g",
    "fullysizebalanced=g:lackingcopies",
    "standard",
    "groupwanted",
    "anything",
    "nothing",
    "metadata=tag=x",
    "metadata=year>2000",
    "url=*",
    "securehash",
    "inbackend=SHA256",
    "unused",
    "inpreferreddir",
];

fn expression() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS), 0..14).prop_map(|words| words.join(" "))
}

/// A world with a bit of everything, told by the bits of a number.
fn world(bits: u16) -> (Placement, Known) {
    let bit = |at: u16| bits >> at & 1 == 1;
    let mut placement = Placement::default();
    let mut facts = Known::default();
    for (at, name) in ["u0", "u1", "u2"].into_iter().enumerate() {
        let at = 4 * at as u16;
        if bit(at) {
            placement.groups.insert(uuid(name), [b"g".to_vec(), b"client".to_vec()].into());
        }
        if bit(at + 1) {
            facts.locations.insert(uuid(name));
        }
        if bit(at + 2) {
            placement.trust.insert(uuid(name), if bit(at + 3) { Trust::Trusted } else { Trust::Untrusted });
        }
        placement.max_sizes.insert(uuid(name), 5000);
        facts.sizes.insert(uuid(name), u64::from(bits));
    }
    facts.metadata.0.insert(b"tag".to_vec(), [b"X".to_vec()].into());
    placement.group_preferred.insert(b"g".to_vec(), Expression::parse(b"present or include=b"));
    placement.rebalance = bit(12);
    (placement, facts)
}

fn answers(
    expression: &Expression,
    placement: &mut Placement,
    facts: &Known,
) -> Vec<(Option<bool>, Option<bool>, bool)> {
    placement.preferred.insert(uuid("u0"), expression.clone());
    placement.required.insert(uuid("u0"), expression.clone());
    let answer = |file| {
        let question = Question { repository: &uuid("u0"), key: &key("SHA256-s2000--x"), file, facts };
        (placement.wants(&question), placement.wants_to_keep(&question), placement.requires(&question))
    };
    [None, Some(&b"a"[..]), Some(b"public/b")].into_iter().map(answer).collect()
}

proptest! {
    #[test]
    fn printed_structure_means_the_same(text in expression(), bits in any::<u16>()) {
        let read = Expression::parse(text.as_bytes());
        prop_assert_eq!(read.error(), None);
        let printed = read.to_string();
        let again = Expression::parse(printed.as_bytes());
        prop_assert_eq!(again.is_configured(), read.is_configured(), "{}", printed);
        prop_assert_eq!(&again.to_string(), &printed);
        let (mut placement, facts) = world(bits);
        prop_assert_eq!(answers(&again, &mut placement, &facts), answers(&read, &mut placement, &facts), "{}", printed);
    }

    #[test]
    fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..100), bits in any::<u16>()) {
        let (mut placement, facts) = world(bits);
        answers(&Expression::parse(&text), &mut placement, &facts);
    }

    #[test]
    fn any_values_are_read(
        name in "(include|exclude|largerthan|smallerthan|copies|metadata|url|balanced)",
        value in "(\\PC|[\\[\\]!^:*?/0-9a-]){0,12}",
        bits in any::<u16>(),
    ) {
        let (mut placement, facts) = world(bits);
        answers(&Expression::parse(format!("{name}={value}").as_bytes()), &mut placement, &facts);
    }

    #[test]
    fn what_is_kept_under_some_name_might_be_wanted(text in expression(), bits in any::<u16>()) {
        let (mut placement, facts) = world(bits);
        let kept = answers(&Expression::parse(text.as_bytes()), &mut placement, &facts);
        let question = Question { repository: &uuid("u0"), key: &key("SHA256-s2000--x"), file: None, facts: &facts };
        let might = placement.might_want_to_keep(&question);
        for (_, keeps, requires) in kept {
            prop_assert!(might || keeps == Some(false) && !requires, "{}", text);
        }
    }

    #[test]
    fn broken_text_is_present(text in expression(), bits in any::<u16>()) {
        let (mut placement, facts) = world(bits);
        let broken = Expression::parse(format!("{text} bogus").as_bytes());
        prop_assert!(!lint(&broken).is_empty());
        let present = answers(&Expression::parse(b"present"), &mut placement, &facts);
        prop_assert_eq!(answers(&broken, &mut placement, &facts), present);
    }
}

#[test]
fn a_key_that_no_name_makes_wanted_is_told_from_one_that_some_name_does() {
    let might = |text: &str| {
        let (mut placement, facts) = world(0);
        placement.preferred.insert(uuid("u0"), Expression::parse(text.as_bytes()));
        let question = Question { repository: &uuid("u0"), key: &key("SHA256-s2000--x"), file: None, facts: &facts };
        placement.might_want_to_keep(&question)
    };
    for text in ["", "anything", "include=*.raw", "not include=*.raw", "exclude=*", "not exclude=*", "inpreferreddir"] {
        assert!(might(text), "{text}");
    }
    for text in ["nothing", "not anything", "include=* and largerthan=1mb", "not (exclude=a or smallerthan=1mb)"] {
        assert!(!might(text), "{text}");
    }
    assert!(might("not (include=a and smallerthan=1mb)") && might("unused or nothing"));
}

#[test]
fn depth_has_an_end() {
    for deep in
        ["(".repeat(100_000), "not ".repeat(100_000), "and (".repeat(100_000), format!("{}a", "not (".repeat(60))]
    {
        assert!(Expression::parse(deep.as_bytes()).error().is_some());
    }
    let wide = "copies=1 or ".repeat(100_000);
    assert_eq!(Expression::parse(wide.as_bytes()).error(), None);
}
