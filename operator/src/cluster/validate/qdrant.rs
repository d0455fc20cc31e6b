//! Which version of Qdrant may follow the one that has the data.
//!
//! Qdrant reads what the minor before it wrote, and never what a later one did. Only MAJOR.MINOR counts here, as the tag of an
//! image tells it; a tag without it, or a digest alone, says nothing and is not checked.

use std::fmt;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use semver::Comparator;

use super::{Problems, Scope};
use crate::api::{ConditionReason, labels};
use crate::cluster::observed::{Frozen, Observed};

/// The oldest that the operator runs: it knows what the managed store is started with.
const OLDEST: Minor = Minor { major: 1, minor: 17 };

/// What the servers' client is made for. A test compares it with the client's own version.
const CLIENT: Minor = Minor { major: 1, minor: 20 };

/// A version without its patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Minor {
    major: u64,
    minor: u64,
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Minor {
    /// What the image's tag says, as in `qdrant/qdrant:v1.20.0-unprivileged`.
    fn of(image: &str) -> Option<Self> {
        let name = image.split('@').next()?.rsplit('/').next()?;
        let (_, tag) = name.split_once(':')?;
        let version = tag.strip_prefix('v').unwrap_or(tag);
        let version = version.split(['-', '_']).next()?;
        let Comparator { major, minor, .. } = Comparator::parse(version).ok()?;
        Some(Self { major, minor: minor? })
    }

    /// Whether it reads what `before` wrote.
    fn may_follow(self, before: Self) -> bool {
        let is_next = |of: u64, than: u64| than.checked_add(1) == Some(of);
        self == before
            || self.major == before.major && is_next(self.minor, before.minor)
            || is_next(self.major, before.major) && self.minor == 0
    }

    /// Whether the client is made for this minor, the one before or the one after.
    fn suits_the_client(self) -> bool {
        self.major == CLIENT.major && self.minor.abs_diff(CLIENT.minor) <= 1
    }
}

/// Checks the image that the spec names against the one that has the data.
pub(super) fn check(image: &str, observed: &Observed, problems: &mut Problems) {
    let mut unsupported = |found: String, remedy: String| {
        let (reason, field) = (ConditionReason::VersionUnsupported, "spec.vectorStore.qdrant.image");
        problems.add((Scope::of_store(observed), reason), field, found, remedy);
    };
    let Some(wanted) = Minor::of(image) else { return };
    if wanted < OLDEST {
        return unsupported(
            format!("Qdrant {wanted} is older than {OLDEST}"),
            format!("name an image of Qdrant {OLDEST} or newer"),
        );
    }
    let Some(before) = last_run(observed).as_deref().and_then(Minor::of) else { return };
    if !wanted.may_follow(before) {
        let why = if wanted < before { "does not read what a newer one wrote" } else { "does not read it" };
        unsupported(
            format!("the data is Qdrant {before}'s, and Qdrant {wanted} {why}"),
            format!("go up one minor at a time: name an image of Qdrant {before}, or of the minor that follows it"),
        );
    }
}

/// What to say of a Qdrant that is far from what the servers' client is made for.
pub fn client_warning(observed: &Observed) -> Option<String> {
    let runs = Minor::of(&last_run(observed)?)?;
    (!runs.suits_the_client()).then(|| {
        format!(
            "Qdrant {runs} is more than one minor away from {CLIENT}, which the servers' client is made for; move \
             spec.vectorStore.qdrant.image towards it, one minor at a time"
        )
    })
}

/// The image of the managed store that has the data: the last one whose container has started. Nothing before the first start.
///
/// An image that could not be fetched has touched no data, so it is none; one that starts and ends again may have.
pub fn last_run(observed: &Observed) -> Option<String> {
    let started = observed.qdrant_pods.iter().find(|pod| has_started(pod)).and_then(|pod| image_of(pod, observed));
    let noted = || observed.children.corpus.as_ref()?.metadata.annotations.as_ref()?.get(labels::LAST_RUN).cloned();
    // Whoever removed NAME-corpus removed the note with it, and not the volume.
    let newest = || {
        let revisions = revisions(observed).filter(|_| observed.children.qdrant_stateful_set.is_none());
        Some(Frozen::read(revisions.max_by_key(|revision| revision.revision)?).ok()?.image)
    };
    started.or_else(noted).or_else(newest)
}

