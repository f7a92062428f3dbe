//! How a guest's environment becomes one that works beside other guests on one host.
//!
//! - `ANY:PORT`, where `ANY` is `0.0.0.0`, `[::]`, `127.0.0.1`, `localhost` or `fly-local-6pn`, is a
//!   place to listen and becomes `127.0.0.1:FREE`.
//! - A variable whose name ends in `_PORT` (or is `PORT`) and whose value is a number becomes `FREE`.
//! - A value that is the mount's path, or a path below it, becomes the volume's folder.
//!
//! The same guest port is the same free port in all variables of one start.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;

const ANY: [&str; 5] = ["0.0.0.0", "[::]", "127.0.0.1", "localhost", "fly-local-6pn"];

/// Free ports of this host for the ports of one guest.
#[derive(Debug, Default)]
pub struct Ports {
    pub free: BTreeMap<u16, u16>,
    /// Held until all are chosen, so that none is chosen twice.
    held: Vec<TcpListener>,
}

impl Ports {
    pub fn of(known: BTreeMap<u16, u16>) -> Self {
        Self { free: known, held: Vec::new() }
    }

    /// Lets go of the ports, so that the guest can listen there: before it is started.
    pub fn release(self) -> BTreeMap<u16, u16> {
        self.free
    }

    pub fn free(&mut self, guest: u16) -> io::Result<u16> {
        if let Some(free) = self.free.get(&guest) {
            return Ok(*free);
        }
        let listener = listen()?;
        let free = listener.local_addr()?.port();
        self.held.push(listener);
        self.free.insert(guest, free);
        Ok(free)
    }
}

/// Below the ports that the kernel gives to connections: those are taken again between the choice and
/// the guest's own listening.
const RANGE: Range<u16> = 16_000..32_000;
const TRIES: usize = 100;

fn listen() -> io::Result<TcpListener> {
    let mut tries = (0..TRIES).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(RANGE))));
    match tries.find_map(Result::ok) {
        Some(listener) => Ok(listener),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// Rewrites one variable; what has none of the forms stays as it is.
pub fn rewrite(
    name: &str,
    value: &str,
    ports: &mut Ports,
    mount: Option<(&Path, &str)>,
) -> io::Result<String> {
    if let Some((host, port)) = value.rsplit_once(':')
        && ANY.contains(&host)
        && let Ok(port) = port.parse()
    {
        return Ok(format!("127.0.0.1:{}", ports.free(port)?));
    }
    if (name == "PORT" || name.ends_with("_PORT"))
        && let Ok(port) = value.parse()
    {
        return Ok(ports.free(port)?.to_string());
    }
    Ok(mount.and_then(|(folder, at)| below(value, folder, at)).unwrap_or_else(|| value.to_owned()))
}

/// A guest's path on this host.
pub fn below(path: &str, folder: &Path, at: &str) -> Option<String> {
    let rest = path.strip_prefix(at.trim_end_matches('/'))?;
    if rest.is_empty() || rest == "/" {
        return Some(folder.display().to_string());
    }
    Some(folder.join(rest.strip_prefix('/')?).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_ports_and_paths_of_a_guest_become_those_of_the_host() {
        let mut ports = Ports::default();
        let mount = Some((Path::new("/data/vol_1"), "/home/pilot"));
        let mut rewritten = |name: &str, value: &str| rewrite(name, value, &mut ports, mount).unwrap();
        let listen = rewritten("PILOT_LISTEN", "0.0.0.0:3000");
        assert!(listen.starts_with("127.0.0.1:") && listen != "127.0.0.1:3000");
        assert_eq!(rewritten("OTHER", "[::]:3000"), listen, "one guest port is one free port");
        assert_ne!(rewritten("PILOT_OPENCODE_PORT", "4096"), "4096");
        assert_eq!(rewritten("HOME", "/home/pilot"), "/data/vol_1");
        assert_eq!(rewritten("KEY", "/home/pilot/.key"), "/data/vol_1/.key");
        for plain in ["/home/pilots", "https://example.org:443", "7", "text"] {
            assert_eq!(rewritten("PLAIN", plain), plain);
        }
    }
}
