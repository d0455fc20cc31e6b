//! Each template of the chart does what its values say, and all of it is accepted by the API server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::CommandFactory as _;
use ragops_operator::cli::Cli;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::shared::{Shared, shared};

/// What one check sees: the objects of a release `ragops` in namespace `platform`.
type Check = fn(&Rendered) -> Result<()>;

/// Every template with values that switch its parts on or off, and what has to come of it.
const TABLE: [(&str, &str, Check); 20] = [
    ("admission_policy.yaml", "{}", |chart| {
        let policy = chart.one("ValidatingAdmissionPolicy", "ragops-secret-references")?;
        ensure!(policy["spec"]["failurePolicy"] == "Fail", "{policy}");
        let variables = policy["spec"]["variables"].as_array().context("no variables")?;
        let expression = |name: &str| {
            let variable = variables.iter().find(|variable| variable["name"] == name);
            variable.and_then(|variable| variable["expression"].as_str()).with_context(|| format!("no {name}"))
        };
        // What was named is told by the same words as what is named.
        for (now, before) in [("named", "before"), ("images", "imagesBefore")] {
            let words = expression(now)?.replace("object.", "oldObject.");
            ensure!(expression(before)?.ends_with(&words), "{before}: {}", expression(before)?);
        }
        for variable in variables {
            let questions = variable["expression"].as_str().context("no CEL")?.matches("check('get')").count();
            ensure!(questions <= 2, "the API server lets an expression ask twice: {variable}");
        }
        let binding = chart.one("ValidatingAdmissionPolicyBinding", "ragops-secret-references")?;
        ensure!(binding["spec"]["validationActions"] == json!(["Deny"]), "{binding}");
        Ok(())
    }),
    ("admission_policy.yaml", "{admissionPolicy: {enabled: false}}", |chart| {
        chart.none("ValidatingAdmissionPolicy")?;
        chart.none("ValidatingAdmissionPolicyBinding")
    }),
    ("aggregate_roles.yaml", "{}", |chart| {
        for (name, into) in [("ragops-editor", "edit"), ("ragops-viewer", "view")] {
            let role = chart.one("ClusterRole", name)?;
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{into}");
            ensure!(role["metadata"]["labels"][&label] == "true", "{role}");
        }
        // Whoever may edit asks for servers; approving them is given to somebody else, by name.
        let labels = chart.one("ClusterRole", "ragops-approver")?["metadata"]["labels"].to_string();
        ensure!(!labels.contains("aggregate-to"), "{labels}");
        let editor = chart.one("ClusterRole", "ragops-editor")?["rules"].to_string();
        ensure!(!editor.contains("scaleapprovals"), "{editor}");
        Ok(())
    }),
    ("aggregate_roles.yaml", "{aggregateRoles: false}", |chart| chart.none("ClusterRole")),
    ("approval_policy.yaml", "{}", |chart| {
        let policy = chart.one("ValidatingAdmissionPolicy", "ragops-approved-by")?;
        ensure!(policy["spec"]["failurePolicy"] == "Fail", "{policy}");
        let binding = chart.one("ValidatingAdmissionPolicyBinding", "ragops-approved-by")?;
        ensure!(binding["spec"]["validationActions"] == json!(["Deny"]), "{binding}");
        Ok(())
    }),
    ("approval_policy.yaml", "{admissionPolicy: {enabled: false}}", |chart| {
        chart.none("ValidatingAdmissionPolicy")?;
        chart.none("ValidatingAdmissionPolicyBinding")
    }),
    ("crd_ragclusters.yaml", "{}", |chart| {
        let kind = chart.one("CustomResourceDefinition", "ragclusters.ragops.dev")?;
        ensure!(kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "it would go with the release");
        Ok(())
    }),
    ("crd_ragrestores.yaml", "{}", |chart| {
        let kind = chart.one("CustomResourceDefinition", "ragrestores.ragops.dev")?;
        ensure!(kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "it would go with the release");
        Ok(())
    }),
    ("crd_ragsnapshots.yaml", "{}", |chart| {
        let kind = chart.one("CustomResourceDefinition", "ragsnapshots.ragops.dev")?;
        ensure!(kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "it would go with the release");
        Ok(())
    }),
    ("crd_scaleapprovals.yaml", "{}", |chart| {
        let kind = chart.one("CustomResourceDefinition", "scaleapprovals.ragops.dev")?;
        ensure!(kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "it would go with the release");
        Ok(())
    }),
    ("deployment.yaml", "{}", |chart| {
        let deployment = chart.one("Deployment", "ragops")?;
        ensure!(deployment["spec"]["replicas"] == 2, "{deployment}");
        ensure!(env(deployment, "RAGOPS_NAMESPACES")? == "platform", "{deployment}");
        ensure!(env(deployment, "RAGOPS_LEASE_NAME")? == default_of("RAGOPS_LEASE_NAME")?, "the Role names another lease");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for label in env(deployment, "RAGOPS_POD_LABELS")?.split(',') {
            let (key, value) = label.split_once('=').with_context(|| format!("{label} is no label"))?;
            ensure!(labels[key] == value, "the operator's pods do not carry {label}: {labels}");
        }
        let known: BTreeSet<String> = known_variables();
        for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().context("env")? {
            let name = variable["name"].as_str().unwrap_or_default();
            ensure!(known.contains(name), "the operator does not read {name}, only {known:?}");
        }
        Ok(())
    }),
    (
        "deployment.yaml",
        "{namespaces: [team-b, team-a, team-a], replicas: 1, leaseSeconds: 30, logLevel: debug, serverImage: 'a:1', qdrantImage: 'q:2',
          image: {repository: r.example.com/op, tag: '9', pullPolicy: Always}, imagePullSecrets: [{name: pull}],
          podLabels: {team: a}, podAnnotations: {note: b}, nodeSelector: {disk: ssd}, tolerations: [{key: k, operator: Exists}],
          affinity: {podAntiAffinity: {}}, resources: {limits: {memory: 1Gi}}}",
        |chart| {
            let deployment = chart.one("Deployment", "ragops")?;
            for (name, value) in [
                ("RAGOPS_NAMESPACES", "team-a,team-b"),
                ("RAGOPS_LEASE_SECONDS", "30"),
                ("RAGOPS_LOG", "debug"),
                ("RAGOPS_SERVER_IMAGE", "a:1"),
                ("RAGOPS_QDRANT_IMAGE", "q:2"),
            ] {
                ensure!(env(deployment, name)? == value, "{name}: {deployment}");
            }
            let template = &deployment["spec"]["template"];
            ensure!(template["metadata"]["labels"]["team"] == "a" && template["metadata"]["annotations"]["note"] == "b");
            let (pod, container) = (&template["spec"], &template["spec"]["containers"][0]);
            ensure!(container["image"] == "r.example.com/op:9" && container["imagePullPolicy"] == "Always", "{container}");
            ensure!(container["resources"]["limits"]["memory"] == "1Gi", "{container}");
            ensure!(pod["imagePullSecrets"] == json!([{"name": "pull"}]) && pod["nodeSelector"] == json!({"disk": "ssd", "kubernetes.io/arch": "amd64"}));
            ensure!(pod["tolerations"][0]["key"] == "k" && pod["affinity"]["podAntiAffinity"].is_object(), "{pod}");
            Ok(())
        },
    ),
    ("full_drill_policy.yaml", "{}", |chart| chart.none("ValidatingAdmissionPolicy")),
    ("full_drill_policy.yaml", "{namespaces: [team-a], drillNamespaces: [team-b]}", |chart| {
        let policy = chart.one("ValidatingAdmissionPolicy", "ragops-full-drill")?;
        ensure!(policy["spec"]["failurePolicy"] == "Fail", "{policy}");
        let binding = chart.one("ValidatingAdmissionPolicyBinding", "ragops-full-drill")?;
        ensure!(binding["spec"]["validationActions"] == json!(["Deny"]), "{binding}");
        ensure!(binding["spec"]["matchResources"].to_string().contains("team-a"), "{binding}");
        Ok(())
    }),
    ("full_drill_role.yaml", "{}", |chart| chart.none("Role")),
    ("full_drill_role.yaml", "{namespaces: [team-a], drillNamespaces: [team-b]}", |chart| {
        chart.places("Role", "ragops-full-drill", &["team-b"])?;
        chart.places("RoleBinding", "ragops-full-drill", &["team-b"])
    }),
    ("leader_role.yaml", "{namespaces: [team-a]}", |chart| {
        let role = chart.one("Role", "ragops-leader")?;
        ensure!(role["metadata"]["namespace"] == "platform", "the lease is in the operator's own namespace: {role}");
        for rule in role["rules"].as_array().context("no rules")? {
            let is_named = rule["resourceNames"] == json!([default_of("RAGOPS_LEASE_NAME")?]);
            // What does not exist yet cannot be named.
            ensure!(is_named || rule["verbs"] == json!(["create"]), "another lease can be read or changed: {rule}");
        }
        chart.one("RoleBinding", "ragops-leader").map(drop)
    }),
    ("role.yaml", "{}", |chart| chart.places("Role", "ragops", &["platform"])),
    ("role.yaml", "{namespaces: [team-a, team-b]}", |chart| {
        chart.places("Role", "ragops", &["team-a", "team-b"])?;
        chart.places("RoleBinding", "ragops", &["team-a", "team-b"])?;
        let secrets = |rule: &&Value| rule["resources"].as_array().is_some_and(|all| all.contains(&json!("secrets")));
        for role in chart.all("Role").filter(|role| role["metadata"]["name"] == "ragops") {
            let rule = role["rules"].as_array().and_then(|rules| rules.iter().find(secrets)).context("no Secrets")?;
            let verbs = rule["verbs"].to_string();
            ensure!(!verbs.contains("list") && !verbs.contains("watch") && !verbs.contains('*'), "{verbs}");
        }
        Ok(())
    }),
    ("service_account.yaml", "{}", |chart| {
        let account = chart.one("ServiceAccount", "ragops")?;
        ensure!(account["metadata"]["namespace"] == "platform", "{account}");
        Ok(())
    }),
];

