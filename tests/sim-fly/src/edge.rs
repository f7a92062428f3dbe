//! Fly Proxy: `<app>.fly.dev`, or a private address, to the service of one of the application's machines, with HTTP, event
//! streams and WebSockets. An application without an address is nowhere. It wakes a machine whose service says `autostart`, and stops or suspends one
//! that is idle when its service says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::Response;
use http::header::{HOST, HeaderValue};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use proxy::{Body, Forwarder, Target};

use crate::config::{self, Autostop, Service};
use crate::core::Core;
use crate::http::control;
use crate::ids;
use crate::lifecycle::{self, Wanted, stopping};
use crate::world::{App, Machine, State, World};

/// Sends a request to this machine and no other.
pub const FORCE_INSTANCE: &str = "fly-force-instance-id";
/// How long a machine may take to wake and listen.
const WAKE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Edge {
    core: Arc<Core>,
    forwarder: Forwarder,
    /// Requests under way and the last traffic, by machine.
    traffic: Arc<Mutex<HashMap<String, (usize, Instant)>>>,
}

/// Which machine a request goes to.
struct Choice {
    org: String,
    app: String,
    machine: String,
    state: State,
    port: u16,
    autostart: bool,
}

impl Edge {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, forwarder: Forwarder::new(), traffic: Arc::default() }
    }

    /// Answers as the machine does, or 404 for a name that nobody has, or 502 when no machine can.
    pub async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let header =
            |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let host = header(HOST.as_str()).unwrap_or_default();
        let forced = header(FORCE_INSTANCE);
        let choice = match self.core.look(|world| self.choose(world, &host, forced.as_deref())) {
            Ok(choice) => choice,
            Err(status) => return refusal(status),
        };
        let Some(port) = self.awake(&choice).await else { return refusal(StatusCode::BAD_GATEWAY) };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let target = Target::plain(format!("127.0.0.1:{port}"), path);
        let headers = request.headers_mut();
        headers.remove(FORCE_INSTANCE);
        let request_id = ids::ulid(crate::clock::now());
        for (name, value) in [
            ("fly-request-id", request_id.as_str()),
            ("fly-region", "fra"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(http::HeaderName::from_static(name), value);
            }
        }
        let _passing = self.passing(&choice.machine);
        match self.forwarder.forward(request.map(proxy::body), &target).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "a machine did not answer");
                refusal(StatusCode::BAD_GATEWAY)
            }
        }
    }

    fn choose(&self, world: &World, host: &str, forced: Option<&str>) -> Result<Choice, StatusCode> {
        let app = match host.starts_with('[') {
            true => world.apps.values().find(|app| app.is_served_at(host)),
            false => {
                let host = host.split(':').next().unwrap_or_default();
                let name = host.strip_suffix(&format!(".{}", self.core.settings.edge_domain)).unwrap_or(host);
                world.apps.get(name).filter(|app| app.is_served_at(host))
            }
        };
        let app = app.ok_or(StatusCode::NOT_FOUND)?;
        let served: Vec<(&Machine, Service)> = world.machines_of(app).filter_map(service_of).collect();
        let by_need = |wanted: State| {
            served.iter().find(|(machine, service)| {
                machine.state == wanted && (wanted == State::Started || service.autostart)
            })
        };
        let found = match forced {
            Some(id) => served.iter().find(|(machine, _)| machine.id == id),
            None => by_need(State::Started)
                .or_else(|| by_need(State::Suspended))
                .or_else(|| by_need(State::Stopped)),
        };
        let (machine, service) = found.ok_or(StatusCode::BAD_GATEWAY)?;
        Ok(choice(app, machine, service))
    }

    /// The host's port of a machine that runs, after waking it if that is allowed.
    async fn awake(&self, choice: &Choice) -> Option<u16> {
        if choice.state != State::Started {
            let may_wake = choice.autostart && matches!(choice.state, State::Stopped | State::Suspended);
            if !may_wake && choice.state != State::Starting {
                return None;
            }
            if may_wake {
                // Another request may be waking it.
                let _ =
                    control::start_machine(&self.core, &choice.org, &choice.app, &choice.machine, None).await;
            }
            let wanted = Wanted { states: vec!["started".to_owned()], version: None };
            lifecycle::wait(&self.core, &choice.org, &choice.app, &choice.machine, &wanted, WAKE)
                .await
                .ok()?;
        }
        let port = self.core.look(|world| {
            world.machines.get(&choice.machine)?.running.as_ref()?.ports.get(&choice.port).copied()
        })?;
        // The program of a machine that has just woken needs a moment until it listens.
        let deadline = Instant::now() + WAKE;
        while choice.state != State::Started
            && tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err()
        {
            if Instant::now() > deadline {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(port)
    }

    fn passing(&self, machine: &str) -> Passing {
        self.count(machine, 1);
        Passing { edge: self.clone(), machine: machine.to_owned() }
    }

    fn count(&self, machine: &str, change: isize) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = traffic.entry(machine.to_owned()).or_insert((0, Instant::now()));
        *entry = (entry.0.saturating_add_signed(change), Instant::now());
    }

    /// Looks for idle machines for as long as the simulator runs.
    pub async fn watch_idle(self) {
        let pause =
            (self.core.settings.delays.idle / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (choice, stop) in self.core.look(|world| self.idle(world)) {
                self.calm(&choice, stop).await;
            }
        }
    }

    fn idle(&self, world: &World) -> Vec<(Choice, Autostop)> {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = Vec::new();
        for machine in world.machines.values().filter(|machine| may_idle(machine)) {
            let (Some(app), Some((_, service))) = (world.apps.get(&machine.app), service_of(machine)) else {
                continue;
            };
            let started = world.machines_of(app).filter(|machine| machine.state == State::Started).count();
            if started <= service.min_machines_running as usize {
                continue;
            }
            let age = crate::clock::now().duration_since(machine.updated_at).unsigned_abs();
            let quiet = match traffic.get(&machine.id) {
                Some((0, last)) => last.elapsed().min(age),
                Some(_) => Duration::ZERO,
                None => age,
            };
            if quiet >= self.core.settings.delays.idle {
                idle.push((choice(app, machine, &service), service.autostop()));
            }
        }
        idle
    }

    async fn calm(&self, idle: &Choice, how: Autostop) {
        if how == Autostop::Suspend {
            let done = control::suspend_machine(&self.core, &idle.org, &idle.app, &idle.machine, None).await;
            if done.is_ok() {
                return;
            }
        }
        let stopping = self.core.change(|changing| {
            let machine = changing.world.machine_mut(&idle.org, &idle.app, &idle.machine)?;
            if machine.state != State::Started {
                return Ok(None);
            }
            let ending = control::ending_of(
                &config::read(&machine.config)?,
                &Default::default(),
                &Default::default(),
            )?;
            machine.become_state(State::Stopping, "stop", "proxy");
            changing.note_machine(crate::journal::Event::Changed, &idle.machine);
            Ok(Some(ending))
        });
        if let Ok(Some(ending)) = stopping.await {
            tokio::spawn(stopping::stop(self.core.clone(), idle.machine.clone(), ending));
        }
    }
}

/// Counts a request for as long as it is under way.
struct Passing {
    edge: Edge,
    machine: String,
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.edge.count(&self.machine, -1);
    }
}

/// Seen without reading the whole configuration: there may be thousands of machines.
fn may_idle(machine: &Machine) -> bool {
    let autostop = machine.config.pointer("/services/0/autostop");
    machine.state == State::Started && autostop.is_some_and(|how| *how != false && !how.is_null())
}

/// The first service of a machine that takes requests.
fn service_of(machine: &Machine) -> Option<(&Machine, Service)> {
    if machine.cordoned {
        return None;
    }
    let service = config::read(&machine.config).ok()?.services.into_iter().next()?;
    Some((machine, service))
}

fn choice(app: &App, machine: &Machine, service: &Service) -> Choice {
    Choice {
        org: app.org.clone(),
        app: app.name.clone(),
        machine: machine.id.clone(),
        state: machine.state,
        port: service.internal_port,
        autostart: service.autostart,
    }
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(proxy::empty());
    *response.status_mut() = status;
    response
}
