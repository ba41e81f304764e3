//! The table of all settings: names, units, defaults, special values and meanings, as data.

use std::{path::PathBuf, time::Duration};

use bellwire_core::{
    seal::MAIN_SECRET_CHARS_MIN,
    sign::{SCHEMES, Scheme},
    time::format_span,
    token,
};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::{
    Config, Hidden, LogFormat, Metrics,
    read::{
        Wrong, address, name_server, number, parsed, size, span, span_or, truth, web_url, write_name_server,
        write_size, write_span_or,
    },
};

/// One setting.
pub(super) struct Setting {
    /// Its name in the file; a dot separates a table from its key.
    pub key: &'static str,
    /// Its flag, without the dashes; secrets have none, because other users of a machine can see flags.
    pub flag: Option<&'static str>,
    /// What kind of value it takes, with the unit.
    pub kind: &'static str,
    /// What is in force when nothing is said, as it would be written; empty is nothing.
    pub default: &'static str,
    /// Values that mean something out of the ordinary.
    pub special: &'static str,
    /// What it decides.
    pub meaning: &'static str,
    /// Whether it takes several values.
    pub list: bool,
    /// Reads the values into the configuration.
    pub set: fn(&mut Config, &[&str]) -> Result<(), Wrong>,
    /// Writes what is in force, in the form that `set` reads; empty is nothing.
    pub get: fn(&Config) -> Vec<String>,
}

impl Setting {
    /// Whether its value must not be shown.
    pub fn secret(&self) -> bool {
        self.flag.is_none()
    }

    /// Whether a bad value must not be repeated: it is a secret, or may hold a password.
    pub fn hides_value(&self) -> bool {
        self.secret() || ["proxy", "store"].contains(&self.key)
    }

    /// Its variable in the environment.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// What the variables begin with.
pub(super) const PREFIX: &str = "BELLWIRE_";
/// How an empty list is written where brackets cannot be.
pub(super) const NONE: &str = "none";

const CALL_TIMEOUT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
const MINUTES_10: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);
/// The longest wait before a retry.
const WAIT_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The one value of a setting that is no list.
fn one<'a>(values: &[&'a str]) -> Result<&'a str, Wrong> {
    match values {
        [one] => Ok(one),
        _ => Err("write one value".to_owned()),
    }
}

fn each<T>(values: &[&str], read: impl Fn(&str) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    // Secrets are lists as well: the caller decides whether the value may be named.
    values.iter().map(|value| read(value)).collect()
}

fn text(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn main_secret(text: &str) -> Result<Hidden, Wrong> {
    let chars = text.trim().chars().count();
    if chars < MAIN_SECRET_CHARS_MIN {
        return Err(format!(
            "it has {chars} characters; use at least {MAIN_SECRET_CHARS_MIN} random ones"
        ));
    }
    Ok(Hidden::new(text.trim()))
}

fn scheme(text: &str) -> Result<&'static Scheme, Wrong> {
    let known = || {
        SCHEMES
            .iter()
            .map(|scheme| scheme.version)
            .collect::<Vec<_>>()
            .join(" or ")
    };
    Scheme::by_version(text).ok_or_else(|| format!("write {}", known()))
}

/// A log filter, in which everything without `=` is a level: a mistyped level is not the name of a part.
fn log_filter(text: &str) -> Result<Targets, Wrong> {
    let wrong = || {
        "write a level (error, warn, info, debug, trace, off), or levels such as info,bellwire_deliver=debug".to_owned()
    };
    let levels = text
        .split(',')
        .map(|entry| entry.rsplit_once('=').map_or(entry, |(_, level)| level));
    if levels.clone().all(|level| level.trim().parse::<LevelFilter>().is_ok()) {
        text.parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://[not shown]@{host}"),
        _ => url.to_owned(),
    }
}

/// A row that is written as fields in this order; the closures read and write the value.
macro_rules! setting {
    ($key:literal, $flag:expr, $kind:literal, default $default:literal, special $special:literal, $meaning:literal,
     set $set:expr, get $get:expr) => {
        Setting {
            key: $key,
            flag: $flag,
            kind: $kind,
            default: $default,
            special: $special,
            meaning: $meaning,
            list: false,
            set: $set,
            get: $get,
        }
    };
    (list $key:literal, $flag:expr, $kind:literal, default $default:literal, special $special:literal, $meaning:literal,
     set $set:expr, get $get:expr) => {
        Setting {
            key: $key,
            flag: $flag,
            kind: $kind,
            default: $default,
            special: $special,
            meaning: $meaning,
            list: true,
            set: $set,
            get: $get,
        }
    };
}

