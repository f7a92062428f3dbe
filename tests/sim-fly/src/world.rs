//! Every object that exists, in memory. One lock guards it and is never held across a wait.

pub mod app;
pub mod machine;
pub mod volume;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

pub use app::{Address, App, SecretMark};
pub use machine::{Lease, Machine, State};
pub use volume::{Snapshot, Volume};

use crate::error::{Answer, Refusal};

#[derive(Debug, Default)]
pub struct World {
    pub apps: BTreeMap<String, App>,
    pub machines: BTreeMap<String, Machine>,
    pub volumes: BTreeMap<String, Volume>,
    /// Which application an idempotency key made, by organisation and key.
    pub keys: HashMap<(String, String), String>,
}

/// An object of any kind, as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", content = "object", rename_all = "lowercase")]
pub enum Object {
    App(App),
    Machine(Machine),
    Volume(Volume),
}

impl Object {
    pub fn id(&self) -> &str {
        match self {
            Object::App(app) => &app.name,
            Object::Machine(machine) => &machine.id,
            Object::Volume(volume) => &volume.id,
        }
    }
}

impl World {
    /// The application, when the caller's organisation owns it.
    pub fn app(&self, org: &str, name: &str) -> Answer<&App> {
        match self.apps.get(name) {
            Some(app) if app.org == org => Ok(app),
            Some(_) => Err(Refusal::new(http::StatusCode::FORBIDDEN, "unauthorized")),
            None => Err(Refusal::missing("app not found")),
        }
    }

    /// The application, when nobody has ordered its end.
    pub fn staying_app(&self, org: &str, name: &str) -> Answer<&App> {
        match self.app(org, name)? {
            app if app.deleting => Err(Refusal::precondition(format!("the app {name} is being deleted"))),
            app => Ok(app),
        }
    }

    pub fn app_mut(&mut self, org: &str, name: &str) -> Answer<&mut App> {
        self.app(org, name)?;
        self.apps.get_mut(name).ok_or_else(|| Refusal::missing("app not found"))
    }

    /// A machine of an application; one that is gone is shown as destroyed until it is forgotten.
    pub fn machine(&self, org: &str, app: &str, id: &str) -> Answer<&Machine> {
        self.app(org, app)?;
        let found = self.machines.get(id).filter(|machine| machine.app == app);
        found.ok_or_else(|| Refusal::missing(format!("machine {id} not found")))
    }

    pub fn machine_mut(&mut self, org: &str, app: &str, id: &str) -> Answer<&mut Machine> {
        self.machine(org, app, id)?;
        self.machines.get_mut(id).ok_or_else(|| Refusal::missing(format!("machine {id} not found")))
    }

    pub fn volume(&self, org: &str, app: &str, id: &str) -> Answer<&Volume> {
        self.app(org, app)?;
        let found = self.volumes.get(id).filter(|volume| volume.app == app);
        found.ok_or_else(|| Refusal::missing(format!("volume {id} not found")))
    }

    pub fn volume_mut(&mut self, org: &str, app: &str, id: &str) -> Answer<&mut Volume> {
        self.volume(org, app, id)?;
        self.volumes.get_mut(id).ok_or_else(|| Refusal::missing(format!("volume {id} not found")))
    }

    /// The machines of one application, by id.
    pub fn machines_of<'a>(&'a self, app: &'a App) -> impl Iterator<Item = &'a Machine> {
        app.machines.iter().filter_map(|id| self.machines.get(id))
    }

    /// Machines that take room: everything that is not destroyed.
    pub fn living(&self, wanted: impl Fn(&Machine) -> bool) -> usize {
        self.machines.values().filter(|machine| machine.state != State::Destroyed && wanted(machine)).count()
    }

    /// Puts an object back as the journal tells it.
    pub fn restore(&mut self, object: Object) {
        match object {
            Object::App(mut app) => {
                if let Some(key) = &app.idempotency_key {
                    self.keys.insert((app.org.clone(), key.clone()), app.name.clone());
                }
                // Objects that were told before their application's last change stay in its index.
                if let Some(before) = self.apps.remove(&app.name) {
                    (app.machines, app.names, app.volumes) = (before.machines, before.names, before.volumes);
                }
                self.apps.insert(app.name.clone(), app);
            }
            Object::Machine(machine) => self.put_machine(machine),
            Object::Volume(volume) => {
                if let Some(app) = self.apps.get_mut(&volume.app) {
                    app.volumes.insert(volume.id.clone());
                }
                self.volumes.insert(volume.id.clone(), volume);
            }
        }
    }

    /// Adds a machine and its name; a destroyed machine holds no name.
    pub fn put_machine(&mut self, machine: Machine) {
        if let Some(app) = self.apps.get_mut(&machine.app) {
            app.machines.insert(machine.id.clone());
            if machine.state == State::Destroyed {
                app.names.retain(|_, holder| *holder != machine.id);
            } else {
                app.names.insert(machine.name.clone(), machine.id.clone());
            }
        }
        self.machines.insert(machine.id.clone(), machine);
    }

    pub fn remove(&mut self, kind: &str, id: &str) {
        match kind {
            "app" => {
                if let Some(app) = self.apps.remove(id) {
                    self.keys.retain(|_, name| *name != app.name);
                }
            }
            "machine" => {
                if let Some(machine) = self.machines.remove(id)
                    && let Some(app) = self.apps.get_mut(&machine.app)
                {
                    app.machines.remove(id);
                    if app.names.get(&machine.name).is_some_and(|holder| holder == id) {
                        app.names.remove(&machine.name);
                    }
                }
            }
            _ => {
                if let Some(volume) = self.volumes.remove(id)
                    && let Some(app) = self.apps.get_mut(&volume.app)
                {
                    app.volumes.remove(id);
                }
            }
        }
    }
}
