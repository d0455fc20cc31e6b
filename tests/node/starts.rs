//! The node itself: pods run and are restricted, volumes open to their group, names resolve, figures arrive, and nothing
//! is left.
