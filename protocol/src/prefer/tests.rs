//! Recorded vectors and properties of preferred content.

mod balanced;
mod properties;
mod support;
mod vectors;
