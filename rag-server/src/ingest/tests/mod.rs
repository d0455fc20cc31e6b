//! The flow over doubles of its ports.

mod amplification;
mod changes;
mod crashes;
mod failures;
mod flow;
mod formats;
mod hostile;
mod jobs;
mod made;
mod memory;
mod neighbours;
mod outcomes;
mod replicas;
mod requests;
mod tenants;
mod world;
