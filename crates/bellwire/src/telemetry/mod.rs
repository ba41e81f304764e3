//! What the process tells about itself: its log, its metrics, its traces.
//!
//! The log belongs to the process and is set up once by `bellwire serve`. Metrics and traces belong to one server each: two
//! servers in one process do not mix theirs. None of them ever carries a secret, a payload or an answer's body.

mod log;
mod metrics;
mod otlp;
mod writing;

pub use log::log_to_stderr;
pub use metrics::MetricsPage;
pub use otlp::Exporter;
