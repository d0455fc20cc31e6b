//! All collections and aliases. A mutation is checked into a [`Step`], which is then taken. Pure.

use std::collections::BTreeMap;

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CreateCollection, CreateFieldIndexCollection, FieldType, PayloadSchemaType,
    SetPayloadPoints, UpdateCollection,
};

use super::collection::{Change, Collection, FieldIndex, PayloadChange};
use super::mutation::{Mutation, refuse_shard_keys};
use super::payload::Path;
use super::refusal::{Refusal, refuse_if};
use super::schema::Schema;

/// The longest name of a collection or alias.
const MAX_NAME: usize = 255;

/// Everything that the double knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Store {
    collections: BTreeMap<String, Collection>,
    aliases: BTreeMap<String, String>,
    operations: u64,
}

/// A checked mutation. Taking it cannot fail as long as nothing was changed since the check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A collection appears.
    Create(String, Box<Collection>),
    /// A collection has another schema.
    Update(String, Box<Schema>),
    /// A collection goes.
    Drop(String),
    /// The aliases are these from now on.
    Aliases(BTreeMap<String, String>),
    /// A collection changes inside.
    Change(String, Change),
}

impl Store {
    /// The collection of that name or alias.
    pub(crate) fn collection(&self, name: &str) -> Result<&Collection, Refusal> {
        self.collections.get(self.resolve(name)).ok_or_else(|| no_collection(name))
    }

