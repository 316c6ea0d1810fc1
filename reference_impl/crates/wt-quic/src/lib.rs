//! quinn-proto with RESET_STREAM_AT: what build.rs made of the published crate
#![allow(warnings, clippy::all)]
include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));
