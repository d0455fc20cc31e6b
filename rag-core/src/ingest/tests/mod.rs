//! The flow over doubles of its ports.

mod amplification;
mod changes;
mod crashes;
mod deletion;
mod docx;
mod encodings;
mod failures;
mod flow;
mod formats;
mod found;
mod hostile;
mod interleaved;
mod jobs;
pub(in crate::ingest) mod made;
mod memory;
mod model;
mod neighbours;
mod notices;
mod office;
mod outcomes;
mod replicas;
mod requests;
mod sweep;
mod tenants;
mod world;
