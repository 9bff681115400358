//! Recorded vectors and properties of whole logs.

mod properties;
mod vectors;
mod writes;
