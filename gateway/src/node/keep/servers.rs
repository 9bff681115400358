//! Nodes that are Keep stores on servers without a cluster: `keep+http(s)://HOST[:PORT][,…]?NAME=VALUE&…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;
use keep_store::store::servers::{ServerStore, Services};

use super::open;
use crate::node::error::NodeError;
use crate::node::kind::keep_at::KeepAt;
use crate::node::kind::keep_servers::{KeepServersSpec, SETTINGS, address, client, display, remote_options};
use crate::node::kind::{Beside, Kind, Opening, Reserve, Spec, query};
use crate::node::patience::Patience;
use crate::node::port::Node;

/// Keep stores on servers.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["keep+http", "keep+https"],
    forms: &["keep+http(s)://"],
    parse: |text| Ok(Box::new(KeepHttpSpec::parse(text.scheme.trim_start_matches("keep+"), text.place())?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: false,
    one_repository: None,
    own_uuid: None,
    starts_program: false,
};

/// Keep services without an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepHttpSpec {
    /// `http(s)://HOST[:PORT]`, one or several.
    pub addresses: Vec<String>,
    /// The directory of the index, if not the usual one in the site; a relative one stands in the site directory.
    pub index: Option<PathBuf>,
    /// How services are asked, and with which replication and storage classes.
    pub servers: KeepServersSpec,
}

impl KeepHttpSpec {
    /// Parses what follows `keep+http://` or `keep+https://`.
    fn parse(scheme: &str, text: &str) -> Result<Self, String> {
        let (hosts, settings) = text.split_once('?').unwrap_or((text, ""));
        let form = format!("keep+{scheme}://HOST[:PORT],…");
        let addresses = hosts.split(',').map(|host| Ok(format!("{scheme}://{}", address(host, &form)?)));
        let addresses: Vec<String> = addresses.collect::<Result<_, String>>()?;
        let mut spec = Self { addresses, index: None, servers: KeepServersSpec::default() };
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            match name {
                "index" => spec.index = Some(value.into()),
                name if spec.servers.set(name, &value)? => {}
                name => {
                    return Err(format!(
                        "\"{name}={value}\" is no setting of a node on Keep services; it has index, {SETTINGS}"
                    ));
                }
            }
        }
        Ok(spec)
    }

    fn at(&self, opening: &Opening) -> KeepServers {
        let index = self.index.clone().unwrap_or_else(|| opening.index_of("keep", &self.addresses.join(",")));
        KeepServers { spec: self.clone(), index, patience: opening.patience }
    }
}

#[async_trait]
impl Spec for KeepHttpSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        let index = self.index.as_ref().map(|index| base.join(index));
        Box::new(Self { addresses: self.addresses.clone(), index, servers: self.servers.in_folder(base) })
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.servers.take_secrets(&mut beside.secrets)
    }

    fn needs_site(&self) -> bool {
        self.index.is_none()
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        open::node(Arc::new(self.at(opening)), opening)
    }

    async fn make(&self, opening: &Opening) -> Result<(), NodeError> {
        open::make(&self.at(opening)).await
    }

    fn keep(&self, opening: &Opening) -> Option<Arc<dyn KeepAt>> {
        Some(Arc::new(self.at(opening)))
    }
}

/// Keep services whose index stands on this machine.
struct KeepServers {
    spec: KeepHttpSpec,
    /// The directory of the index.
    index: PathBuf,
    /// How long services are waited for.
    patience: Patience,
}

#[async_trait]
impl KeepAt for KeepServers {
    fn name(&self) -> String {
        self.spec.addresses.join(",")
    }

    fn directory(&self) -> &Path {
        &self.index
    }

    async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError> {
        let services = Services::given(self.spec.addresses.iter().map(String::as_str));
        let http = client(&self.spec.servers, self.patience).await;
        let http = http.map_err(|reason| StoreError::Failed { store: self.name(), reason })?;
        let blocks =
            ServerStore::new(http, services, remote_options(&self.spec.servers, self.patience, &options.clock));
        KeepStore::open_servers(blocks, &self.index, create, options).await
    }

    /// `None`: servers do not tell what they hold, so the index is the only record.
    async fn open_for_reindex(&self, _options: Options) -> Result<Option<KeepStore>, KeepError> {
        Ok(None)
    }
}

impl fmt::Display for KeepHttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.addresses.iter().enumerate() {
            match (number, address.split_once("://")) {
                (0, _) => write!(f, "keep+{address}")?,
                (_, host) => write!(f, ",{}", host.map_or(address.as_str(), |(_, host)| host))?,
            }
        }
        let index = self.index.as_ref().map(|path| path.display().to_string());
        display(f, [("index", index)].into_iter().chain(self.servers.settings()))
    }
}
