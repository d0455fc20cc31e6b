//! The keys of labels and annotations, for those who write them (`cluster::build::metadata`) and those who select by them.

/// What the workload is: `rag-server` or `qdrant`.
pub const NAME: &str = "app.kubernetes.io/name";
/// The name of the RagCluster.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The role inside the cluster, one of [`component`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Who manages the object; not part of a selector.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "ragops-operator";
/// The uid of the RagCluster, so that a cluster never selects the pods of a namesake that went before it.
pub const CLUSTER_UID: &str = "ragops.dev/cluster-uid";
/// The revision that a pod, a ConfigMap or a ControllerRevision belongs to.
pub const REVISION: &str = "ragops.dev/revision";
/// Which Deployment of servers a pod is of, one of [`colour`]. It is part of that Deployment's selector and of its pods, so that
/// a second Deployment can stand beside the first one; whatever else selects servers selects them whatever their colour.
pub const COLOUR: &str = "ragops.dev/colour";
/// The credential that a Secret holds one generation of.
pub const CREDENTIAL: &str = "ragops.dev/credential";
/// The generation of that credential, counted from 1.
pub const GENERATION: &str = "ragops.dev/generation";
/// Annotation: when a generation was minted.
pub const MINTED_AT: &str = "ragops.dev/minted-at";
/// Annotation of the mounted Secret: the clients whose Secrets may exist, so that they are found again without listing.
pub const CLIENTS: &str = "ragops.dev/clients";
/// Annotation of the autoscaler: the version of the API server that dropped its tolerance when it was asked for it.
pub const TOLERANCE_DROPPED: &str = "ragops.dev/tolerance-dropped";
/// Annotation of whichever holds the number of servers, the autoscaler or the Deployment: the most that ScaleApprovals allowed when
/// it was last written, while that is more than everybody may have.
pub const GRANTED: &str = "ragops.dev/granted-servers";
/// Annotation beside [`GRANTED`]: when it was last lowered, while it is taken back.
pub const LOWERED_AT: &str = "ragops.dev/lowered-at";
/// Annotation of NAME-corpus: the image of the managed vector store that started last, and so has the data.
pub const LAST_RUN: &str = "ragops.dev/last-run-image";
/// Annotation of a RagSnapshot: the uid of the RagRestore that asked for it, of what was served before. Of what a full drill makes
/// in another namespace: the uid of the drill.
pub const RESTORE_UID: &str = "ragops.dev/restore-uid";
/// Annotation of what a full drill makes in another namespace: the drill, as NAMESPACE/NAME.
pub const DRILL_OF: &str = "ragops.dev/drill-of";

/// The schedule that asked for a RagSnapshot or a RagRestore.
pub const SCHEDULE: &str = "ragops.dev/schedule";
/// The value of [`SCHEDULE`] on the trials of a restore; no schedule of snapshots has this name.
pub const DRILL: &str = "drill";
/// The same on those in another namespace.
pub const FULL_DRILL: &str = "full-drill";
/// Annotation of a RagSnapshot or a RagRestore that a schedule asked for: the time of the schedule's line that it is for.
pub const DUE_AT: &str = "ragops.dev/due-at";
/// The kind of the object for which a Job was made; on everything that was made for it, its pods too.
pub const OWNER_KIND: &str = "ragops.dev/owner-kind";
/// The name of that object.
pub const OWNER: &str = "ragops.dev/owner";
/// The name of the Job that a pod is of; Kubernetes gives it to them.
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Values of [`NAME`].
pub mod name {
    /// The query servers.
    pub const SERVER: &str = "rag-server";
    /// The managed vector store.
    pub const QDRANT: &str = "qdrant";
    /// One command of the servers' program, which ends by itself.
    pub const JOB: &str = "rag-job";
}

/// Values of [`COMPONENT`].
pub mod component {
    /// The query servers and what belongs to them.
    pub const SERVER: &str = "server";
    /// The managed vector store and what belongs to it.
    pub const VECTOR_STORE: &str = "vector-store";
    /// What works on the corpus beside the servers: snapshots, restores and drills.
    pub const JOB: &str = "job";
}

/// Values of [`COLOUR`].
pub mod colour {
    /// Of the Deployment whose name ends with no colour.
    pub const BLUE: &str = "blue";
}
