//! Condition types and reasons: the only place where they are spelled.
//!
//! A reason is the machine's interface and names the class of a cause; the sentence for people is the condition's message.

use std::fmt;

/// A condition of one of our kinds; all of them have Ready, Reconciling and Stalled. One that belongs to an unused feature is
/// absent, not Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The service answers: rolls up the three that follow. Of a ScaleApproval: it is in force. Of a RagSnapshot: it is in the
    /// archive, whole.
    Ready,
    /// Enough query servers are ready.
    ServersReady,
    /// The vector store is reached.
    VectorStoreReady,
    /// Every server runs the configuration that was rendered for it.
    ConfigurationInSync,
    /// The operator is bringing the cluster to its spec (kstatus).
    Reconciling,
    /// The operator cannot go on without a person (kstatus).
    Stalled,
    /// The autoscaler keeps the dead band exactly.
    AutoscalingExact,
    /// The autoscaler gets the figures it decides by.
    MetricsAvailable,
    /// More servers were asked for than are allowed.
    ReplicasCapped,
    /// Servers refuse writes, or were asked to.
    ReadOnly,
    /// Snapshots are taken as the schedules say.
    SnapshotsHealthy,
    /// The last trial of a restore passed.
    RestoreVerified,
    /// A snapshot was read back whole, and is what was taken.
    Verified,
}

impl ConditionType {
    /// Every type, in the order in which they stand in a status.
    pub const ALL: [Self; 13] = [
        Self::Ready,
        Self::ServersReady,
        Self::VectorStoreReady,
        Self::ConfigurationInSync,
        Self::Reconciling,
        Self::Stalled,
        Self::AutoscalingExact,
        Self::MetricsAvailable,
        Self::ReplicasCapped,
        Self::ReadOnly,
        Self::SnapshotsHealthy,
        Self::RestoreVerified,
        Self::Verified,
    ];

