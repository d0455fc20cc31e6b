//! What is said while something keeps the spec from being carried out.

use super::*;

#[test]
fn an_invalid_spec_stalls_and_leaves_what_runs_as_it_is() {
    let (mut cluster, world) = serving("{}");
    cluster.metadata.generation = Some(2);
    cluster.spec = crate::cluster::fixtures::cluster("resources: {requests: {cpu: '0'}}").spec;
    let problems = validate(&cluster, &world).unwrap_err();
    let new = status(&cluster, &world, &Outcome::Invalid { problems });
    is(&new, ConditionType::Stalled, "True", ConditionReason::InvalidSpec);
    is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
    let old = cluster.status.as_ref().unwrap();
    assert_eq!((&new.revision, &new.selector, &new.endpoint), (&old.revision, &old.selector, &old.endpoint));
    assert_eq!(new.observed_generation, Some(2));
    assert!(new.phase.starts_with("InvalidSpec: spec.resources"), "{}", new.phase);
    assert_eq!(told(&cluster, &new), ["Warning InvalidSpec"]);
}

#[test]
fn a_missing_secret_stalls_the_next_revision_and_is_looked_for_within_thirty_seconds() {
    let (mut cluster, mut world) = serving("autoscaling: {enabled: false}");
    cluster.metadata.generation = Some(2);
    cluster.spec.replicas = 4;
    cluster.spec.pod_template =
        serde_json::from_value(serde_json::json!({"imagePullSecrets": [{"name": "pull"}]})).unwrap();
    world.referenced_secrets.insert("pull".into(), Presence::Missing);
    let held = after(&cluster, &world);
    is(&held, ConditionType::Stalled, "True", ConditionReason::SecretMissing);
    is(&held, ConditionType::Reconciling, "False", ConditionReason::Settled);
    let said = message(&held, ConditionType::Stalled);
    assert!(said.contains("no Secret \"pull\"") && said.contains("what needs no new revision is applied"), "{said}");
    assert_eq!(held.revision, cluster.status.as_ref().unwrap().revision);
    // The world that follows has the fourth server: what serves is told as it is.
    let scaled = applied(&cluster, &world);
    let held = after(&cluster, &scaled);
    is(&held, ConditionType::Ready, "True", ConditionReason::Serving);
    is(&held, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    assert_eq!(held.servers, "4/4");
    assert_eq!(told(&cluster, &held), ["Warning SecretMissing"]);
    assert!(next_look(&held) <= Duration::from_secs(30) && next_look(&held) > LOOK_WHILE_MOVING);
    world.referenced_secrets.insert("pull".into(), Presence::Exists);
    let released = after(&cluster, &world);
    is(&released, ConditionType::Stalled, "False", ConditionReason::Unhindered);
    assert_ne!(released.revision, held.revision);
}

#[test]
fn a_failure_is_said_by_its_class() {
    let (cluster, world) = serving("{}");
    let failed = |class| {
        let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
        let failure =
            Failure { phase: Phase::Apply, class, message: "patch deployments".into(), remedy: "do this".into() };
        status(&cluster, &world, &Outcome::Failed { planned, failure })
    };
    let forbidden = failed(Class::Forbidden);
    is(&forbidden, ConditionType::Stalled, "True", ConditionReason::Forbidden);
    assert_eq!(told(&cluster, &forbidden), ["Warning Forbidden"]);
    is(&failed(Class::Invalid), ConditionType::Stalled, "True", ConditionReason::Rejected);
    let transient = failed(Class::Transient);
    is(&transient, ConditionType::Stalled, "False", ConditionReason::Unhindered);
    is(&transient, ConditionType::Reconciling, "True", ConditionReason::Retrying);
    is(&transient, ConditionType::Ready, "True", ConditionReason::Serving);
    assert!(told(&cluster, &transient).is_empty());
}

#[test]
fn a_budget_waits_for_servers_that_know_it() {
    let (mut cluster, mut world) = serving("{generation: {providers: [{name: a, baseUrl: 'https://a/v1', model: m}]}}");
    cluster.spec.budget = serde_json::from_value(serde_json::json!({"monthlyUsd": 20})).unwrap();
    assert!(after(&cluster, &world).next.iter().all(|step| !step.what.contains("spec.budget")));
    for revision in &mut world.children.revisions {
        revision.data.0["configSchema"] = serde_json::json!(1);
    }
    let waiting = after(&cluster, &world);
    assert!(waiting.next.iter().any(|step| step.what.contains("spec.budget")), "{:?}", waiting.next);
    let live = pass(&cluster, &world).2.live.data.unwrap()["live.toml"].clone();
    assert_eq!(live, "read_only = false\n");
}

#[test]
fn the_preference_of_cheaper_providers_waits_for_servers_that_know_it() {
    let spec = "{generation: {providers: [{name: a, baseUrl: 'https://a/v1', model: m}]},
                 budget: {monthlyUsd: 20, preferCheaperPercent: 80}}";
    let (cluster, mut world) = serving(spec);
    let live = |world: &Observed| pass(&cluster, world).2.live.data.unwrap()["live.toml"].clone();
    assert!(live(&world).ends_with("\non_limit = \"Extractive\"\nprefer_cheaper_percent = 80\n"), "{}", live(&world));
    for revision in &mut world.children.revisions {
        revision.data.0["configSchema"] = serde_json::json!(2);
    }
    assert!(live(&world).ends_with("\non_limit = \"Extractive\"\n"), "{}", live(&world));
    let waiting = after(&cluster, &world).next;
    assert!(waiting.iter().any(|step| step.what.contains("preferCheaperPercent")), "{waiting:?}");
}

