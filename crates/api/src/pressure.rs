//! Pressure from publishers: what is refused before it is read, so that a server under too much of it stays quick.
//!
//! Asked by [`crate::door`] before a request is routed, by [`crate::operation`] before the body of one that publishes is read, and
//! while any body is being read. A publication is counted from when its body is there, so that slow senders take nobody's place. The bounds of the whole server come first, because they are the cheapest to ask: publications under way, deliveries that wait.
//! Then those of the application: its rate, and the deliveries that wait for its endpoints. Bytes of bodies are counted while
//! they arrive.
//!
//! Of those under way only some are worked on at once, in the order in which they came; the others wait for their turn without
//! costing anything. All of them at once would take the processors from deliveries, and more would be accepted than is delivered.
//!
//! Deliberately not here: bounds on what is delivered. They are the scheduler's.

mod done;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bellwire_core::{
    app::App,
    id::AppId,
    quota::{Asked, Bucket, Standing, WINDOW},
    time::Timestamp,
};
use bellwire_store::Directory;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use self::done::Done;

use crate::{
    error::ApiError,
    metrics::{ApiMetrics, Refused},
};

/// How much is taken from publishers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishLimits {
    /// Publications under way at once at most; more are answered 503. While the server gets fewer of them done in a second, but
    /// not below 1,024, it takes on that many.
    pub in_flight_max: usize,
    /// Of those so many are worked on at once; the others wait for their turn. At least 1.
    pub turns: usize,
    /// Bytes of request bodies in memory at once; what would go beyond is answered 503.
    pub body_bytes_max: usize,
    /// While so many deliveries wait in the store, publications are answered 503.
    pub high_water: u64,
    /// Messages per second and application; more are answered 429. 0 is no limit. An application's own rate wins.
    pub app_rate: u32,
    /// While so many deliveries wait for an application's endpoints, its publications are answered 429. 0 is no limit.
    pub app_waiting: u64,
}

impl Default for PublishLimits {
    fn default() -> Self {
        Self {
            in_flight_max: 8_192,
            turns: 256,
            body_bytes_max: 256 << 20,
            high_water: 10_000_000,
            app_rate: 0,
            app_waiting: 0,
        }
    }
}

/// When to come back: to a busy server soon, to a full store when something has gone out of it.
const BUSY: Duration = Duration::from_secs(1);
const FULL: Duration = Duration::from_secs(10);

/// Why the server as a whole takes on no publication now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// As many are under way as may be.
    Busy,
    /// As many deliveries wait as may.
    Full,
}

impl Pressed {
    /// What is answered.
    pub fn error(self) -> ApiError {
        match self {
            Self::Busy => {
                let detail = "as many publications are under way as the server takes on at once";
                ApiError::overloaded(detail, BUSY)
            }
            Self::Full => ApiError::overloaded("as many deliveries are waiting as the server takes on", FULL),
        }
    }

    fn reason(self) -> Refused {
        match self {
            Self::Busy => Refused::InFlight,
            Self::Full => Refused::HighWater,
        }
    }
}

/// What is under way, counted; and the applications' quotas.
#[derive(Debug)]
pub(crate) struct Pressure {
    limits: PublishLimits,
    metrics: Arc<ApiMetrics>,
    publishing: AtomicUsize,
    done: Done,
    turns: Arc<Semaphore>,
    body_bytes: AtomicUsize,
    quotas: Mutex<Quotas>,
}

#[derive(Debug, Default)]
struct Quotas {
    buckets: HashMap<AppId, Bucket>,
    /// So many may be kept before those that stand as new ones are forgotten.
    most: usize,
}

/// A publication under way, whose turn it is; dropped when it has ended.
#[derive(Debug)]
pub(crate) struct Publishing {
    _place: Place,
    _turn: Option<OwnedSemaphorePermit>,
}

/// A place among the publications under way.
#[derive(Debug)]
struct Place(Arc<Pressure>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.done.add();
        self.0.publishing.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.publishes_in_flight.dec();
    }
}

