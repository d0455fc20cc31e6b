//! The outside world: one file or folder for each thing that a port reaches. Chosen only by `cli`.
