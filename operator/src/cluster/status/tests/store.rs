//! What is said of the vector store, its volume and its corpus.

use super::*;

#[test]
fn nothing_is_unreachable_while_the_servers_start() {
    for spec in ["{}", EMBEDDED, EXTERNAL] {
        let (cluster, mut world) = starting(spec);
        world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
        let silent = after(&cluster, &world);
        let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
        for report in world.reports.values_mut() {
            report.answer = Answer::Said(waiting.clone());
        }
        let answering = after(&cluster, &world.later(30));
        for status in [silent, answering] {
            let text = serde_json::to_string(&status).unwrap().to_lowercase();
            assert!(!text.contains("unreachable") && !text.contains("cannot be reached"), "{spec}: {text}");
            let told = told(&cluster, &status);
            assert!(told.iter().all(|event| event.starts_with("Normal")), "{spec}: {told:?}");
        }
    }
}

#[test]
fn a_corpus_of_another_cluster_stalls_at_once_with_a_remedy() {
    let waiting =
        Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
    for spec in ["{}", EMBEDDED, EXTERNAL] {
        let (cluster, mut world) = starting(spec);
        world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
        for report in world.reports.values_mut() {
            report.answer = Answer::Said(waiting.clone());
        }
        let refused = after(&cluster, &world);
        is(&refused, ConditionType::VectorStoreReady, "False", ConditionReason::CorpusOwned);
        is(&refused, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
        is(&refused, ConditionType::Ready, "False", ConditionReason::Starting);
        let said = message(&refused, ConditionType::Stalled);
        assert!(said.contains("another collection") && said.contains("NAME-corpus"), "{said}");
        assert_eq!(refused.phase, "CorpusOwned: see condition Stalled");
    }
}

#[test]
fn servers_that_serve_go_on_beside_one_that_finds_the_corpus_of_another_cluster() {
    let (cluster, mut world) = serving(EXTERNAL);
    let waiting =
        Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
    world.reports.get_mut("pod-1").unwrap().answer = Answer::Said(waiting);
    let mixed = after(&cluster, &world);
    is(&mixed, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
    is(&mixed, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
}

#[test]
fn a_store_that_the_servers_wait_for_is_unreachable_after_a_minute() {
    let (cluster, mut world) = starting("{}");
    let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
    for report in world.reports.values_mut() {
        report.answer = Answer::Said(waiting.clone());
    }
    let at = |seconds| after(&cluster, &world.clone().later(seconds));
    is(&at(60), ConditionType::VectorStoreReady, "False", ConditionReason::Starting);
    is(&at(61), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
    // A store that came later than its servers has its own minute.
    let ready = world.later(120);
    let store = server_pod(&pass(&cluster, &ready).0, 9, "r", ready.now);
    let later = Observed { qdrant_pods: vec![store], ..ready };
    is(&after(&cluster, &later.clone().later(60)), ConditionType::VectorStoreReady, "False", ConditionReason::Starting);
    is(&after(&cluster, &later.later(61)), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
}

#[test]
fn a_change_of_the_store_is_under_way_until_its_pod_is_replaced() {
    let (mut cluster, world) = serving("{}");
    let changed = "{qdrant: {podTemplate: {labels: {team: a}}}}";
    cluster.spec.vector_store = serde_yaml_ng::from_str(changed).unwrap();
    let moves = |world: &Observed| {
        let new = after(&cluster, world);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
        assert!(message(&new, ConditionType::Reconciling).contains("of an earlier revision"), "{:?}", new.conditions);
    };
    moves(&world);
    let mut replaced = applied(&cluster, &world);
    is(&after(&cluster, &replaced), ConditionType::Reconciling, "False", ConditionReason::Settled);
    let unseen = |world: &mut Observed, generation| {
        world.children.qdrant_stateful_set.as_mut().unwrap().metadata.generation = Some(generation);
    };
    unseen(&mut replaced, 2);
    moves(&replaced);
    unseen(&mut replaced, 1);
    moves(&Observed { qdrant_pods: world.qdrant_pods.clone(), ..replaced });
}

#[test]
fn a_store_that_is_far_from_the_servers_client_is_said_where_the_store_is() {
    let (cluster, _) = serving("vectorStore: {qdrant: {image: 'example.com/qdrant:1.18.2'}}");
    let status = cluster.status.unwrap();
    is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
    let said = message(&status, ConditionType::VectorStoreReady);
    assert!(said.starts_with("vector store reached by the servers (Qdrant 1.18 is more than one minor"), "{said}");
    assert!(!message(&serving("{}").0.status.unwrap(), ConditionType::VectorStoreReady).contains("Qdrant"));
}

#[test]
fn the_embedded_store_is_never_asked_for_a_connection() {
    let (cluster, world) = starting(EMBEDDED);
    let new = after(&cluster, &world);
    is(&new, ConditionType::VectorStoreReady, "Unknown", ConditionReason::Starting);
    assert_eq!(message(&new, ConditionType::VectorStoreReady), "the vector store opens with its server");
    assert_eq!(new.phase, "Starting: servers 0/1");
}

#[test]
fn a_volume_that_may_not_grow_stalls_and_takes_nothing_away() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.vector_store = serde_yaml_ng::from_str("{qdrant: {storage: {size: 50Gi}}}").unwrap();
    let refused = |said: &str, world: &Observed| {
        let (valid, plan, _) = pass(&cluster, world);
        let refused = Refusal { growth: plan.growth.clone().unwrap(), said: said.to_owned() };
        let planned = Box::new(Planned::of(valid, plan));
        status(&cluster, world, &Outcome::Applied { planned, corrections: Vec::new(), refused: Some(refused) })
    };
    let new = refused("the storageclass that provisions the pvc must support resize", &world);
    is(&new, ConditionType::Stalled, "True", ConditionReason::VolumeTooSmall);
    is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
    assert_eq!(new.phase, "VolumeTooSmall: 10Gi of 50Gi");
    assert_eq!(told(&cluster, &new), ["Warning VolumeTooSmall"]);
    assert!(next_look(&new) <= LOOK_WHILE_STALLED);
    let said = message(&new, ConditionType::Stalled);
    assert!(said.starts_with("volume data-handbook-qdrant-0 may not grow from 10Gi to 50Gi: the storage"), "{said}");
    assert!(said.contains("allowVolumeExpansion: true on StorageClass standard"), "{said}");
    assert!(said.contains("spec.vectorStore.qdrant.storage.size: 10Gi"), "{said}");
    let full = message(&refused("exceeded quota: small", &world), ConditionType::Stalled);
    assert!(full.contains("raise the ResourceQuota") && !full.contains("StorageClass"), "{full}");
    // What is on its way is said first: it may well settle.
    let mut rolling = world;
    rolling.children.deployment.as_mut().unwrap().status.as_mut().unwrap().updated_replicas = Some(1);
    is(&refused("no", &rolling), ConditionType::Stalled, "False", ConditionReason::Unhindered);
}

#[test]
fn a_stateful_set_that_is_made_again_is_under_way_and_no_outage() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.vector_store = serde_yaml_ng::from_str("{qdrant: {storage: {size: 50Gi}}}").unwrap();
    let grown = applied(&cluster, &world);
    let gone = applied(&cluster, &grown);
    assert!(gone.children.qdrant_stateful_set.is_none());
    let mut unseen = applied(&cluster, &gone);
    unseen.children.qdrant_stateful_set.as_mut().unwrap().status = None;
    for world in [&world, &grown, &gone, &unseen] {
        let new = after(&cluster, world);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
        is(&new, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
        is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
        assert!(told(&cluster, &new).is_empty(), "{:?}", told(&cluster, &new));
    }
    let again = applied(&cluster, &gone);
    is(&after(&cluster, &again), ConditionType::Reconciling, "False", ConditionReason::Settled);
}

#[test]
fn a_volume_that_is_not_what_the_spec_asks_for_is_said_where_the_store_is() {
    for spec in ["vectorStore: {qdrant: {storage: {size: 50Gi}}}", EMBEDDED] {
        let (mut cluster, world) = serving(spec);
        assert!(!message(cluster.status.as_ref().unwrap(), ConditionType::VectorStoreReady).contains("volume"));
        let store = cluster.spec.vector_store.as_mut().unwrap();
        let qdrant = store.qdrant.as_mut().map(|qdrant| &mut qdrant.storage);
        let embedded = store.embedded.as_mut().map(|embedded| &mut embedded.storage);
        qdrant.into_iter().chain(embedded).for_each(|storage| storage.size = "5Gi".to_owned());
        let new = after(&cluster, &world);
        assert_eq!(condition(&new, ConditionType::VectorStoreReady).0, "True");
        let said = message(&new, ConditionType::VectorStoreReady);
        assert!(said.contains("and stays so, since no volume shrinks"), "{said}");
    }
}

#[test]
fn the_embedded_store_is_ready_with_its_server() {
    let (cluster, _) = serving(EMBEDDED);
    let status = cluster.status.unwrap();
    is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Embedded);
    assert_eq!(condition(&status, ConditionType::AutoscalingExact), Default::default());
    assert_eq!(status.autoscaling, None);
}
