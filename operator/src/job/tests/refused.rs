//! What no Job can be made of, and what that says.

use std::sync::Arc;

use super::with_snapshots;
use crate::cluster::build::config::CONFIG_FILE;
use crate::cluster::fixtures::{applied, cluster, nothing};
use crate::job::{Archive, NoDestination, Unusable, servers};

#[test]
fn servers_that_are_not_made_or_cannot_be_read_say_so() {
    let none = servers(&cluster("{}"), None, &[]).unwrap_err();
    assert_eq!(none, Unusable::NotMade { cluster: "handbook".into() });
    let live = applied(&cluster("{}"), &nothing()).children;
    let mut config = live.configs[0].clone();
    config.data.as_mut().unwrap().insert(CONFIG_FILE.into(), "vector_store = 7".into());
    let unreadable = servers(&cluster("{}"), live.deployment.as_ref(), &[Arc::new(config)]).unwrap_err();
    assert!(unreadable.to_string().contains("handbook-config-"), "{unreadable}");
}

#[test]
fn a_destination_that_is_not_there_is_named_with_those_that_are() {
    let cluster = with_snapshots("");
    let of = |name: Option<&str>| Archive::of("handbook", cluster.spec.snapshots.as_ref(), name);
    assert_eq!(of(None).unwrap().destination.name, "offsite");
    assert_eq!(of(Some("near")).unwrap().place("team-a", "handbook"), "volume archive, folder team-a/handbook");
    assert_eq!(of(None).unwrap().place("team-a", "handbook"), "s3://archive/team-a/handbook");
    let unknown = of(Some("far")).unwrap_err().to_string();
    assert!(unknown.contains("\"far\"") && unknown.contains("offsite, near, cloud"), "{unknown}");
    assert!(matches!(Archive::of("handbook", None, None), Err(NoDestination::None { .. })));
}