/// Bytes of a body that are in memory; dropped when the request has been answered.
#[derive(Debug)]
pub(crate) struct BodyBytes {
    pressure: Arc<Pressure>,
    bytes: usize,
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        self.pressure.body_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl BodyBytes {
    /// So many more have arrived.
    ///
    /// # Errors
    /// `server_overloaded` when there is no room for them.
    pub fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let most = self.pressure.limits.body_bytes_max;
        let counted = &self.pressure.body_bytes;
        let taken = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|sum| *sum <= most)
        });
        if taken.is_err() {
            self.pressure.metrics.refused(Refused::BodyBytes);
            let detail = "the bodies of the requests under way take all the memory they may have";
            return Err(ApiError::overloaded(detail, BUSY));
        }
        self.bytes += bytes;
        Ok(())
    }
}

/// How an application's rate stands: told with every answer to a publication while one is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateNow {
    per_second: u32,
    standing: Standing,
}

impl RateNow {
    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4).
    pub fn put(self, headers: &mut HeaderMap) {
        let policy = format!("\"publish\";q={};w={}", self.per_second.max(1), WINDOW.as_secs());
        let Standing { remaining, reset } = self.standing;
        let now = format!("\"publish\";r={remaining};t={}", seconds(reset));
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", now)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

impl Pressure {
    pub fn new(limits: PublishLimits, metrics: Arc<ApiMetrics>) -> Self {
        Self {
            limits,
            metrics,
            publishing: AtomicUsize::new(0),
            done: Done::new(Instant::now()),
            turns: Arc::new(Semaphore::new(limits.turns.max(1))),
            body_bytes: AtomicUsize::new(0),
            quotas: Mutex::default(),
        }
    }

    /// The count of a body that is about to be read.
    pub fn body(self: &Arc<Self>) -> BodyBytes {
        BodyBytes {
            pressure: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Whether the server as a whole takes on a publication now, and counts it when not. A place is not taken yet: a body that
    /// never comes takes none.
    ///
    /// # Errors
    /// Why not.
    pub fn has_room(&self, directory: &Directory) -> Result<(), Pressed> {
        let pressed = if self.publishing.load(Ordering::Relaxed) >= self.room() {
            Pressed::Busy
        } else if directory.waiting() >= self.limits.high_water {
            Pressed::Full
        } else {
            return Ok(());
        };
        self.metrics.refused(pressed.reason());
        Err(pressed)
    }

    /// A publication begins: its body is there. Waits for its turn.
    ///
    /// # Errors
    /// `server_overloaded` when others have taken the room meanwhile.
    pub async fn begin(self: &Arc<Self>) -> Result<Publishing, ApiError> {
        let place = self.take_place()?;
        // Never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        Ok(Publishing {
            _place: place,
            _turn: turn,
        })
    }

    /// How many publications may be under way now.
    fn room(&self) -> usize {
        self.done.room(self.limits.in_flight_max, Instant::now())
    }

    fn take_place(self: &Arc<Self>) -> Result<Place, ApiError> {
        if self.publishing.fetch_add(1, Ordering::Relaxed) >= self.room() {
            self.publishing.fetch_sub(1, Ordering::Relaxed);
            self.metrics.refused(Refused::InFlight);
            return Err(Pressed::Busy.error());
        }
        self.metrics.publishes_in_flight.inc();
        Ok(Place(Arc::clone(self)))
    }

    /// Whether the application may publish. `told` is how its rate stands then, if it has one.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub fn judge(&self, app: &App, directory: &Directory, told: &mut Option<RateNow>) -> Result<(), ApiError> {
        let per_second = app.publish_rate.unwrap_or(self.limits.app_rate);
        if per_second > 0 {
            let asked = self.ask(app.id, per_second, directory.now());
            let standing = asked.standing;
            *told = Some(RateNow { per_second, standing });
            if let Some(wait) = asked.wait {
                self.metrics.refused(Refused::AppRate);
                let detail = format!("the application may publish {per_second} messages a second");
                return Err(ApiError::quota_exceeded(detail, wait));
            }
        }
        let most = self.limits.app_waiting;
        if most > 0 && directory.waiting_of(app.id) >= most {
            self.metrics.refused(Refused::AppWaiting);
            let detail = format!("{most} deliveries or more are waiting for the application's endpoints");
            return Err(ApiError::quota_exceeded(detail, FULL));
        }
        Ok(())
    }

    fn ask(&self, app: AppId, per_second: u32, now: Timestamp) -> Asked {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        quotas.ask(app, per_second, now)
    }
}

