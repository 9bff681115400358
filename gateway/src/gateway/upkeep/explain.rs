//! Where a key is, where it should be, and why: for admins.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;

use crate::gateway::locations::logged;
use crate::gateway::{Gateway, GatewayError, Member, Shared};

/// What is known about a key on one node.
#[derive(Debug)]
pub struct OnNode {
    /// The node's name.
    pub name: String,
    /// The node's UUID.
    pub uuid: Uuid,
    /// Whether the location log names it.
    pub logged: bool,
    /// What the node itself says; an error if it cannot be asked.
    pub present: Result<bool, String>,
    /// Whether the node wants the key by its preferred content.
    pub wants: bool,
    /// Whether the key should be stored there now: wanted and missing, or chosen for want of copies.
    pub missing: bool,
    /// Whether the node has a surplus copy: it does not want the key, and enough others have it.
    pub surplus: bool,
}

/// What is known about a key in a repository.
#[derive(Debug)]
pub struct Explained {
    /// The nodes, by name.
    pub nodes: Vec<OnNode>,
    /// The number of copies that the repository asks for.
    pub numcopies: u64,
}

/// Tells where a key is, where it should be, and why. `file` is a name that has it as its content.
pub async fn explain(gateway: &Gateway, key: &Key, file: Option<&[u8]>) -> Result<Explained, GatewayError> {
    let asked = gateway.shared.nodes.iter().map(|member| member.node.present(key));
    let present: Vec<_> = join_all(asked).await.into_iter().map(|said| said.map_err(|e| e.to_string())).collect();
    let holds = |said: &Result<bool, String>| *said == Ok(true);
    let with_answers = gateway.shared.nodes.iter().zip(&present);
    let (holders, absent): (Vec<_>, Vec<_>) = with_answers.partition(|(_, said)| holds(said));
    let uuids = |members: Vec<(&Member, _)>| -> Vec<Uuid> {
        members.into_iter().map(|(member, _)| member.uuid.clone()).collect()
    };
    let (holders, absent) = (uuids(holders), uuids(absent));
    let (asking, key, file) = (gateway.clone(), key.clone(), file.map(<[u8]>::to_vec));
    let known = move || {
        let Shared { nodes, placer, branch, .. } = &*asking.shared;
        let all: Vec<Uuid> = nodes.iter().map(|member| member.uuid.clone()).collect();
        let (wanting, numcopies) = placer.wanting(&key, file.as_deref(), &all, &[])?;
        let missing = placer.choose(&key, file.as_deref(), &absent, &holders)?;
        let log = logged(&branch.read(&key.branch_path(".log"))?);
        let mut locations = log.clone();
        locations.retain(|uuid| !absent.contains(uuid));
        locations.extend(holders);
        let surplus = placer.surplus(&key, &locations)?;
        Ok::<_, GatewayError>((wanting, numcopies, missing, surplus, log))
    };
    let (wanting, numcopies, missing, surplus, log) = blocking(known).await?;
    let nodes = gateway.shared.nodes.iter().zip(present).map(|(member, present)| OnNode {
        name: member.name.clone(),
        logged: log.contains(&member.uuid),
        wants: wanting.contains(&member.uuid),
        missing: missing.contains(&member.uuid),
        surplus: surplus.contains(&member.uuid),
        uuid: member.uuid.clone(),
        present,
    });
    Ok(Explained { nodes: nodes.collect(), numcopies })
}
