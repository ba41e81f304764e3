//! Who gets the next free slot: applications in turn, and inside them endpoints in turn, those first that have none.
//!
//! Nobody can take everything. A lane holds at most as many slots as are free, so that the more one holds, the more it leaves. An
//! application holds at most three times as many as are free; for an endpoint of it that has none it may go up to fifteen times,
//! because endpoints that hang must not keep those beside them from being served either. An application whose rate limit lets
//! nothing through stands in no queue: one timer brings it back, however many lanes it has.

use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasherDefault,
};

use bellwire_core::{
    id::{AppId, EndpointId},
    rate::{self, Pace},
    time::Timestamp,
};

use super::{Effects, IdHasher, Lanes, State};
use crate::scheduler::lane::{Lane, Stands};

/// An application holds at most so many times as many slots as are free.
const APP_SHARE: usize = 3;
/// The same for the first slot of each of its endpoints.
const APP_SHARE_FIRST: usize = 15;
/// So many lanes that hold their share are passed over in one look for one that does not.
const PASSED_OVER_MAX: usize = 32;

/// How the rate of an application stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct AppPace {
    /// Deliveries per second at most, over all its endpoints.
    pub per_second: Option<u16>,
    /// The next is let through then.
    pub paced_until: Option<Timestamp>,
    /// Until when it held something back that would have been begun otherwise.
    pub throttled_until: Option<Timestamp>,
}

/// A lane that is ready, and what it counted when it came to stand here.
type Entry = (EndpointId, u32);

/// An application with lanes.
#[derive(Debug)]
pub(super) struct App {
    id: AppId,
    lanes: usize,
    /// Slots that its lanes hold.
    in_flight: usize,
    /// Workers among them that were started and have not asked for anything yet.
    starting: usize,
    pub pace: AppPace,
    even: Pace,
    /// The earliest time at which a look at it is planned.
    pub planned: Option<Timestamp>,
    /// Lanes that are ready, hold no slot, and wait for their first.
    first: VecDeque<Entry>,
    /// Lanes that are ready and hold a slot already.
    more: VecDeque<Entry>,
    /// Stands in the queue of applications.
    in_turn: bool,
}

impl App {
    fn new(id: AppId) -> Self {
        Self {
            id,
            lanes: 0,
            in_flight: 0,
            starting: 0,
            pace: AppPace::default(),
            even: Pace::default(),
            planned: None,
            first: VecDeque::new(),
            more: VecDeque::new(),
            in_turn: false,
        }
    }

    fn push(&mut self, endpoint: EndpointId, lane: &mut Lane) {
        lane.stood = lane.stood.wrapping_add(1);
        let entry = (endpoint, lane.stood);
        if lane.active == 0 {
            lane.stands = Stands::First;
            self.first.push_back(entry);
        } else {
            lane.stands = Stands::More;
            self.more.push_back(entry);
        }
    }

    /// Drops entries that no longer count, when there are many.
    fn tidy(&mut self, lanes: &Lanes) {
        if self.more.len() > 2 * self.lanes + 32 {
            self.more.retain(|(endpoint, stood)| {
                lanes
                    .get(endpoint)
                    .is_some_and(|lane| lane.stands == Stands::More && lane.stood == *stood)
            });
        }
    }

    fn is_ready(&self) -> bool {
        !self.first.is_empty() || !self.more.is_empty()
    }

    /// Whether a worker that is started now may find that it is let through. One after the other where there is a rate limit: none
    /// in vain.
    fn may_start(&self, now: Timestamp) -> bool {
        self.pace.per_second.is_none() || (self.starting == 0 && self.pace.paced_until.is_none_or(|at| at <= now))
    }

    /// Whether it is limited in its rate.
    pub fn is_paced(&self) -> bool {
        self.pace.per_second.is_some()
    }

    /// The time from which on a delivery is let through; `None` when that is now.
    pub fn opens_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let per_second = self.pace.per_second?;
        self.pace.paced_until = self.even.opens_at(rate::interval(f64::from(per_second)), now);
        self.pace.paced_until
    }

    /// So many are let through.
    pub fn take(&mut self, n: u32, now: Timestamp) {
        if let Some(per_second) = self.pace.per_second {
            // Asked before. What comes next may be told at once when it will be let through.
            let _ = self.even.take_many(rate::interval(f64::from(per_second)), n, now);
            let _ = self.opens_at(now);
        }
    }

    /// A worker has asked for its first delivery.
    pub fn started(&mut self) {
        self.starting = self.starting.saturating_sub(1);
    }

    /// A worker gave up its slot.
    pub fn gave_up(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

/// Every application with lanes, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Apps {
    known: Vec<App>,
    by_id: HashMap<AppId, usize, BuildHasherDefault<IdHasher>>,
    vacant: Vec<usize>,
    turn: VecDeque<usize>,
    /// Somebody who holds no slot found none when it was last looked.
    pub starved: bool,
}

impl Apps {
    /// A lane of this application is made; answers its place.
    pub fn join(&mut self, id: AppId, per_second: Option<u16>) -> usize {
        let place = match self.by_id.get(&id) {
            Some(place) => *place,
            None => {
                let place = self.vacant.pop().unwrap_or(self.known.len());
                if place == self.known.len() {
                    self.known.push(App::new(id));
                } else {
                    self.known[place] = App::new(id);
                }
                self.by_id.insert(id, place);
                place
            }
        };
        let app = &mut self.known[place];
        app.lanes += 1;
        app.pace.per_second = per_second;
        place
    }

    /// A lane of the application at this place is forgotten. It holds nothing and waits for nothing.
    pub fn leave(&mut self, place: usize) {
        let app = &mut self.known[place];
        app.lanes -= 1;
        if app.lanes == 0 {
            self.by_id.remove(&app.id);
            self.turn.retain(|other| *other != place);
            self.vacant.push(place);
        }
    }

