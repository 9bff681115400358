//! The external special remote protocol: messages both ways.
