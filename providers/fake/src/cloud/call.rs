//! What the cloud can be asked, as it goes over a wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Files, Labels, Spec, Volume};

/// A call and who makes it.
pub(crate) struct Request {
    pub token: Option<String>,
    /// Of the operation that asks; kept by the journal, and nothing that the cloud knows.
    pub fence: Option<u64>,
    pub call: Call,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Call {
    Ping,
    /// What has at least these labels.
    List {
        labels: Labels,
    },
    /// Machines that have at least these labels.
    Machines {
        labels: Labels,
    },
    Network {
        name: String,
    },
    CreateNetwork {
        name: String,
        labels: Labels,
    },
    DeleteNetwork {
        name: String,
    },
    Volume {
        name: String,
    },
    CreateVolume {
        name: String,
        new: Volume,
        from: Option<From>,
    },
    LabelVolume {
        name: String,
        version: u64,
        labels: Labels,
    },
    DeleteVolume {
        name: String,
        version: u64,
    },
    Machine {
        name: String,
    },
    CreateMachine {
        name: String,
        spec: Spec,
        labels: Labels,
    },
    ChangeMachine {
        name: String,
        version: u64,
        labels: Labels,
        spec: Spec,
    },
    /// What the name means.
    Image {
        reference: String,
    },
    /// This name means this image from now on. What is in it nobody here needs.
    PushImage {
        name: String,
        digest: String,
    },
    DeleteMachine {
        name: String,
        version: u64,
    },
    StartMachine {
        name: String,
        version: u64,
        files: Files,
    },
    StopMachine {
        name: String,
        version: u64,
    },
    SuspendMachine {
        name: String,
        version: u64,
    },
    Log {
        name: String,
    },
    /// What was refused to who runs on a machine.
    Refused {
        name: String,
    },
    /// The files on the disk of a machine.
    Home {
        name: String,
    },
    /// Finds the one that has the id already.
    TakeSnapshot {
        name: String,
        id: String,
        title: Option<String>,
    },
    DeleteSnapshot {
        name: String,
        id: String,
    },
    /// Of a disk that no machine runs on.
    RestoreSnapshot {
        name: String,
        id: String,
    },
    Snapshots {
        name: String,
    },
}

impl Call {
    /// What it changes, and of which object; `None` when it only looks.
    pub fn write(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Call::CreateNetwork { name, .. } => ("create network", name),
            Call::DeleteNetwork { name } => ("delete network", name),
            Call::CreateVolume { name, .. } => ("create volume", name),
            Call::LabelVolume { name, .. } => ("label volume", name),
            Call::DeleteVolume { name, .. } => ("delete volume", name),
            Call::CreateMachine { name, .. } => ("create machine", name),
            Call::ChangeMachine { name, .. } => ("change machine", name),
            Call::PushImage { name, .. } => ("push image", name),
            Call::DeleteMachine { name, .. } => ("delete machine", name),
            Call::StartMachine { name, .. } => ("start machine", name),
            Call::StopMachine { name, .. } => ("stop machine", name),
            Call::SuspendMachine { name, .. } => ("suspend machine", name),
            Call::TakeSnapshot { name, .. } => ("take snapshot", name),
            Call::DeleteSnapshot { name, .. } => ("delete snapshot", name),
            Call::RestoreSnapshot { name, .. } => ("restore snapshot", name),
            Call::Ping
            | Call::List { .. }
            | Call::Machines { .. }
            | Call::Network { .. }
            | Call::Volume { .. }
            | Call::Machine { .. } => return None,
            Call::Image { .. }
            | Call::Refused { .. }
            | Call::Log { .. }
            | Call::Home { .. }
            | Call::Snapshots { .. } => {
                return None;
            }
        })
    }
}

/// A copy of a disk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub id: String,
    pub title: Option<String>,
    pub created: Timestamp,
    pub size: u64,
    #[serde(skip)]
    pub files: Files,
}

/// What a new disk begins with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct From {
    pub volume: String,
    pub snapshot: String,
    /// Files and folders that are left out.
    pub without: Vec<String>,
}