impl Quotas {
    /// What is kept for less than that is not worth looking through.
    const FEW: usize = 1_024;

    fn ask(&mut self, app: AppId, per_second: u32, now: Timestamp) -> Asked {
        if self.buckets.len() >= self.most.max(Self::FEW) {
            self.buckets.retain(|_, bucket| !bucket.is_as_new(now));
            self.most = self.buckets.len() * 2;
        }
        self.buckets.entry(app).or_default().take(per_second, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwire_core::id::Id as _;
    use futures_util::FutureExt as _;

    #[test]
    fn those_that_are_under_way_take_turns_in_the_order_in_which_they_came() {
        let limits = PublishLimits {
            in_flight_max: 3,
            turns: 1,
            ..PublishLimits::default()
        };
        let pressure = Arc::new(Pressure::new(limits, Arc::default()));
        let first = pressure.begin().now_or_never().unwrap().unwrap();
        let (mut second, mut third) = (Box::pin(pressure.begin()), Box::pin(pressure.begin()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        // Who waits has a place.
        assert!(pressure.begin().now_or_never().unwrap().is_err());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let second = second.now_or_never().unwrap();
        // Who goes away gives up its place, and its turn.
        drop((second, third));
        assert_eq!(pressure.publishing.load(Ordering::Relaxed), 0);
        assert!(pressure.begin().now_or_never().unwrap().is_ok());
    }

    #[test]
    fn places_are_counted_while_they_are_held_and_not_beyond_the_bound() {
        let limits = PublishLimits {
            in_flight_max: 2,
            ..PublishLimits::default()
        };
        let pressure = Arc::new(Pressure::new(limits, Arc::default()));
        let (one, other) = (pressure.take_place().unwrap(), pressure.take_place().unwrap());
        assert_eq!(pressure.take_place().unwrap_err().code().status, 503);
        assert_eq!(pressure.metrics.publishes_in_flight.get(), 2);
        drop(one);
        let third = pressure.take_place().unwrap();
        assert!(pressure.take_place().is_err());
        drop((other, third));
        assert_eq!(pressure.publishing.load(Ordering::Relaxed), 0);
        assert_eq!(pressure.metrics.publishes_in_flight.get(), 0);
    }

    #[test]
    fn bytes_are_counted_while_they_are_held_and_not_beyond_the_bound() {
        let limits = PublishLimits {
            body_bytes_max: 10,
            ..PublishLimits::default()
        };
        let pressure = Arc::new(Pressure::new(limits, Arc::default()));
        let (mut one, mut other) = (pressure.body(), pressure.body());
        one.add(6).unwrap();
        assert_eq!(other.add(5).unwrap_err().code().status, 503);
        other.add(4).unwrap();
        drop(one);
        other.add(6).unwrap();
        drop(other);
        assert_eq!(pressure.body_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn quotas_of_those_who_stopped_publishing_are_forgotten() {
        let mut quotas = Quotas::default();
        let start = Timestamp::from_secs(1_766_000_000);
        for n in 0..10_000 {
            quotas.ask(AppId::from_number(n), 5, start.plus(Duration::from_millis(n)));
        }
        assert!(
            quotas.buckets.len() <= 2 * Quotas::FEW.max(1_000),
            "{}",
            quotas.buckets.len()
        );
        // And those who did not are known as before.
        let now = start.plus(Duration::from_secs(60));
        for _ in 0..5 {
            assert_eq!(quotas.ask(AppId::from_number(7), 5, now).wait, None);
        }
        for n in 20_000..24_000 {
            quotas.ask(AppId::from_number(n), 5, now);
        }
        assert!(quotas.ask(AppId::from_number(7), 5, now).wait.is_some());
    }

    #[test]
    fn the_headers_say_the_quota_what_is_left_and_until_when() {
        let standing = Standing {
            remaining: 3,
            reset: Duration::from_millis(700),
        };
        let mut headers = HeaderMap::new();
        RateNow {
            per_second: 10,
            standing,
        }
        .put(&mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""publish";q=10;w=1"#);
        assert_eq!(headers["ratelimit"], r#""publish";r=3;t=1"#);
    }
}
