//! Content on its way: byte streams cut into blocks and hashed while they flow.