/// Whether a container of the pod runs or has run.
fn has_started(pod: &Pod) -> bool {
    let is_or_was = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    let has = |container: &ContainerStatus| {
        container.restart_count > 0
            || container.state.as_ref().is_some_and(is_or_was)
            || container.last_state.as_ref().is_some_and(is_or_was)
    };
    pod.status.as_ref().is_some_and(|status| status.container_statuses.iter().flatten().any(has))
}

/// What was frozen in the pod's revision: the pod's own status may spell the image in another way.
fn image_of(pod: &Pod, observed: &Observed) -> Option<String> {
    let of = label(&pod.metadata, labels::REVISION)?;
    let revision = revisions(observed).find(|revision| label(&revision.metadata, labels::REVISION) == Some(of))?;
    Some(Frozen::read(revision).ok()?.image)
}

/// The store's revisions.
fn revisions(observed: &Observed) -> impl Iterator<Item = &ControllerRevision> {
    let of_store =
        |revision: &&ControllerRevision| label(&revision.metadata, labels::NAME) == Some(labels::name::QDRANT);
    observed.children.revisions.iter().filter(of_store)
}

fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{applied, cluster, nothing, store_waits_for_its_image};
    use crate::cluster::observed::LiveChildren;
    use crate::cluster::validate::{Problem, validate};

    fn asking(image: &str) -> String {
        format!("vectorStore: {{qdrant: {{image: '{image}'}}}}")
    }

    /// What keeps an image from following another one that has run.
    fn in_the_way(before: &str, image: &str) -> Option<Problem> {
        held(image, &applied(&cluster(&asking(before)), &nothing()))
    }

    /// What keeps a store that runs where it is.
    fn held(image: &str, world: &Observed) -> Option<Problem> {
        validate(&cluster(&asking(image)), world).unwrap().held.pop()
    }

    #[test]
    fn a_tag_tells_its_minor_or_nothing() {
        let minor = |major, minor| Some(Minor { major, minor });
        for (image, told) in [
            ("qdrant/qdrant:v1.20.0", minor(1, 20)),
            ("registry:5000/mirror/qdrant:1.18", minor(1, 18)),
            ("qdrant/qdrant:v1.19.2-unprivileged", minor(1, 19)),
            ("qdrant/qdrant:v1.19-gpu-nvidia", minor(1, 19)),
            ("qdrant/qdrant:v1.20.1@sha256:0123", minor(1, 20)),
            ("qdrant/qdrant@sha256:0123", None),
            ("registry:5000/qdrant", None),
            ("qdrant/qdrant", None),
            ("qdrant/qdrant:latest", None),
            ("qdrant/qdrant:v1", None),
            ("qdrant/qdrant:1f2e3d", None),
            ("", None),
        ] {
            assert_eq!(Minor::of(image), told, "{image}");
        }
    }

    #[test]
    fn a_qdrant_older_than_the_oldest_is_refused_whoever_runs() {
        let refused = |image: &str| validate(&cluster(&asking(image)), &nothing()).err();
        for image in ["qdrant/qdrant:v1.17.0", "qdrant/qdrant:v2.0.0", "qdrant/qdrant:latest", "qdrant@sha256:0123"] {
            assert_eq!(refused(image), None, "{image}");
        }
        let problem = refused("qdrant/qdrant:v1.16.3").unwrap().remove(0);
        assert_eq!(problem.reason, ConditionReason::VersionUnsupported);
        assert_eq!(problem.field, "spec.vectorStore.qdrant.image");
        assert!(problem.remedy.contains("1.17"), "{problem}");
    }

    #[test]
    fn a_minor_is_followed_by_itself_and_by_the_next_one_alone() {
        for (before, image) in [
            ("q:v1.19.1", "q:v1.19.0"),
            ("q:v1.19.1", "q:v1.20.0"),
            ("q:v1.20.0", "q:v2.0.0"),
            ("q:latest", "q:v1.25.0"),
            ("q:v1.19.1", "q:latest"),
        ] {
            assert_eq!(in_the_way(before, image), None, "{before} {image}");
        }
        for (before, image, why) in [
            ("q:v1.19.1", "q:v1.18.9", "newer one wrote"),
            ("q:v1.19.1", "q:v1.21.0", "does not read it"),
            ("q:v1.19.1", "q:v2.1.0", "does not read it"),
            ("q:v2.0.0", "q:v1.25.0", "newer one wrote"),
        ] {
            let problem = in_the_way(before, image).unwrap();
            assert_eq!(problem.reason, ConditionReason::VersionUnsupported, "{before} {image}");
            assert!(problem.found.contains(why), "{problem}");
        }
    }

    #[test]
    fn what_has_the_data_is_known_while_no_pod_tells_it() {
        let old = cluster(&asking("q:v1.19.0"));
        let mut world = applied(&old, &applied(&old, &nothing()));
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.19.0"));
        world.qdrant_pods.clear();
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.19.0"));
        world.children.qdrant_stateful_set = None;
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.19.0"));
        let retained = Observed {
            children: LiveChildren { corpus: world.children.corpus.clone(), ..LiveChildren::default() },
            ..nothing()
        };
        assert_eq!(
            last_run(&retained).as_deref(),
            Some("q:v1.19.0"),
            "the cluster was deleted, and its volume was not"
        );
        let refused = validate(&cluster(&asking("q:v1.21.0")), &retained).unwrap_err();
        assert_eq!(refused[0].reason, ConditionReason::VersionUnsupported);
        world.children.corpus = None;
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.19.0"));
        assert_eq!(last_run(&nothing()), None);
    }

    #[test]
    fn an_image_that_is_refused_is_not_started_where_the_stateful_set_is_gone() {
        let old = cluster(&asking("q:v1.19.0"));
        let mut world = applied(&old, &applied(&old, &nothing()));
        assert!(held("q:v1.21.0", &world).is_some());
        world.children.qdrant_stateful_set = None;
        let problems = validate(&cluster(&asking("q:v1.21.0")), &world).unwrap_err();
        assert_eq!(problems[0].reason, ConditionReason::VersionUnsupported);
    }

    #[test]
    fn an_image_that_never_started_has_no_data() {
        let old = cluster(&asking("q:v1.19.0"));
        let mut world = applied(&cluster(&asking("q:v1.20.99")), &applied(&old, &applied(&old, &nothing())));
        store_waits_for_its_image(&mut world);
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.19.0"));
        assert_eq!(held("q:v1.19.0", &world), None);
        // It ran and ended: what it wrote is there.
        let status = world.qdrant_pods[0].status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        status[0].restart_count = 1;
        assert_eq!(last_run(&world).as_deref(), Some("q:v1.20.99"));
        assert!(held("q:v1.19.0", &world).is_some());
    }

    #[test]
    fn a_qdrant_far_from_the_client_is_warned_of() {
        let warning = |image: &str| client_warning(&applied(&cluster(&asking(image)), &nothing()));
        for fine in ["q:v1.19.0", "q:v1.20.9", "q:v1.21.0", "q:latest"] {
            assert_eq!(warning(fine), None, "{fine}");
        }
        for far in ["q:v1.18.0", "q:v1.22.0", "q:v2.20.0"] {
            assert!(warning(far).unwrap().contains("made for"), "{far}");
        }
    }

    #[test]
    fn the_client_is_the_one_that_the_servers_are_built_with() {
        let lock = include_str!("../../../../Cargo.lock");
        let of = lock.split("name = \"qdrant-client\"\nversion = \"").nth(1).unwrap();
        assert!(of.starts_with(&format!("{CLIENT}.")), "{CLIENT} is not of {}", &of[..10]);
    }
}
