//! The names of objects of our own kinds. Pure.

use kube::Resource;
use kube::core::DeserializeGuard;

/// A kind of ours.
pub trait OwnKind: Resource<DynamicType = ()> {
    /// The kind as the API spells it; also a label of metrics and logs.
    const KIND: &'static str;
}

impl<K: OwnKind> OwnKind for DeserializeGuard<K> {
    const KIND: &'static str = K::KIND;
}

/// An object of one of our own kinds. The kind is part of its name: a RagCluster and an object of another kind that is called the
/// same have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// The name of an object.
    pub fn of<K: OwnKind>(object: &K) -> Self {
        let metadata = object.meta();
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        Self { kind: K::KIND, namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default() }
    }
}
