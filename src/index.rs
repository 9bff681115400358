//! The port `Index`: which entries a store holds.
