//! What ties the two programs together: the operator never links the server, so these tests hold one against the other.

mod config;
mod management;
mod rendered;
