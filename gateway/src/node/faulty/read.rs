//! Bytes that go wrong on their way from a node.

use std::future::pending;
use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::script::ReadFault;
use crate::node::port::ByteStream;

/// Bytes of which some go wrong.
struct Spoiled {
    stream: ByteStream,
    position: u64,
    fault: ReadFault,
    over: bool,
}

/// Spoils a stream whose first byte stands at `position` in the content.
pub(super) fn spoiled(stream: ByteStream, position: u64, fault: ReadFault) -> ByteStream {
    stream::unfold(Spoiled { stream, position, fault, over: false }, |mut spoiled| async move {
        let next = spoiled.next().await?;
        Some((next, spoiled))
    })
    .boxed()
}

impl Spoiled {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        let (ReadFault::FailsAt(at, _) | ReadFault::EndsAt(at) | ReadFault::HangsAt(at) | ReadFault::WrongAt(at)) =
            self.fault;
        let good = at.checked_sub(self.position).map(|good| usize::try_from(good).unwrap_or(usize::MAX));
        match (&self.fault, good) {
            // The byte was before the first that was asked for.
            (_, None) | (ReadFault::WrongAt(_), _) => {}
            (fault, Some(0)) => match fault {
                ReadFault::HangsAt(_) => pending().await,
                ReadFault::FailsAt(_, error) => {
                    self.over = true;
                    return Some(Err(io::Error::other(error.clone())));
                }
                ReadFault::EndsAt(_) | ReadFault::WrongAt(_) => return None,
            },
            _ => {}
        }
        let mut bytes = match self.stream.next().await? {
            Ok(bytes) => bytes,
            failed => return Some(failed),
        };
        if let Some(good) = good.filter(|good| *good < bytes.len()) {
            if let ReadFault::WrongAt(_) = self.fault {
                let mut wrong = bytes.to_vec();
                if let Some(byte) = wrong.get_mut(good) {
                    *byte = !*byte;
                }
                bytes = wrong.into();
            } else {
                bytes.truncate(good);
            }
        }
        self.position += bytes.len() as u64;
        Some(Ok(bytes))
    }
}
