//! Runs the health checks that we ship for Argo CD, with a real Lua of the version that Argo CD's own interpreter speaks.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use mlua::{Lua, Table};
use serde_json::Value;

/// What Argo CD shows of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) message: String,
}

/// The health of an object, by the check that is shipped for its kind.
pub(crate) fn health(object: &Value) -> Result<Health> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/argocd/health.yaml");
    let settings: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file)?)?;
    let (version, kind) = object["apiVersion"].as_str().zip(object["kind"].as_str()).context("no kind")?;
    let group = version.split('/').next().unwrap_or_default();
    let key = format!("resource.customizations.health.{group}_{kind}");
    let check = settings["data"][&key].as_str().with_context(|| format!("no {key}"))?;
    said(check, object).map_err(|error| anyhow!("{key}: {error}"))
}

fn said(check: &str, object: &Value) -> mlua::Result<Health> {
    let lua = Lua::new();
    lua.globals().set("obj", in_lua(&lua, object)?)?;
    let said: Table = lua.load(check).eval()?;
    Ok(Health { status: said.get("status")?, message: said.get::<Option<String>>("message")?.unwrap_or_default() })
}

/// As Argo CD hands an object over: what is null is not there.
fn in_lua(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(flag) => mlua::Value::Boolean(*flag),
        Value::Number(number) => mlua::Value::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => mlua::Value::String(lua.create_string(text)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| in_lua(lua, item)).collect::<mlua::Result<Vec<_>>>()?;
            mlua::Value::Table(lua.create_sequence_from(items)?)
        }
        Value::Object(members) => {
            let table = lua.create_table()?;
            for (key, member) in members {
                table.set(key.as_str(), in_lua(lua, member)?)?;
            }
            mlua::Value::Table(table)
        }
    })
}