fn env<'d>(deployment: &'d Value, name: &str) -> Result<&'d str> {
    let all = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().context("no env")?;
    let found = all.iter().find(|variable| variable["name"] == name).with_context(|| format!("no {name}"))?;
    found["value"].as_str().with_context(|| format!("{name} is no text"))
}

/// The variables that the operator's command line reads.
fn known_variables() -> BTreeSet<String> {
    let program = Cli::command();
    let arguments = program.get_subcommands().flat_map(clap::Command::get_arguments);
    arguments.filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned())).collect()
}

/// What the operator takes where nobody sets the variable.
fn default_of(variable: &str) -> Result<String> {
    let program = Cli::command();
    let mut arguments = program.get_subcommands().flat_map(clap::Command::get_arguments);
    let found = arguments.find(|argument| argument.get_env().is_some_and(|name| name == variable));
    let found = found.with_context(|| format!("the operator does not read {variable}"))?;
    let default = found.get_default_values().first().with_context(|| format!("{variable} has no default"))?;
    Ok(default.to_string_lossy().into_owned())
}

struct Rendered {
    objects: Vec<Value>,
}

impl Rendered {
    fn all(&self, kind: &str) -> std::vec::IntoIter<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>().into_iter()
    }

    fn one(&self, kind: &str, name: &str) -> Result<&Value> {
        let mut found = self.all(kind).filter(|object| object["metadata"]["name"] == name);
        let first = found.next().with_context(|| format!("no {kind} {name}"))?;
        ensure!(found.next().is_none(), "more than one {kind} {name}");
        Ok(first)
    }

    fn none(&self, kind: &str) -> Result<()> {
        ensure!(self.all(kind).next().is_none(), "there is a {kind}");
        Ok(())
    }

    fn places(&self, kind: &str, name: &str, namespaces: &[&str]) -> Result<()> {
        let named = self.all(kind).filter(|object| object["metadata"]["name"] == name);
        let found: Vec<&Value> = named.map(|object| &object["metadata"]["namespace"]).collect();
        ensure!(found == namespaces, "{kind} {name} in {found:?}");
        Ok(())
    }
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ragops")
}

