//! Who asks, and what they may: HTTP Basic, or tokens as the distribution project describes them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::Options;
use crate::error::Refusal;

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Nobody is asked.
    Open,
    /// With each request.
    Basic,
    /// For a token, which says for five minutes what its bearer may.
    Bearer,
}

/// One login.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub password: String,
    /// The beginning of the names of the repositories that are this user's.
    pub of: String,
}

impl User {
    pub fn everywhere(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), of: String::new() }
    }
}

const SERVICE: &str = "sim-registry";
const LIFETIME: Duration = Duration::from_secs(300);

/// What the bearer of a token may.
struct Grant {
    repository: String,
    pull: bool,
    push: bool,
    until: Instant,
}

pub(crate) struct Guard {
    options: Options,
    /// Who was let in since.
    admitted: Mutex<Vec<User>>,
    realm: String,
    tokens: Mutex<HashMap<String, Vec<Grant>>>,
}

impl Guard {
    pub fn new(options: Options, base: &str) -> Self {
        Self { options, admitted: Mutex::default(), realm: format!("{base}/token"), tokens: Mutex::default() }
    }

    pub fn admit(&self, user: User) {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).push(user);
    }

    /// Passes when this caller may do this with the repository; with none, when the caller is known.
    pub fn pass(
        &self,
        headers: &HeaderMap,
        method: &Method,
        repository: Option<&str>,
    ) -> Result<(), Refusal> {
        let pushes = !matches!(*method, Method::GET | Method::HEAD);
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match self.options.scheme {
            Scheme::Open => Ok(()),
            Scheme::Basic => {
                let challenge = || Refusal::unauthorized(format!("Basic realm=\"{SERVICE}\""));
                match given {
                    None => match repository {
                        Some(name) if !pushes && self.is_public(name) => Ok(()),
                        _ => Err(challenge()),
                    },
                    Some(given) => {
                        let user = self.user(given).ok_or_else(challenge)?;
                        match repository {
                            Some(name) if !self.may(Some(&user), name, pushes) => {
                                Err(Refusal::denied("requested access to the resource is denied"))
                            }
                            _ => Ok(()),
                        }
                    }
                }
            }
            Scheme::Bearer => {
                let token = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
                let tokens = self.tokens();
                let grants = tokens.get(token).map(Vec::as_slice).unwrap_or_default();
                let passes = match repository {
                    None => tokens.contains_key(token),
                    Some(name) => grants.iter().any(|grant| {
                        let does = if pushes { grant.push } else { grant.pull };
                        grant.repository == name && does && Instant::now() < grant.until
                    }),
                };
                if passes { Ok(()) } else { Err(Refusal::unauthorized(self.challenge(repository, pushes))) }
            }
        }
    }

    fn challenge(&self, repository: Option<&str>, pushes: bool) -> String {
        let actions = if pushes { "pull,push" } else { "pull" };
        let scope = repository.map(|name| format!(",scope=\"repository:{name}:{actions}\""));
        format!("Bearer realm=\"{}\",service=\"{SERVICE}\"{}", self.realm, scope.unwrap_or_default())
    }

    /// A token with as much of what is asked for as this caller may. A login that is none is refused.
    pub fn token(&self, headers: &HeaderMap, query: &[(String, String)]) -> Result<Value, Refusal> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let refused = || Refusal::unauthorized(format!("Basic realm=\"{}\"", self.realm));
        let user = match given {
            Some(given) => Some(self.user(given).ok_or_else(refused)?),
            None => None,
        };
        let asked =
            |name: &'static str| query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value);
        if !asked("service").any(|service| service == SERVICE) {
            return Err(Refusal::bad("UNSUPPORTED", "this is no service of this registry"));
        }
        let scopes = asked("scope").flat_map(|scopes| scopes.split(' '));
        let grant = |scope: &str| {
            let (repository, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            let wants = |wanted: &str| actions.split(',').any(|action| action == wanted);
            Some(Grant {
                repository: repository.to_owned(),
                pull: wants("pull") && self.may(user.as_ref(), repository, false),
                push: wants("push") && self.may(user.as_ref(), repository, true),
                until: Instant::now() + LIFETIME,
            })
        };
        let (token, grants) = (uuid::Uuid::new_v4().to_string(), scopes.filter_map(grant).collect());
        self.tokens().insert(token.clone(), grants);
        Ok(json!({"token": token, "access_token": token, "expires_in": LIFETIME.as_secs()}))
    }

    fn user(&self, given: &str) -> Option<User> {
        let decoded = STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.options.users.iter().chain(admitted.iter());
        known.find(|user| user.name == name && user.password == password).cloned()
    }

    fn may(&self, user: Option<&User>, repository: &str, pushes: bool) -> bool {
        let owns = user.is_some_and(|user| repository.starts_with(&user.of));
        owns || (!pushes && self.is_public(repository))
    }

    fn is_public(&self, repository: &str) -> bool {
        self.options.public.iter().any(|prefix| repository.starts_with(prefix))
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Vec<Grant>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
