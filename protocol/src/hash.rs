//! The hash behind each key backend.