    /// The application at this place.
    pub fn at(&mut self, place: usize) -> &mut App {
        &mut self.known[place]
    }

    /// How its rate stands.
    pub fn pace(&self, place: usize) -> AppPace {
        self.known[place].pace
    }

    /// Takes over the rate limits that are in force, and lets those that wait for theirs look anew when it changed.
    pub fn set_rates(&mut self, per_second: impl Fn(AppId) -> Option<u16>) {
        for place in self.by_id.values() {
            let app = &mut self.known[*place];
            let now = per_second(app.id);
            if app.pace.per_second != now {
                app.pace.per_second = now;
                app.pace.paced_until = None;
                app.pace.throttled_until = None;
                join_turn(app, *place, &mut self.turn);
            }
        }
    }

    /// A lane became ready, or gave up its last slot while it was.
    fn enter(&mut self, endpoint: EndpointId, lane: &mut Lane) {
        let app = &mut self.known[lane.app];
        app.push(endpoint, lane);
        join_turn(app, lane.app, &mut self.turn);
    }

    /// The application may have something to start again.
    pub fn look_again(&mut self, place: usize) {
        let Some(app) = self.known.get_mut(place) else { return };
        if app.is_ready() {
            join_turn(app, place, &mut self.turn);
        }
    }

    /// The clock was set back.
    pub fn clock_went_back(&mut self) {
        for place in self.by_id.values() {
            let app = &mut self.known[*place];
            app.planned = None;
            app.pace.paced_until = None;
            app.pace.throttled_until = None;
            if app.is_ready() {
                join_turn(app, *place, &mut self.turn);
            }
        }
    }

    /// The next application whose turn it is. One that may start nothing now is passed over and has to be let in again.
    fn next_in_turn(&mut self, now: Timestamp) -> Option<usize> {
        loop {
            let place = self.turn.pop_front()?;
            let app = &mut self.known[place];
            app.in_turn = false;
            if !app.is_ready() {
                continue;
            }
            if app.may_start(now) {
                return Some(place);
            }
            if app.pace.paced_until.is_some_and(|at| at > now) {
                app.pace.throttled_until = app.pace.paced_until;
            }
        }
    }
}

fn join_turn(app: &mut App, place: usize, turn: &mut VecDeque<usize>) {
    if !app.in_turn {
        app.in_turn = true;
        turn.push_back(place);
    }
}

impl State {
    /// Lets a lane stand for a slot, if it would use one.
    pub(super) fn make_ready(&mut self, endpoint: EndpointId, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && (lane.stands == Stands::Nowhere || (lane.stands == Stands::More && lane.active == 0))
            && lane.wants_worker(now)
        {
            self.apps.enter(endpoint, lane);
        }
    }

    /// Gives free slots to ready lanes.
    pub(super) fn pump(&mut self, now: Timestamp, effects: &mut Effects) {
        let (mut passed_over, mut in_vain) = (0, 0);
        self.apps.starved = false;
        while !self.stopped {
            let free = self.bounds.in_flight.saturating_sub(self.in_flight);
            if free == 0 {
                self.apps.starved = !self.apps.turn.is_empty();
                return;
            }
            let Some(place) = self.apps.next_in_turn(now) else {
                return;
            };
            let picked = self.pick(place, free, now, &mut passed_over);
            if let Some(endpoint) = picked {
                (passed_over, in_vain) = (0, 0);
                self.start(place, endpoint, now, effects);
            } else {
                in_vain += 1;
            }
            self.apps.look_again(place);
            if in_vain > self.apps.turn.len() || passed_over >= PASSED_OVER_MAX {
                return;
            }
        }
    }

    /// A lane of this application that gets one of the free slots.
    fn pick(&mut self, place: usize, free: usize, now: Timestamp, passed_over: &mut usize) -> Option<EndpointId> {
        let app = &mut self.apps.known[place];
        let has_first = app.in_flight < free.saturating_mul(APP_SHARE_FIRST);
        let has_more = app.in_flight < free.saturating_mul(APP_SHARE);
        app.tidy(&self.lanes);
        while let Some((endpoint, stood)) = app.first.pop_front() {
            let Some(lane) = self.lanes.get_mut(&endpoint).filter(|lane| lane.stood == stood) else {
                continue;
            };
            if !lane.wants_worker(now) {
                lane.stands = Stands::Nowhere;
            } else if has_first {
                return Some(endpoint);
            } else {
                app.first.push_front((endpoint, stood));
                self.apps.starved = true;
                return None;
            }
        }
        if !has_more {
            return None;
        }
        for _ in 0..app.more.len() {
            let Some((endpoint, stood)) = app.more.pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&endpoint).filter(|lane| lane.stood == stood) else {
                continue;
            };
            if !lane.wants_worker(now) {
                lane.stands = Stands::Nowhere;
                continue;
            }
            if lane.active < free {
                return Some(endpoint);
            }
            app.more.push_back((endpoint, stood));
            *passed_over += 1;
            if *passed_over >= PASSED_OVER_MAX {
                break;
            }
        }
        None
    }

    fn start(&mut self, place: usize, endpoint: EndpointId, now: Timestamp, effects: &mut Effects) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let app = &mut self.apps.known[place];
        lane.active += 1;
        lane.starting += 1;
        lane.touched_at = now;
        app.in_flight += 1;
        app.starting += 1;
        self.in_flight += 1;
        effects.start.push(endpoint);
        // One worker per waiting delivery or batch, no more: a worker that finds nothing was woken for nothing.
        lane.stands = Stands::Nowhere;
        if lane.wants_worker(now) {
            app.push(endpoint, lane);
        }
    }
}
