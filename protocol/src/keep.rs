//! Keep locators, hints, permission signatures and rendezvous order.
