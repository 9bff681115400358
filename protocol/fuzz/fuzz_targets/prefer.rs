//! Preferred content: any text is read, means the same after it was printed, and is answered in any world.
#![no_main]

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::Metadata;
use annex_protocol::prefer::{Expression, KeyFacts, Placement, PlacementLogs, Question, lint};
use annex_protocol::uuid::Uuid;
use libfuzzer_sys::fuzz_target;

struct Facts {
    holder: Option<Uuid>,
    value: Vec<u8>,
}

impl KeyFacts for Facts {
    fn locations(&self) -> BTreeSet<Uuid> {
        self.holder.iter().cloned().collect()
    }

    fn metadata(&self) -> Metadata {
        Metadata([(b"tag".to_vec(), [self.value.clone()].into())].into())
    }

    fn urls(&self) -> Vec<Vec<u8>> {
        vec![self.value.clone()]
    }

    fn equivalent_keys(&self) -> Vec<Key> {
        Key::parse(&self.value).into_iter().collect()
    }

    fn repository_size(&self, _: &Uuid) -> Option<u64> {
        u64::try_from(self.value.len()).ok()
    }
}

fuzz_target!(|input: (&[u8], &[u8], &[u8], bool)| {
    let (text, logs, file, present) = input;
    let repository = Uuid::parse(b"u1").expect("a word");
    let key = Key::parse(b"SHA256-s2000--x").expect("a key");

    let expression = Expression::parse(text);
    lint(&expression);
    let mut placement = Placement::from_logs(PlacementLogs {
        group: logs,
        trust: logs,
        maxsize: logs,
        numcopies: logs,
        preferred_content: logs,
        required_content: logs,
        group_preferred_content: logs,
        remote: logs,
    });
    let facts = Facts { holder: present.then(|| repository.clone()), value: file.to_vec() };
    let question = Question { repository: &repository, key: &key, file: Some(file), facts: &facts };
    let answer = |placement: &Placement| {
        (placement.wants(&question), placement.wants_to_keep(&question), placement.requires(&question))
    };

    // Printing is for people: only text is written as it was.
    if let (Ok(_), None) = (std::str::from_utf8(text), expression.error()) {
        let printed = Expression::parse(expression.to_string().as_bytes());
        placement.preferred.insert(repository.clone(), printed);
        let after = answer(&placement);
        placement.preferred.insert(repository.clone(), expression);
        assert_eq!(answer(&placement), after);
    } else {
        placement.preferred.insert(repository.clone(), expression);
        answer(&placement);
    }
});