/// Stores what was read.
fn put<T>(place: &mut T, value: T) -> Result<(), Wrong> {
    *place = value;
    Ok(())
}

/// All settings, in the order in which people meet them.
pub(super) static SETTINGS: &[Setting] = &[
    setting!("listen", Some("listen"), "address and port", default "127.0.0.1:8071", special "port `0`: any free port",
        "Where the server listens, in plain HTTP. For the world outside put it behind a proxy that speaks TLS.",
        set |c, v| put(&mut c.http.listen, address(one(v)?)?),
        get |c| vec![c.http.listen.to_string()]),
    setting!("public_url", Some("public-url"), "URL", default "", special "unset: `http://` and the address it listens on",
        "What people reach the server by: used in links it hands out.",
        set |c, v| put(&mut c.http.public_url, Some(web_url(one(v)?)?.as_str().trim_end_matches('/').to_owned())),
        get |c| c.http.public_url.iter().cloned().collect()),
    setting!("data", Some("data"), "directory", default "./bellwire-data", special "",
        "Where the embedded store lives, with what is made on the first start. Made if it is missing, for its owner only.",
        set |c, v| put(&mut c.storage.data, PathBuf::from(one(v)?)),
        get |c| vec![c.storage.data.display().to_string()]),
    setting!("store", Some("store"), "URL", default "", special "unset: an embedded store in `data`",
        "Another store: `postgres://user@host/database` (see below), or `sqlite:/srv/bellwire`.",
        set |c, v| put(&mut c.storage.store, Some(Hidden::new(one(v)?))),
        get |c| c.storage.store.iter().map(|url| without_password(url.expose())).collect()),
    setting!("admin_token", None, "text, 32 characters or more", default "", special "unset: made on the first start and printed once",
        "The operator's own token: it may do everything.",
        set |c, v| {
            let token = one(v)?;
            token::check_opaque(token).map_err(|error| error.to_string())?;
            put(&mut c.secrets.admin_token, Some(Hidden::new(token)))
        },
        get |c| c.secrets.admin_token.iter().map(|token| token.expose().to_owned()).collect()),
    setting!("main_secret", None, "text, 32 characters or more", default "", special "unset: made on the first start, kept in `data` as `main-secret`",
        "Encrypts signing keys and custom headers at rest. Who loses it loses them.",
        set |c, v| put(&mut c.secrets.main_secret, Some(main_secret(one(v)?)?)),
        get |c| c.secrets.main_secret.iter().map(|secret| secret.expose().to_owned()).collect()),
    setting!(list "previous_main_secrets", None, "list of texts", default "", special "",
        "Main secrets of before, which still open what they sealed; needed until `bellwire secrets rotate` is done.",
        set |c, v| put(&mut c.secrets.previous, each(v, main_secret)?),
        get |c| c.secrets.previous.iter().map(|secret| secret.expose().to_owned()).collect()),
    setting!("max_body", Some("max-body"), "size in bytes", default "1MiB", special "",
        "The longest request body that is taken; longer ones are answered 413.",
        set |c, v| put(&mut c.http.max_body, size(one(v)?, 1 << 10, 64 << 20)?),
        get |c| vec![write_size(c.http.max_body)]),
    setting!("max_connections", Some("max-connections"), "number", default "10000", special "",
        "Connections to the server at once; further ones wait.",
        set |c, v| put(&mut c.http.max_connections, number(one(v)?, 1, 1_000_000)?),
        get |c| vec![c.http.max_connections.to_string()]),
    setting!(list "trusted_proxies", Some("trusted-proxies"), "list of address ranges", default "", special "",
        "Proxies in front of the server: from them `X-Forwarded-For` says who sent a request to a source.",
        set |c, v| put(&mut c.http.trusted_proxies, each(v, parsed)?),
        get |c| text(&c.http.trusted_proxies)),
    setting!("workers", Some("workers"), "number of threads", default "auto", special "`auto`: one for each core",
        "Threads that do the work.",
        set |c, v| put(&mut c.process.workers, match one(v)? { "auto" => None, n => Some(number(n, 1, 1_024)?) }),
        get |c| vec![c.process.workers.map_or_else(|| "auto".to_owned(), |n| n.to_string())]),
    setting!(list "allow_private", Some("allow-private"), "list of address ranges", default "", special "with `--dev`: the loopback ranges",
        "Ranges that endpoints may be in although they are not public, such as `10.0.0.0/8`.",
        set |c, v| put(&mut c.calls.policy.allow_private, each(v, parsed)?),
        get |c| text(&c.calls.policy.allow_private)),
    setting!(list "extra_denied", Some("extra-denied"), "list of address ranges", default "", special "",
        "Ranges that endpoints may not be in although they are public. The narrower of this and `allow_private` decides.",
        set |c, v| put(&mut c.calls.policy.extra_denied, each(v, parsed)?),
        get |c| text(&c.calls.policy.extra_denied)),
    setting!(list "allow_ports", Some("allow-ports"), "list of ports", default "", special "",
        "Ports below 1024 that endpoints may have besides 80 and 443.",
        set |c, v| put(&mut c.calls.policy.ports, each(v, |port| number(port, 1, u16::MAX))?),
        get |c| text(&c.calls.policy.ports)),
    setting!("https_only", Some("https-only"), "true or false", default "false", special "",
        "Refuse endpoints with `http://`.",
        set |c, v| put(&mut c.calls.policy.https_only, truth(one(v)?)?),
        get |c| vec![c.calls.policy.https_only.to_string()]),
    setting!("proxy", Some("proxy"), "URL", default "", special "unset: none; proxy variables of the environment are ignored",
        "The proxy that deliveries go through: `http://host:3128` (CONNECT) or `socks5://host:1080`.",
        set |c, v| put(&mut c.calls.proxy, Some(parsed(one(v)?)?)),
        get |c| c.calls.proxy.iter().map(|proxy| {
            let scheme = match proxy.kind {
                bellwire_deliver::guard::ProxyKind::Http => "http",
                bellwire_deliver::guard::ProxyKind::Socks5 => "socks5",
            };
            format!("{scheme}://{}{proxy}", if proxy.credentials.is_some() { "[not shown]@" } else { "" })
        }).collect()),
    setting!(list "no_proxy", Some("no-proxy"), "list of names, addresses and ranges", default "", special "`*`: everything",
        "Where the proxy is not used. A name includes everything below it.",
        set |c, v| put(&mut c.calls.no_proxy, text(v)),
        get |c| c.calls.no_proxy.clone()),
    setting!(list "dns", Some("dns"), "list of addresses", default "", special "empty: the system's",
        "DNS servers that endpoints' names are looked up at; port 53 unless given.",
        set |c, v| put(&mut c.calls.dns, each(v, name_server)?),
        get |c| c.calls.dns.iter().map(write_name_server).collect()),
    setting!("ca_file", Some("ca-file"), "file", default "", special "",
        "Certificates (PEM or DER) that are trusted as roots besides the public ones.",
        set |c, v| put(&mut c.calls.ca_file, Some(PathBuf::from(one(v)?))),
        get |c| c.calls.ca_file.iter().map(|file| file.display().to_string()).collect()),
    setting!("timeouts.attempt", Some("timeouts-attempt"), "duration", default "15s", special "",
        "How long an attempt may take, connecting and the whole answer included; an endpoint may have its own. At most 30s.",
        set |c, v| put(&mut c.delivery.timeout, span(one(v)?, CALL_TIMEOUT[0], CALL_TIMEOUT[1])?),
        get |c| vec![format_span(c.delivery.timeout)]),
    setting!("timeouts.connect", Some("timeouts-connect"), "duration", default "3s", special "",
        "How long opening a connection may take, with a proxy's handshake.",
        set |c, v| put(&mut c.calls.connect, span(one(v)?, CALL_TIMEOUT[0], CALL_TIMEOUT[1])?),
        get |c| vec![format_span(c.calls.connect)]),
    setting!("timeouts.tls", Some("timeouts-tls"), "duration", default "5s", special "",
        "How long the TLS handshake may take.",
        set |c, v| put(&mut c.calls.tls, span(one(v)?, CALL_TIMEOUT[0], CALL_TIMEOUT[1])?),
        get |c| vec![format_span(c.calls.tls)]),
    setting!("timeouts.dns", Some("timeouts-dns"), "duration", default "2s", special "",
        "How long looking up a name may take.",
        set |c, v| put(&mut c.calls.lookup, span(one(v)?, CALL_TIMEOUT[0], CALL_TIMEOUT[1])?),
        get |c| vec![format_span(c.calls.lookup)]),
    setting!("timeouts.shutdown", Some("timeouts-shutdown"), "duration", default "10s", special "`0s`: at once",
        "How long attempts under way may take to end when the server stops. What does not end is attempted again later.",
        set |c, v| put(&mut c.process.grace, span(one(v)?, Duration::ZERO, MINUTES_10)?),
        get |c| vec![format_span(c.process.grace)]),
    setting!(list "retry_schedule", Some("retry-schedule"), "list of durations", default "5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 1d", special "`none` or `[]`: a single attempt",
        "The wait before each retry: n entries make n + 1 attempts. Up to a fifth is added at random. An endpoint may have its own.",
        set |c, v| put(&mut c.delivery.retry_schedule, match v.len() {
            0..=100 => each(v, |wait| span(wait, Duration::ZERO, WAIT_MAX))?,
            _ => return Err("write at most 100 durations".to_owned()),
        }),
        get |c| c.delivery.retry_schedule.iter().copied().map(format_span).collect()),
    setting!("disable_after", Some("disable-after"), "duration", default "5d", special "`never`",
        "An endpoint that only failed for so long is disabled, and its owner is told.",
        set |c, v| put(&mut c.delivery.disable_after, span_or(one(v)?, "never")?),
        get |c| vec![write_span_or(c.delivery.disable_after, "never")]),
    setting!("default_signature", Some("default-signature"), "`v1` or `v1a`", default "v1", special "",
        "How endpoints sign that are made without a secret: `v1` is HMAC-SHA256, `v1a` is Ed25519.",
        set |c, v| put(&mut c.delivery.default_signature, scheme(one(v)?)?),
        get |c| vec![c.delivery.default_signature.version.to_owned()]),
    setting!("svix_headers", Some("svix-headers"), "true or false", default "true", special "",
        "Send `svix-id`, `svix-timestamp` and `svix-signature` beside the `webhook-*` headers.",
        set |c, v| put(&mut c.delivery.svix_headers, truth(one(v)?)?),
        get |c| vec![c.delivery.svix_headers.to_string()]),
    setting!("in_flight", Some("in-flight"), "number", default "1024", special "",
        "Attempts under way at once.",
        set |c, v| put(&mut c.delivery.in_flight, number(one(v)?, 1, 100_000)?),
        get |c| vec![c.delivery.in_flight.to_string()]),
    setting!("in_flight_per_endpoint", Some("in-flight-per-endpoint"), "number", default "32", special "",
        "Attempts under way at once at one endpoint that does not say otherwise.",
        set |c, v| put(&mut c.delivery.in_flight_per_endpoint, number(one(v)?, 1, 10_000)?),
        get |c| vec![c.delivery.in_flight_per_endpoint.to_string()]),
    setting!("in_flight_min", Some("in-flight-min"), "number", default "1", special "",
        "An endpoint that is slow or refuses is given fewer attempts at once, but never fewer than this. At most `in_flight_per_endpoint`.",
        set |c, v| put(&mut c.delivery.in_flight_min, number(one(v)?, 1, 10_000)?),
        get |c| vec![c.delivery.in_flight_min.to_string()]),
    setting!("breaker_failures", Some("breaker-failures"), "number", default "100", special "`0`: never",
        "After so many failures in a row an endpoint is only probed until it answers well again; what waits for it uses up no attempt, except the probe's own.",
        set |c, v| put(&mut c.delivery.breaker.failures, number(one(v)?, 0, 1_000_000)?),
        get |c| vec![c.delivery.breaker.failures.to_string()]),
    setting!("breaker_probe_min", Some("breaker-probe-min"), "duration", default "1s", special "",
        "The wait before the first probe; it doubles with each that fails. At most `breaker_probe_max`.",
        set |c, v| put(&mut c.delivery.breaker.probe_min, span(one(v)?, CALL_TIMEOUT[0], MINUTES_10)?),
        get |c| vec![format_span(c.delivery.breaker.probe_min)]),
    setting!("breaker_probe_max", Some("breaker-probe-max"), "duration", default "1m", special "",
        "The longest wait before a probe.",
        set |c, v| put(&mut c.delivery.breaker.probe_max, span(one(v)?, CALL_TIMEOUT[0], DAY)?),
        get |c| vec![format_span(c.delivery.breaker.probe_max)]),
    setting!("publish_max_in_flight", Some("publish-max-in-flight"), "number", default "8192", special "",
        "Publications under way at once at most: as many as the server gets done in a second, and 1024 in any case. Further ones are answered 503.",
        set |c, v| put(&mut c.publish.in_flight_max, number(one(v)?, 1, 1_000_000)?),
        get |c| vec![c.publish.in_flight_max.to_string()]),
    setting!("publish_body_bytes_max", Some("publish-body-bytes-max"), "size in bytes", default "256MiB", special "less than `max_body`: as much as that",
        "Memory for the bodies of all requests under way; what would go beyond is answered 503.",
        set |c, v| put(&mut c.publish.body_bytes_max, size(one(v)?, 1 << 20, 64 << 30)?),
        get |c| vec![write_size(c.publish.body_bytes_max)]),
    setting!("publish_high_water", Some("publish-high-water"), "number", default "10000000", special "",
        "While so many deliveries wait in the store, publications are answered 503.",
        set |c, v| put(&mut c.publish.high_water, number(one(v)?, 1, u64::MAX)?),
        get |c| vec![c.publish.high_water.to_string()]),
    setting!("publish_app_rate", Some("publish-app-rate"), "number per second", default "0", special "`0`: no limit",
        "Messages that an application may publish per second; further ones are answered 429. An application may have its own (`publishRate`).",
        set |c, v| put(&mut c.publish.app_rate, number(one(v)?, 0, 1_000_000)?),
        get |c| vec![c.publish.app_rate.to_string()]),
    setting!("publish_app_waiting", Some("publish-app-waiting"), "number", default "0", special "`0`: no limit",
        "While so many deliveries wait in the store for an application's endpoints, its publications are answered 429.",
        set |c, v| put(&mut c.publish.app_waiting, number(one(v)?, 0, u64::MAX)?),
        get |c| vec![c.publish.app_waiting.to_string()]),
    setting!("role", Some("role"), "`all`, `api` or `worker`", default "all", special "",
        "What this server does where several share a store: everything; take requests only; or make deliveries and what is done in the background only.",
        set |c, v| put(&mut c.process.role, one(v)?.parse().map_err(|()| "write all, api or worker".to_owned())?),
        get |c| vec![c.process.role.name().to_owned()]),
    setting!("hooks", Some("hooks"), "file", default "", special "unset: what an earlier file made stays as it is",
        "The hooks file (docs/hooks.md): what comes in besides the API, and what is done with it. Read again when it changes.",
        set |c, v| put(&mut c.listener.hooks, Some(PathBuf::from(one(v)?))),
        get |c| c.listener.hooks.iter().map(|file| file.display().to_string()).collect()),
    setting!("alert_queue_age", Some("alert-queue-age"), "duration", default "15m", special "`never`",
        "`endpoint.queue.delayed` is told when the oldest delivery of an endpoint has been due for so long.",
        set |c, v| put(&mut c.delivery.alerts.queue_age, span_or(one(v)?, "never")?.unwrap_or_default()),
        get |c| vec![write_span_or(Some(c.delivery.alerts.queue_age).filter(|age| !age.is_zero()), "never")]),
    setting!("alert_failure_rate", Some("alert-failure-rate"), "percent", default "50", special "`0`: never",
        "`endpoint.failure_rate.high` is told when so many of an endpoint's attempts of the last five minutes failed.",
        set |c, v| put(&mut c.delivery.alerts.failure_rate, f64::from(number::<u8>(one(v)?, 0, 100)?) / 100.0),
        get |c| vec![format!("{:.0}", c.delivery.alerts.failure_rate * 100.0)]),
    setting!("alert_failure_attempts", Some("alert-failure-attempts"), "number", default "20", special "",
        "Fewer attempts say nothing about a share.",
        set |c, v| put(&mut c.delivery.alerts.failure_attempts, number(one(v)?, 1, 1_000_000)?),
        get |c| vec![c.delivery.alerts.failure_attempts.to_string()]),
    setting!("alert_spike", Some("alert-spike"), "number", default "10", special "`0`: never",
        "`endpoint.traffic.spike` is told when a minute brings an endpoint so many times the last hour's average.",
        set |c, v| put(&mut c.delivery.alerts.spike, number::<u32>(one(v)?, 0, 1_000_000)?.into()),
        get |c| vec![format!("{:.0}", c.delivery.alerts.spike)]),
    setting!("alert_spike_messages", Some("alert-spike-messages"), "number", default "600", special "",
        "Fewer messages in a minute are no spike.",
        set |c, v| put(&mut c.delivery.alerts.spike_messages, number(one(v)?, 1, u32::MAX)?),
        get |c| vec![c.delivery.alerts.spike_messages.to_string()]),
    setting!("retention.messages", Some("retention-messages"), "duration", default "90d", special "`forever`",
        "How long messages are kept, with their deliveries and attempts. Events that a source brings are recognised for so long: keep 7 days at least where there are sources.",
        set |c, v| put(&mut c.retention.messages, span_or(one(v)?, "forever")?),
        get |c| vec![write_span_or(c.retention.messages, "forever")]),
    setting!("retention.attempts", Some("retention-attempts"), "duration", default "90d", special "`forever`",
        "How long attempts are kept.",
        set |c, v| put(&mut c.retention.attempts, span_or(one(v)?, "forever")?),
        get |c| vec![write_span_or(c.retention.attempts, "forever")]),
    setting!("retention.payloads", Some("retention-payloads"), "duration", default "90d", special "`forever`",
        "How long the payload of a message is kept that does not say it itself.",
        set |c, v| put(&mut c.retention.payloads, span_or(one(v)?, "forever")?),
        get |c| vec![write_span_or(c.retention.payloads, "forever")]),
    setting!("log.format", Some("log-format"), "`human` or `json`", default "json", special "with `--dev`: `human`",
        "The form of the log, which goes to standard error.",
        set |c, v| put(&mut c.telemetry.format, match one(v)? {
            "human" => LogFormat::Human,
            "json" => LogFormat::Json,
            _ => return Err("write human or json".to_owned()),
        }),
        get |c| vec![match c.telemetry.format { LogFormat::Human => "human", LogFormat::Json => "json" }.to_owned()]),
    setting!("log.level", Some("log-level"), "levels", default "info", special "`off`",
        "How much is logged: error, warn, info, debug or trace; for one part of the program as well: `info,bellwire_deliver=debug`.",
        set |c, v| {
            let level = v.join(",");
            log_filter(&level)?;
            put(&mut c.telemetry.level, level)
        },
        get |c| vec![c.telemetry.level.clone()]),
    setting!("metrics", Some("metrics"), "`on`, `off`, or address and port", default "on", special "an address: there only, not beside the API",
    "Where `/metrics` is, for Prometheus. It needs no token and names no customer.",
    set |c, v| put(&mut c.telemetry.metrics, match one(v)? {
        "on" | "true" => Metrics::On,
        "off" | "false" => Metrics::Off,
        other => Metrics::Listen(address(other).map_err(|_| "write on, off, or an address and a port such as 127.0.0.1:9071".to_owned())?),
    }),
    get |c| vec![match c.telemetry.metrics {
        Metrics::On => "on".to_owned(),
        Metrics::Off => "off".to_owned(),
        Metrics::Listen(address) => address.to_string(),
    }]),
    setting!("otlp_endpoint", Some("otlp-endpoint"), "URL", default "", special "unset: no traces",
        "Where traces are sent: the base URL of an OpenTelemetry collector that takes OTLP over plain HTTP, such as `http://127.0.0.1:4318`.",
        set |c, v| {
            let url = web_url(one(v)?)?;
            if url.scheme() != "http" {
                return Err("write an http:// URL; for a collector elsewhere run an agent beside the server".to_owned());
            }
            put(&mut c.telemetry.otlp, Some(url))
        },
        get |c| c.telemetry.otlp.iter().map(|url| url.as_str().trim_end_matches('/').to_owned()).collect()),
];

#[cfg(test)]
mod tests;
