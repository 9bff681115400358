//! What everything else stands on: bytes on their way, files, time, HTTP clients, and work off the runtime.

pub mod clock;
pub mod disk;
pub mod http_client;
pub mod stream;
pub mod task;
