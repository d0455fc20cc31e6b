//! What follows `rag-server --config FILE` where a snapshot is taken, read again, or its copy removed. Pure.

/// Takes it, for the object with this uid, and reads it back; a server that alone may open its store is asked to read it.
pub fn take(name: &str, uid: &str, lender: Option<&str>) -> Vec<String> {
    let ask = lender.map(|server| ["--server", server]);
    let take = ["snapshot", "create", name, "--taken-for", uid, "--verify"];
    take.into_iter().chain(ask.into_iter().flatten()).map(str::to_owned).collect()
}

/// Reads it again, by its name in the archive.
pub fn verify(name: &str) -> Vec<String> {
    ["snapshot", "verify", name].map(str::to_owned).to_vec()
}

/// Removes its copy. Whoever deletes the object with its copy means it, also where it is the last.
pub fn remove(name: &str) -> Vec<String> {
    ["snapshot", "remove", name, "--last"].map(str::to_owned).to_vec()
}