    /// The type as it stands in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::ServersReady => "ServersReady",
            Self::VectorStoreReady => "VectorStoreReady",
            Self::ConfigurationInSync => "ConfigurationInSync",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::AutoscalingExact => "AutoscalingExact",
            Self::MetricsAvailable => "MetricsAvailable",
            Self::ReplicasCapped => "ReplicasCapped",
            Self::ReadOnly => "ReadOnly",
            Self::SnapshotsHealthy => "SnapshotsHealthy",
            Self::RestoreVerified => "RestoreVerified",
            Self::Verified => "Verified",
        }
    }

    /// The status that is worth a warning when it is entered.
    pub const fn bad_status(self) -> &'static str {
        match self {
            Self::Ready
            | Self::ServersReady
            | Self::VectorStoreReady
            | Self::ConfigurationInSync
            | Self::AutoscalingExact
            | Self::MetricsAvailable
            | Self::SnapshotsHealthy
            | Self::RestoreVerified
            | Self::Verified => "False",
            Self::Reconciling | Self::Stalled | Self::ReplicasCapped | Self::ReadOnly => "True",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Declares the reasons, each of which is spelled as it is named.
macro_rules! reasons {
    ($($(#[$meaning:meta])+ $name:ident,)+) => {
        /// Why a condition has its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ConditionReason {
            $($(#[$meaning])+ $name,)+
        }

        impl ConditionReason {
            /// Every reason. A test finds each in the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason as it stands in a status.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// Ready: the service answers.
    Serving,
    /// Ready, ServersReady, VectorStoreReady: not there yet, and nothing is wrong.
    Starting,
    /// Ready: serves as before, and more servers were asked for than answer yet.
    Scaling,
    /// Ready: was serving and does not any more.
    Degraded,
    /// ServersReady: as many servers as asked for are ready.
    AllReady,
    /// ServersReady: fewer than asked for, enough to serve.
    SomeReady,
    /// ServersReady: no server is ready.
    NoneReady,
    /// ServersReady, VectorStoreReady: no node has room for a pod.
    Unschedulable,
    /// ServersReady, VectorStoreReady: the image cannot be fetched.
    ImageUnavailable,
    /// ServersReady, VectorStoreReady: the container starts and ends again.
    CrashLooping,
    /// ServersReady, VectorStoreReady: the container cannot be created.
    ContainerNotCreated,
    /// ServersReady, VectorStoreReady: a pod waits for a volume that nobody makes.
    VolumeUnbound,
    /// ServersReady: the API server does not let pods be created.
    PodsRefused,
    /// ServersReady: servers run and have waited too long for something that they need.
    PartNotReady,
    /// ServersReady: the roll-out makes no progress any more.
    RolloutStuck,
    /// Stalled: somebody has paused the Deployment of the servers.
    RolloutPaused,
    /// VectorStoreReady: the store answers.
    Reachable,
    /// VectorStoreReady: the store is part of the server.
    Embedded,
    /// VectorStoreReady: servers do not reach the store. ConfigurationInSync: servers that take traffic do not answer the operator.
    Unreachable,
    /// VectorStoreReady: the store does not accept the servers' key.
    AuthFailed,
    /// VectorStoreReady: the store answers too late.
    Timeout,
    /// VectorStoreReady: the store limits the servers' rate.
    RateLimited,
    /// VectorStoreReady: the store answers with errors.
    Failing,
    /// VectorStoreReady, ConfigurationInSync: no server has said anything yet.
    NotReported,
    /// ConfigurationInSync: every server reports the rendered bytes.
    InSync,
    /// ConfigurationInSync: a change is on its way to the servers.
    Propagating,
    /// ConfigurationInSync: a server has run other bytes for too long.
    Mismatch,
    /// Reconciling: the spec is reached.
    Settled,
    /// Reconciling: children are being written or are becoming ready.
    Progressing,
    /// Reconciling: the spec asks the operator to keep its hands off.
    Paused,
    /// Reconciling: an attempt failed and is repeated.
    Retrying,
    /// Ready, Reconciling: the operator could not read what there is.
    NotObserved,
    /// Stalled: nothing is in the way.
    Unhindered,
    /// Stalled: the spec cannot be carried out.
    InvalidSpec,
    /// Stalled: the managed vector store's version is too old, or cannot read the data that is there.
    VersionUnsupported,
    /// Stalled: a Secret that the spec names does not exist.
    SecretMissing,
    /// Stalled: a key that is in use stands in no Secret any more.
    CredentialLost,
    /// Stalled: a name that is needed belongs to somebody else's object.
    NameTaken,
    /// Stalled: what was frozen in a revision cannot be read.
    RevisionUnreadable,
    /// VectorStoreReady, Stalled: what the store holds belongs to another cluster.
    CorpusOwned,
    /// Stalled: the operator may not do what it has to do.
    Forbidden,
    /// Stalled: the API server refuses an object.
    Rejected,
    /// Stalled: the volume of the vector store is smaller than the spec asks for, and may not grow.
    VolumeTooSmall,
    /// AutoscalingExact: both thresholds hold to the percent.
    DeadBand,
    /// AutoscalingExact: the API server dropped the tolerance.
    ToleranceDropped,
    /// MetricsAvailable: the autoscaler decides by current figures.
    Current,
    /// MetricsAvailable: the autoscaler gets no figures.
    MetricsMissing,
    /// ReplicasCapped: more was asked for than everybody may have, or than is approved.
    AboveCeiling,
    /// ReplicasCapped: an approval has ended, or was deleted, and what it allowed is taken back.
    ApprovalEnded,
    /// ReadOnly: the servers were asked to refuse writes.
    Requested,
    /// SnapshotsHealthy: every schedule has the snapshot that it last asked for.
    UpToDate,
    /// SnapshotsHealthy: no schedule has asked for one yet.
    AwaitingFirst,
    /// SnapshotsHealthy: one that was due is not in the archive, and has not failed either.
    Overdue,
    /// SnapshotsHealthy: the spec asks for none.
    Suspended,
    /// SnapshotsHealthy: the schedules leave longer gaps than the recovery point objective allows.
    ObjectiveUnreachable,
    /// Verified of a RagSnapshot, SnapshotsHealthy: the archive has no copy of it any more.
    CopyGone,
    /// RestoreVerified: what the last trial restored is what the snapshot holds. Verified of a RagSnapshot: it was restored, and
    /// is what was taken.
    DrillPassed,
    /// RestoreVerified: the last trial could not restore what the snapshot holds. Verified of a RagSnapshot: what was restored of
    /// it is not what was taken.
    DrillFailed,
    /// RestoreVerified: there was no room for the last trial.
    DrillSkipped,
    /// RestoreVerified: the last trial passed, and took longer than the recovery time objective allows.
    TooSlow,
    /// Ready of a ScaleApproval: it counts.
    InForce,
    /// Ready of a ScaleApproval: it counts, and ends within a day.
    EndsSoon,
    /// Ready, Stalled of a ScaleApproval: it has ended.
    Expired,
    /// Ready, Stalled of a ScaleApproval or a RagSnapshot: the cluster that it names does not exist.
    ClusterMissing,
    /// Ready of a RagSnapshot: it is being taken.
    Taking,
    /// Ready of a RagSnapshot or a RagRestore: another one is taken, tried or restored first.
    WaitsForTurn,
    /// Ready of a RagSnapshot: it is in the archive.
    Taken,
    /// Ready, Stalled of a RagSnapshot: it could not be taken.
    TakeFailed,
    /// Ready, Stalled of a RagSnapshot: the archive has one of that name which was taken for somebody else.
    AlreadyExists,
    /// Ready, Stalled of a RagSnapshot or a RagRestore: what was written is not what was taken, or is not whole any more.
    Damaged,
    /// Ready, Stalled of a RagSnapshot: there are no documents.
    NothingToTake,
    /// Ready, Stalled of a RagSnapshot or a RagRestore: the archive has no room for it, or the store none for a second copy.
    NoRoom,
    /// Ready, Stalled of a RagSnapshot or a RagRestore: the cluster has no such destination. SnapshotsHealthy: it has none.
    NoDestination,
    /// Ready, Stalled of a RagSnapshot: the claim of its destination does not exist.
    ClaimMissing,
    /// Ready, Stalled of a RagRestore: the cluster's store can only be written by its own server.
    Unsupported,
    /// Verified of a RagSnapshot: all of it was read back.
    ReadBack,
    /// Verified of a RagSnapshot: it was not read back.
    NotReadBack,
    /// Reconciling of a RagSnapshot: its copy in the archive is being removed.
    Removing,
    /// Stalled of a RagSnapshot: its copy cannot be removed. Ready, Stalled of a RagRestore: what a full drill made is still there.
    /// SnapshotsHealthy: copies that are not kept any more cannot be.
    RemovalFailed,
    /// Ready of a RagRestore: it waits for the snapshot that it names.
    Waiting,
    /// Ready of a RagRestore: what is served is kept in a snapshot first.
    Snapshotting,
    /// Ready of a RagRestore: it restores what is served.
    Restoring,
    /// Ready of a RagRestore: it looks whether what is served since is what the snapshot holds.
    Verifying,
    /// Ready of a RagRestore: it restores beside what is served, and measures.
    Drilling,
    /// Ready of a RagRestore: the drill found what the snapshot holds.
    Passed,
    /// Ready of a RagRestore: what is served is what the snapshot holds.
    Restored,
    /// Ready of a RagRestore: it was said what would be done, and nothing was.
    Previewed,
    /// Ready, Stalled of a RagRestore: there was no room for the drill, or something is missing in the namespace of a full one, which
    /// says nothing about the snapshot.
    Skipped,
    /// Ready, Stalled of a RagRestore: too few of the recorded passages were found again.
    RecallTooLow,
    /// Ready, Stalled of a RagRestore: the snapshot's signature is missing or does not fit.
    Untrusted,
    /// Ready, Stalled of a RagRestore: the snapshot is encrypted, and its key is not there.
    KeyMissing,
    /// Ready, Stalled of a RagRestore: the snapshot is of another embedding model.
    ModelMismatch,
    /// Ready, Stalled of a RagRestore: a newer program took the snapshot.
    FormatUnsupported,
    /// Ready, Stalled of a RagRestore: there is no such snapshot.
    SnapshotMissing,
    /// Ready, Stalled of a RagRestore: what is served could not be kept in a snapshot first, and nothing was restored.
    SnapshotFailed,
    /// Ready, Stalled of a RagRestore: what is served since is not what the snapshot holds.
    NotVerified,
    /// Ready, Stalled of a RagRestore: it is not, and what was served before is served again.
    Reverted,
    /// Ready, Stalled of a RagRestore: it is not, and the way back failed.
    RevertFailed,
    /// Ready, Stalled: something else, which the message names.
    Failed,
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
