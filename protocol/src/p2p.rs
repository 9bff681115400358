//! The P2P line protocol, versions 0 to 4.
