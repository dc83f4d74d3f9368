//! Where the members of an ensemble are reached.
//!
//! Three layouts, because they meet different code: one address with distinct ports, as on a developer's
//! machine; one address each with equal ports, as in production; a network namespace each, so that the paths
//! between members can be cut.
use crate::server::free_port;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};

/// How members are told apart on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 127.0.0.1, distinct ports.
    Ports,
    /// 127.0.0.1 to 127.0.0.7, equal ports.
    Addresses,
    /// 127.0.0.1, ports that follow each other, from these.
    PortsFrom { client: u16, quorum: u16, election: u16 },
    /// A network namespace each; see [`super::netns`].
    Namespaces,
}

/// The addresses of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: Ipv4Addr,
    pub client: u16,
    pub quorum: u16,
    pub election: u16,
}

impl Place {
    pub fn client_address(&self) -> SocketAddr {
        (self.address, self.client).into()
    }

    pub fn quorum_address(&self) -> SocketAddr {
        (self.address, self.quorum).into()
    }

    pub fn election_address(&self) -> SocketAddr {
        (self.address, self.election).into()
    }
}

impl Layout {
    /// Places for the members `1..=count`.
    pub fn places(self, count: u8) -> Result<Vec<Place>> {
        let ports = || Ok::<_, anyhow::Error>((free_port()?, free_port()?, free_port()?));
        let shared = match self {
            Layout::Ports | Layout::PortsFrom { .. } => None,
            Layout::Addresses => Some(ports()?),
            Layout::Namespaces => Some((2181, 2888, 3888)),
        };
        let place = |id: u8| {
            let address = match self {
                Layout::Ports | Layout::PortsFrom { .. } => Ipv4Addr::LOCALHOST,
                Layout::Addresses => Ipv4Addr::new(127, 0, 0, id),
                Layout::Namespaces => Ipv4Addr::new(10, 77, 0, id),
            };
            let (client, quorum, election) = match self {
                Layout::PortsFrom { client, quorum, election } => {
                    let following = |first: u16| {
                        let port = first.checked_add(u16::from(id) - 1);
                        port.with_context(|| format!("{count} ports from {first} on are more than there are"))
                    };
                    (following(client)?, following(quorum)?, following(election)?)
                }
                Layout::Ports | Layout::Addresses | Layout::Namespaces => shared.map_or_else(ports, Ok)?,
            };
            Ok(Place { address, client, quorum, election })
        };
        (1..=count).map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_apart_by_port_or_by_address() {
        let by_port = Layout::Ports.places(3).unwrap();
        assert!(by_port.iter().all(|place| place.address == Ipv4Addr::LOCALHOST));
        assert_ne!(by_port[0].client, by_port[1].client);
        let by_address = Layout::Addresses.places(3).unwrap();
        assert_eq!(by_address[2].address, Ipv4Addr::new(127, 0, 0, 3));
        assert_eq!(by_address[0].election, by_address[2].election);
        let from = |client| Layout::PortsFrom { client, quorum: 2888, election: 3888 }.places(3);
        let third = from(2181).unwrap()[2];
        assert_eq!((third.client, third.quorum, third.election), (2183, 2890, 3890));
        assert!(from(65534).is_err());
    }
}