    /// The names of all collections.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    /// Alias and collection of each alias.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, collection)| (alias.as_str(), collection.as_str()))
    }

    fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Checks a mutation against the state as it is; changes nothing.
    pub(crate) fn check(&self, mutation: &Mutation) -> Result<Step, Refusal> {
        match mutation {
            Mutation::CreateCollection(request) => self.check_create(request),
            Mutation::UpdateCollection(request) => self.check_update(request),
            Mutation::DeleteCollection(request) => Ok(Step::Drop(request.collection_name.clone())),
            Mutation::ChangeAliases(request) => self.check_aliases(request),
            Mutation::Upsert(request) => {
                refuse_shard_keys(request.shard_key_selector.as_ref())?;
                self.change(&request.collection_name, |collection| collection.check_upsert(request))
            }
            Mutation::Delete(request) => {
                refuse_shard_keys(request.shard_key_selector.as_ref())?;
                let selector = request.points.as_ref();
                self.change(&request.collection_name, |collection| {
                    collection.check_target(selector).map(Change::Delete)
                })
            }
            Mutation::SetPayload(request) => {
                self.check_set_payload(request, PayloadChange::Set(request.payload.clone()))
            }
            Mutation::OverwritePayload(request) => {
                self.check_set_payload(request, PayloadChange::Overwrite(request.payload.clone()))
            }
            Mutation::DeletePayload(request) => {
                refuse_shard_keys(request.shard_key_selector.as_ref())?;
                let keys = request.keys.iter().map(|key| Path::parse(key)).collect::<Result<_, _>>()?;
                self.change(&request.collection_name, |collection| {
                    collection.check_payload(request.points_selector.as_ref(), PayloadChange::Delete(keys))
                })
            }
            Mutation::ClearPayload(request) => {
                refuse_shard_keys(request.shard_key_selector.as_ref())?;
                self.change(&request.collection_name, |collection| {
                    collection.check_payload(request.points.as_ref(), PayloadChange::Clear)
                })
            }
            Mutation::CreateFieldIndex(request) => self.check_index(request),
            Mutation::DeleteFieldIndex(request) => {
                let dropped = Change::DropIndex(request.field_name.clone());
                self.change(&request.collection_name, |_| Ok(dropped))
            }
        }
    }

    /// Takes a checked step and returns the operation's number.
    pub(crate) fn take(&mut self, step: Step) -> u64 {
        self.operations += 1;
        match step {
            Step::Create(name, collection) => {
                self.collections.insert(name, *collection);
            }
            Step::Update(name, schema) => {
                if let Some(collection) = self.collections.get_mut(&name) {
                    collection.schema = *schema;
                }
            }
            Step::Drop(name) => {
                self.collections.remove(&name);
                self.aliases.retain(|_, collection| *collection != name);
            }
            Step::Aliases(aliases) => self.aliases = aliases,
            Step::Change(name, change) => {
                let operation = self.operations;
                if let Some(collection) = self.collections.get_mut(&name) {
                    collection.make(change, operation);
                }
            }
        }
        self.operations
    }

    fn change(&self, name: &str, check: impl FnOnce(&Collection) -> Result<Change, Refusal>) -> Result<Step, Refusal> {
        Ok(Step::Change(self.resolve(name).to_owned(), check(self.collection(name)?)?))
    }

    fn check_create(&self, request: &CreateCollection) -> Result<Step, Refusal> {
        let name = &request.collection_name;
        check_name(name)?;
        if self.collections.contains_key(name) || self.aliases.contains_key(name) {
            return Err(Refusal::Exists(format!("Wrong input: Collection `{name}` already exists!")));
        }
        Ok(Step::Create(name.clone(), Box::new(Collection::new(Schema::parse(request)?))))
    }

    fn check_update(&self, request: &UpdateCollection) -> Result<Step, Refusal> {
        let UpdateCollection { collection_name, timeout, metadata, strict_mode_config, .. } = request;
        let served = UpdateCollection {
            collection_name: collection_name.clone(),
            timeout: *timeout,
            metadata: metadata.clone(),
            strict_mode_config: strict_mode_config.clone(),
            ..UpdateCollection::default()
        };
        refuse_if(*request != served, "collection updates but metadata and strict mode")?;
        let mut schema = self.collection(collection_name)?.schema.clone();
        schema.merge_metadata(metadata);
        if let Some(config) = strict_mode_config {
            schema.set_strict_mode(config.clone())?;
        }
        Ok(Step::Update(self.resolve(collection_name).to_owned(), Box::new(schema)))
    }

    fn check_set_payload(&self, request: &SetPayloadPoints, change: PayloadChange) -> Result<Step, Refusal> {
        refuse_shard_keys(request.shard_key_selector.as_ref())?;
        refuse_if(request.key.is_some(), "the key of set_payload")?;
        let selector = request.points_selector.as_ref();
        self.change(&request.collection_name, |collection| collection.check_payload(selector, change))
    }

    fn check_index(&self, request: &CreateFieldIndexCollection) -> Result<Step, Refusal> {
        let kind = match request.field_type.map(FieldType::try_from) {
            None => return Err(Refusal::unsupported("a payload index without a field type")),
            Some(Err(_)) => return Err(Refusal::invalid("the field type is not known")),
            Some(Ok(FieldType::Keyword)) => PayloadSchemaType::Keyword,
            Some(Ok(FieldType::Integer)) => PayloadSchemaType::Integer,
            Some(Ok(FieldType::Float)) => PayloadSchemaType::Float,
            Some(Ok(FieldType::Geo)) => PayloadSchemaType::Geo,
            Some(Ok(FieldType::Text)) => PayloadSchemaType::Text,
            Some(Ok(FieldType::Bool)) => PayloadSchemaType::Bool,
            Some(Ok(FieldType::Datetime)) => PayloadSchemaType::Datetime,
            Some(Ok(FieldType::Uuid)) => PayloadSchemaType::Uuid,
        };
        let key = Path::parse(&request.field_name)?.as_str().to_owned();
        let index = FieldIndex { kind, params: request.field_index_params.clone() };
        self.change(&request.collection_name, |_| Ok(Change::Index(key, index)))
    }

    /// All actions on a copy, which replaces the original only when every one of them passed.
    fn check_aliases(&self, request: &ChangeAliases) -> Result<Step, Refusal> {
        let mut aliases = self.aliases.clone();
        for AliasOperations { action } in &request.actions {
            match action.as_ref().ok_or_else(|| Refusal::invalid("an alias action is empty"))? {
                Action::CreateAlias(create) => {
                    check_name(&create.alias_name)?;
                    if !self.collections.contains_key(&create.collection_name) {
                        return Err(no_collection(&create.collection_name));
                    }
                    self.check_free(&create.alias_name)?;
                    aliases.insert(create.alias_name.clone(), create.collection_name.clone());
                }
                Action::RenameAlias(rename) => {
                    check_name(&rename.new_alias_name)?;
                    self.check_free(&rename.new_alias_name)?;
                    let target = aliases.remove(&rename.old_alias_name);
                    let target = target.ok_or_else(|| no_alias(&rename.old_alias_name))?;
                    aliases.insert(rename.new_alias_name.clone(), target);
                }
                Action::DeleteAlias(delete) => {
                    // Removing what is not there is no error, as in the real server.
                    aliases.remove(&delete.alias_name);
                }
            }
        }
        Ok(Step::Aliases(aliases))
    }

    fn check_free(&self, alias: &str) -> Result<(), Refusal> {
        if self.collections.contains_key(alias) {
            return Err(Refusal::Exists(format!("Wrong input: Collection `{alias}` already exists!")));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let printable = name.chars().all(|c| !c.is_control() && !"<>:\"/\\|?*".contains(c));
    if name.is_empty() || name.len() > MAX_NAME || !printable || name == "." || name == ".." {
        return Err(Refusal::Invalid(format!(
            "the collection name {name:?} is not 1 to {MAX_NAME} bytes fit for a file"
        )));
    }
    Ok(())
}

fn no_collection(name: &str) -> Refusal {
    Refusal::NotFound(format!("Not found: Collection `{name}` doesn't exist!"))
}

fn no_alias(name: &str) -> Refusal {
    Refusal::NotFound(format!("Not found: Alias {name} does not exists!"))
}