#[test]
fn the_key_of_a_removed_client_is_told_while_a_server_accepts_it() {
    let (mut cluster, mut world) = serving("auth: {apiKeys: [{name: nightly}, {name: web}]}");
    let names = ["api-key.nightly", "api-key.web", "operator", "vector-store"];
    for report in world.reports.values_mut() {
        let Answer::Said(said) = &mut report.answer else { unreachable!() };
        said.credentials = names.map(str::to_owned).into();
    }
    let lingers = |cluster: &RagCluster, world: &Observed| {
        let steps = after(cluster, world).next.into_iter().map(|step| step.what);
        steps.filter(|what| what.contains("spec.auth.apiKeys")).collect::<Vec<String>>()
    };
    assert!(lingers(&cluster, &world).is_empty());
    cluster.spec.auth.api_keys.remove(0);
    let told = lingers(&cluster, &world);
    assert!(told.len() == 1 && told[0].ends_with("the key of nightly"), "{told:?}");
    for report in world.reports.values_mut() {
        let Answer::Said(said) = &mut report.answer else { unreachable!() };
        said.credentials.remove("api-key.nightly");
    }
    assert!(lingers(&cluster, &world).is_empty());
}

#[test]
fn a_paused_cluster_says_so_and_still_reports() {
    let (cluster, world) = serving("{}");
    let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
    let paused = status(&cluster, &world, &Outcome::Paused { planned });
    assert_eq!((paused.phase.as_str(), paused.servers.as_str()), ("Paused, serving", "3/3"));
    is(&paused, ConditionType::Reconciling, "False", ConditionReason::Paused);
    assert_eq!(told(&cluster, &paused), ["Normal Paused"]);
}

#[test]
fn what_is_planned_and_not_carried_out_is_not_expected_of_the_servers() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.retrieval.top_k = 9;
    cluster.spec.read_only = true;
    let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
    let paused = status(&cluster, &world.later(3600), &Outcome::Paused { planned });
    let old = cluster.status.as_ref().unwrap();
    assert_eq!((&paused.revision, &paused.configuration), (&old.revision, &old.configuration));
    is(&paused, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    is(&paused, ConditionType::Ready, "True", ConditionReason::Serving);
}
