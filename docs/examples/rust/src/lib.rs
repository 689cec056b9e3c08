//! What the two programs in src/bin share: reading an event stream, checking a webhook's signatures, and what these need.

pub mod eventstream;
pub mod http;
pub mod sha256;
pub mod signature;
