//! The look-up of names: one A and AAAA question, within one timeout.
//!
//! It judges nothing; `Guard::resolve` does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::system_conf::read_system_conf;

use super::{ConnectError, GuardConfig, GuardError};

/// A receiver that moves is found again after this, whatever its records' time to live.
const POSITIVE_TTL_MAX: Duration = Duration::from_secs(60);
/// A name that did not exist is asked for again after this, so that a new endpoint soon works.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(5);
/// Answers kept.
const CACHE_ENTRIES: u64 = 4096;

pub(super) struct Resolver {
    inner: TokioResolver,
    timeout: Duration,
}

impl Resolver {
    pub(super) fn new(config: &GuardConfig) -> Result<Self, GuardError> {
        let (servers, mut options) = if config.dns.is_empty() {
            system_servers()
        } else {
            let servers = config.dns.iter().copied().map(name_server).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        };
        // Two tries fit into the timeout, so that one lost packet, or a server that ignores AAAA, fails no look-up.
        options.timeout = config.dns_timeout.mul_f32(0.45);
        options.attempts = 1;
        options.ndots = 1;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Always;
        options.cache_size = CACHE_ENTRIES;
        options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        let inner = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| GuardError::Dns(error.to_string()))?;
        Ok(Self {
            inner,
            timeout: config.dns_timeout,
        })
    }

    /// All addresses of `name`, from the hosts file, the cache or the DNS, IPv4 first.
    ///
    /// A dotted name is absolute, unless `search` is set: then the system's search domains are tried after it, and
    /// before it for a name without a dot. Errors: not found, failed, timed out.
    pub(super) async fn lookup(&self, name: &str, search: bool) -> Result<Vec<IpAddr>, ConnectError> {
        let asked = if search { name.to_owned() } else { format!("{name}.") };
        match tokio::time::timeout(self.timeout, self.inner.lookup_ip(asked)).await {
            Err(_) => Err(ConnectError::DnsTimeout {
                name: name.to_owned(),
                after: self.timeout,
            }),
            Ok(Err(error)) => Err(self.failure(name, &error)),
            Ok(Ok(answer)) => Ok(answer.iter().collect()),
        }
    }

    fn failure(&self, name: &str, error: &NetError) -> ConnectError {
        let name = name.to_owned();
        match error {
            NetError::Timeout => ConnectError::DnsTimeout {
                name,
                after: self.timeout,
            },
            NetError::Dns(DnsError::NoRecordsFound(none))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                ConnectError::DnsNotFound { name }
            }
            NetError::Dns(DnsError::NoRecordsFound(none)) => ConnectError::DnsFailed {
                name,
                why: none.response_code.to_string(),
            },
            other => ConnectError::DnsFailed {
                name,
                why: other.to_string(),
            },
        }
    }
}

/// The system's DNS servers and search domains; without any, the server on this machine, as the C library has it.
fn system_servers() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS server in the system's settings; asking 127.0.0.1");
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
    })
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = server.port();
    tcp.port = server.port();
    NameServerConfig::new(server.ip(), true, vec![udp, tcp])
}