/// Renders with the values, for a release `ragops` in namespace `platform`.
async fn render(shared: &Shared, values: &str, template: Option<&str>) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), values)?;
    let mut helm = tokio::process::Command::new(shared.cluster.parts().program("helm"));
    helm.args(["template", "ragops"]).arg(chart()).args(["--namespace", "platform", "--values"]).arg(file.path());
    if let Some(template) = template {
        helm.args(["--show-only", &format!("templates/{template}")]);
    }
    let output = helm.env("HOME", shared.cluster.folder()).output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // A template that renders to nothing is not an error of the chart.
    if said.contains("could not find template") {
        return Ok(String::new());
    }
    ensure!(output.status.success(), "{}", said.trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn parsed(text: &str) -> Result<Rendered> {
    let documents = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let objects = documents.collect::<Result<Vec<Value>, _>>()?;
    Ok(Rendered { objects: objects.into_iter().filter(|object| !object.is_null()).collect() })
}

#[tokio::test]
async fn every_template_follows_its_values() -> Result<()> {
    let Some(shared) = shared("every_template_follows_its_values").await? else { return Ok(()) };
    let checked: BTreeSet<String> = TABLE.iter().map(|(template, ..)| (*template).to_owned()).collect();
    let entries = std::fs::read_dir(chart().join("templates"))?.flatten();
    let mut templates: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    templates.retain(|name| !name.starts_with('_') && name != "NOTES.txt");
    assert_eq!(checked, templates, "a template without a check, or a check without a template");
    for (template, values, check) in TABLE {
        let rendered = parsed(&render(shared, values, Some(template)).await?)?;
        check(&rendered).with_context(|| format!("{template} with {values}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_api_server_accepts_what_the_chart_renders() -> Result<()> {
    let Some(shared) = shared("the_api_server_accepts_what_the_chart_renders").await? else { return Ok(()) };
    let namespaces = ["first", "second"];
    let (_, first) = shared.alone(namespaces[0]).await?;
    let (_, second) = shared.alone(namespaces[1]).await?;
    for (_, values, _) in TABLE {
        let text = render(shared, values, None).await?;
        let text = text.replace("team-a", &first).replace("team-b", &second).replace("platform", &first);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut kubectl = tokio::process::Command::from(shared.cluster.kubectl());
        kubectl.args(["apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f"]);
        let output = kubectl.arg(file.path()).output().await?;
        ensure!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_does_not_exist_is_refused() -> Result<()> {
    let Some(shared) = shared("a_value_that_does_not_exist_is_refused").await? else { return Ok(()) };
    for (values, word) in
        [("{replica: 2}", "replica"), ("{replicas: 0}", "replicas"), ("{namespaces: [Team]}", "namespaces")]
    {
        let refused = render(shared, values, None).await.err().with_context(|| format!("accepted: {values}"))?;
        assert!(format!("{refused:#}").contains(word), "{refused:#}");
    }
    Ok(())
}
