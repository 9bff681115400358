//! Preferred content.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::Metadata;
use annex_protocol::prefer::{Expression, KeyFacts, Placement, Question};
use annex_protocol::uuid::Uuid;

struct Known(BTreeSet<Uuid>);

impl KeyFacts for Known {
    fn locations(&self) -> BTreeSet<Uuid> {
        self.0.clone()
    }

    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    fn urls(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn equivalent_keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn repository_size(&self, _repository: &Uuid) -> Option<u64> {
        Some(0)
    }
}

/// Whether one of six nodes wants a key, by expressions as people write them.
#[divan::bench(args = ["anything", "include=*.dat and not copies=nodes:3", "(not (copies=2 or inallgroup=x)) or largerthan=10mb", "balanced=nodes:2"])]
fn wants(bencher: divan::Bencher<'_, '_>, expression: &str) {
    let nodes: Vec<Uuid> =
        (0..6).map(|n| Uuid::parse(format!("00000000-0000-0000-0000-00000000000{n}").as_bytes()).unwrap()).collect();
    let mut placement = Placement::default();
    for node in &nodes {
        placement.preferred.insert(node.clone(), Expression::parse(expression.as_bytes()));
        placement.groups.insert(node.clone(), [b"nodes".to_vec()].into());
    }
    let key =
        Key::parse(b"SHA256E-s4096--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.dat").unwrap();
    let facts = Known([nodes[0].clone()].into());
    bencher.bench(|| {
        let repository = divan::black_box(&nodes[3]);
        placement.wants(&Question { repository, key: &key, file: Some(b"some/file.dat"), facts: &facts })
    });
}
