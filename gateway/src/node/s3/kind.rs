//! Nodes that are buckets in the layout of git-annex's own special remote: `s3://BUCKET[/PREFIX]?NAME=VALUE&…`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{PART_BYTES, S3Node};
use crate::node::error::NodeError;
use crate::node::kind::bucket::BucketSpec;
use crate::node::kind::{Beside, Kind, Opening, Reserve, Spec};
use crate::node::lazy::{Lazy, Opener};
use crate::node::patience::Patience;
use crate::node::port::Node;

/// Buckets.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["s3"],
    forms: &["s3://"],
    parse: |text| Ok(Box::new(BucketSpec::parse(text.place())?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: Some("an S3 special remote belongs to one repository: set repo"),
    own_uuid: None,
    starts_program: false,
};

#[async_trait]
impl Spec for BucketSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        Box::new(self.in_folder(base))
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.take_secrets(&mut beside.secrets)
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        Arc::new(Lazy::new(Box::new(S3Opener(self.clone(), opening.patience))))
    }
}

struct S3Opener(BucketSpec, Patience);

#[async_trait]
impl Opener for S3Opener {
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
        let bucket = self.0.client(self.1).await?;
        Ok(Arc::new(S3Node::new(bucket, self.0.chunk, self.0.part.unwrap_or(PART_BYTES))))
    }
}
