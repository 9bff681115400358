//! Which services there are.

use std::sync::Arc;
use std::time::Duration;

use annex_protocol::keep::{BlockHash, service_order};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::{Api, ApiError};

/// A server of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Decides, with a block's hash, how early it is asked.
    pub uuid: String,
    /// `http(s)://host:port`, without a slash at the end.
    pub base: String,
    /// What it is.
    pub kind: ServiceKind,
    /// It takes no blocks.
    pub read_only: bool,
}

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// A keepstore: each makes one copy.
    Disk,
    /// A keepproxy or something unknown: makes as many copies as it is asked for.
    Proxy,
    /// Asked only for blocks that name it.
    Gateway,
}

/// Where the list of services comes from.
#[derive(Debug)]
pub enum Services {
    /// Somebody named them.
    Given(Arc<[Service]>),
    /// An API server does, and is asked again every five minutes.
    Found(Box<Discovery>),
}

/// Services that an API server names.
#[derive(Debug)]
pub struct Discovery {
    api: Arc<Api>,
    known: Mutex<Option<Known>>,
}

/// What an API server said.
#[derive(Debug)]
struct Known {
    asked: Instant,
    services: Arc<[Service]>,
    replicas: u32,
}

/// How long a list is good, as in Arvados's Go client.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// Copies where nobody says how many.
const REPLICAS: u32 = 2;

#[derive(Deserialize)]
struct Listed {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    uuid: String,
    service_host: String,
    service_port: u16,
    #[serde(default)]
    service_ssl_flag: bool,
    #[serde(default = "disk")]
    service_type: String,
    #[serde(default)]
    read_only: bool,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "defaultCollectionReplication")]
    replicas: Option<u32>,
}

impl Services {
    /// Takes services by their addresses, as `ARVADOS_KEEP_SERVICES` does.
    pub fn given<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let service = |(index, address): (usize, &str)| Service {
            uuid: format!("00000-bi6l4-{index:015}"),
            base: address.trim_end_matches('/').to_owned(),
            kind: ServiceKind::Proxy,
            read_only: false,
        };
        Self::Given(addresses.into_iter().enumerate().map(service).collect())
    }

    /// Asks an API server when they are needed.
    pub fn found(api: Arc<Api>) -> Self {
        Self::Found(Box::new(Discovery { api, known: Mutex::default() }))
    }

    /// Returns the name for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Given(services) => services.iter().map(|service| service.base.as_str()).collect::<Vec<_>>().join(","),
            Self::Found(found) => found.api.base().to_owned(),
        }
    }

    /// Returns all services.
    pub(super) async fn list(&self) -> Result<Arc<[Service]>, ApiError> {
        match self {
            Self::Given(services) => Ok(Arc::clone(services)),
            Self::Found(found) => Ok(found.known().await?.0),
        }
    }

    /// Returns how many copies there are to be where nobody says more.
    pub(super) async fn replicas(&self) -> Result<u32, ApiError> {
        match self {
            Self::Given(services) => Ok(REPLICAS.min(u32::try_from(services.len()).unwrap_or(REPLICAS))),
            Self::Found(found) => Ok(found.known().await?.1),
        }
    }
}

impl Discovery {
    async fn known(&self) -> Result<(Arc<[Service]>, u32), ApiError> {
        let mut known = self.known.lock().await;
        if let Some(Known { services, replicas, .. }) = known.as_ref().filter(|known| known.asked.elapsed() < GOOD_FOR)
        {
            return Ok((Arc::clone(services), *replicas));
        }
        let asked = async {
            let listed: Listed = self.api.get("arvados/v1/keep_services/accessible", &[]).await?;
            let document: Document = self.api.get("discovery/v1/apis/arvados/v1/rest", &[]).await?;
            Ok::<_, ApiError>((listed, document.replicas.unwrap_or(REPLICAS)))
        };
        match (asked.await, known.as_ref()) {
            (Ok((listed, replicas)), _) => {
                let services: Arc<[Service]> = listed.items.into_iter().map(Service::from).collect();
                *known = Some(Known { asked: Instant::now(), services: Arc::clone(&services), replicas });
                Ok((services, replicas))
            }
            // An old list is better than none.
            (Err(_), Some(Known { services, replicas, .. })) => Ok((Arc::clone(services), *replicas)),
            (Err(error), None) => Err(error),
        }
    }
}

impl From<Item> for Service {
    fn from(item: Item) -> Self {
        let scheme = if item.service_ssl_flag { "https" } else { "http" };
        let kind = match item.service_type.as_str() {
            "disk" => ServiceKind::Disk,
            gateway if gateway.starts_with("gateway:") => ServiceKind::Gateway,
            _ => ServiceKind::Proxy,
        };
        let base = format!("{scheme}://{}:{}", item.service_host, item.service_port);
        Self { uuid: item.uuid, base, kind, read_only: item.read_only }
    }
}

/// Returns the services that are asked for a block, in order: those that hints name (`K@uuid`, `K@cluster`) first.
pub(super) fn in_order<'a>(
    hash: BlockHash,
    hints: impl Iterator<Item = &'a str>,
    services: &[Service],
) -> Vec<Service> {
    let named = hints.filter_map(|hint| {
        let name = hint.strip_prefix("K@")?;
        match services.iter().find(|service| service.uuid == name) {
            Some(service) => Some(service.clone()),
            None if name.len() == 5 => Some(Service {
                uuid: name.to_owned(),
                base: format!("https://keep.{name}.arvadosapi.com"),
                kind: ServiceKind::Proxy,
                read_only: true,
            }),
            None => None,
        }
    });
    let mut order: Vec<Service> = named.collect();
    let mut general: Vec<Service> = services
        .iter()
        .filter(|service| service.kind != ServiceKind::Gateway && !order.contains(service))
        .cloned()
        .collect();
    service_order(hash, &mut general, |service| service.uuid.as_bytes());
    order.append(&mut general);
    order
}

fn disk() -> String {
    "disk".to_owned()
}
