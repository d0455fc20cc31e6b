//! The flow over doubles of its ports.

mod crashes;
mod failures;
mod flow;
mod jobs;
mod memory;
mod replicas;
mod world;
