//! Nodes in memory, for tests: `memory:NAME[?room=SIZE]`.
//!
//! All content of such a node is gone when its process ends, and no other process sees it. Nobody may put that into the
//! configuration of a real site by mistake, so this kind is there only in builds with the feature `test-nodes`, which no
//! dependency turns on but those of tests, and it is not named among the kinds that there are.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use annex_protocol::prefer::size;
use annex_protocol::uuid::Uuid;

use super::MemoryNode;
use crate::node::kind::{Kind, Opening, Reserve, Spec, query};
use crate::node::port::Node;

/// Memory.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["memory"],
    forms: &[],
    parse: |text| Ok(Box::new(MemorySpec::parse(text.rest)?)),
    local: true,
    reserve: Reserve::ByGateway,
    served: false,
    one_repository: None,
    own_uuid: None,
    starts_program: false,
};

/// A node in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySpec {
    /// What tells it from others of its process.
    pub name: String,
    /// The bytes that fit for each repository; as many as there is memory if left out.
    pub room: Option<u64>,
}

/// The nodes of a process, by their names and their UUIDs in a repository.
#[derive(Default)]
struct MemoryNodes(Mutex<HashMap<(String, Uuid), MemoryNode>>);

impl MemorySpec {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, settings) = text.split_once('?').unwrap_or((text, ""));
        if name.is_empty() {
            return Err("\"memory:\" names no node".to_owned());
        }
        let mut spec = Self { name: name.to_owned(), room: None };
        for setting in query::settings(settings) {
            match setting? {
                ("room", value) => {
                    let bytes = size(value.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
                    spec.room = Some(bytes.ok_or_else(|| format!("room={value} should be a size"))?);
                }
                (name, _) => return Err(format!("\"{name}\" is no setting of a node in memory; it has room=SIZE")),
            }
        }
        Ok(spec)
    }
}

impl Spec for MemorySpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, _base: &Path) -> Box<dyn Spec> {
        Box::new(self.clone())
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        let nodes = opening.shared.get::<MemoryNodes>();
        let mut nodes = nodes.0.lock().unwrap_or_else(PoisonError::into_inner);
        let node = nodes.entry((self.name.clone(), opening.uuid.clone())).or_default();
        node.set_room(self.room);
        Arc::new(node.clone())
    }
}

impl fmt::Display for MemorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory:{}", self.name)?;
        let room = self.room.map(|bytes| bytes.to_string());
        query::write(f, room.iter().map(|room| ("room", room.as_str())))
    }
}
