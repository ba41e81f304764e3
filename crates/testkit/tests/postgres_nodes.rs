//! Several nodes on one PostgreSQL, each with the real scheduler: who serves what, what becomes of it when nodes come and go, hang or
//! are cut off, and that the order of a line is kept through all of it.

#![expect(clippy::unwrap_used, reason = "all of it is a test")]

#[path = "postgres/house.rs"]
mod house;
#[path = "postgres/relay.rs"]
mod relay;
#[path = "../../store/src/backends/postgres/tests/server.rs"]
mod server;

use std::{collections::BTreeSet, sync::Arc};

use bellwire_core::{delivery::Trigger, time::Timestamp};
use bellwire_store::{
    AppendError, Change, ClaimRequest, StoreError,
    query::{Requeue, Tending},
};
use bellwire_testkit::{Reply, Script};
use tokio::time::timeout;

use self::{
    house::{House, Node, TAKEOVER, until},
    relay::Trick,
};

/// Each has its share, and one of them leads.
async fn is_spread(nodes: &[&Node]) -> bool {
    let rows = nodes[0].store.nodes().await.unwrap_or_default();
    let all: u32 = rows.iter().map(|row| row.shards).sum();
    let (least, most) = (
        rows.iter().map(|row| row.shards).min(),
        rows.iter().map(|row| row.shards).max(),
    );
    let leaders = rows.iter().filter(|row| row.leads).count();
    rows.len() == nodes.len()
        && all == 1_024
        && leaders == 1
        && most.zip(least).is_some_and(|(most, least)| most - least <= 1)
}

/// Waits until it is so.
async fn share_evenly(nodes: &[&Node]) {
    until("each has its share", || is_spread(nodes)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_the_endpoints_evenly_as_they_come_and_go() {
    let house = House::new("spread").await;
    let first = house.node().await;
    assert!(is_spread(&[&first]).await, "one alone has all of it at once");
    let (second, third) = tokio::join!(house.node(), house.node());
    share_evenly(&[&first, &second, &third]).await;
    let numbers: BTreeSet<u16> = [&first, &second, &third].map(|node| node.store.node()).into();
    assert_eq!(numbers, BTreeSet::from([0, 1, 2]));
    for node in [&first, &second, &third] {
        let is_told = || async {
            let told = node.store.health().await.node.unwrap();
            (told.nodes, told.takeovers) == (3, 0) && (341..=342).contains(&told.shards) && told.heard > told.said
        };
        until("whoever watches is told of it", is_told).await;
    }
    let number = second.store.node();
    second.leave().await;
    share_evenly(&[&first, &third]).await;
    let fourth = house.node().await;
    assert_eq!(fourth.store.node(), number, "a number that is free is given out again");
    share_evenly(&[&first, &third, &fourth]).await;
    let endpoints: Vec<_> = house.endpoints(30).await;
    for endpoint in endpoints {
        let served = [&first, &third, &fourth].map(|node| node.store.serves(endpoint));
        assert_eq!(
            served.iter().filter(|serves| **serves).count(),
            1,
            "one node serves an endpoint"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_anywhere_is_delivered_by_whoever_serves_the_endpoint() {
    let house = House::new("anywhere").await;
    let nodes = [house.node().await, house.node().await];
    share_evenly(&[&nodes[0], &nodes[1]]).await;
    let endpoints = house.endpoints(12).await;
    for node in &nodes {
        node.publish(&endpoints).await;
    }
    house.all_arrive(24).await;
    for (at, node) in nodes.iter().enumerate() {
        let foreign = endpoints
            .iter()
            .find(|endpoint| !node.store.serves(**endpoint))
            .unwrap();
        let request = ClaimRequest {
            endpoint: *foreign,
            now: Timestamp::MAX,
            limit: 10,
        };
        nodes[1 - at].pause(*foreign).await;
        node.publish(&[*foreign]).await;
        let claimed = node.store.claim(request).await.unwrap();
        assert!(claimed.work.is_empty(), "nobody claims for another node's endpoint");
    }
    house.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_had_in_memory_is_delivered_by_others_when_it_is_killed() {
    let house = House::new("killed").await;
    let (mut first, second) = (house.node().await, house.node().await);
    share_evenly(&[&first, &second]).await;
    let endpoints = house.endpoints(12).await;
    let own: Vec<_> = endpoints
        .iter()
        .copied()
        .filter(|endpoint| first.store.serves(*endpoint))
        .collect();
    for endpoint in &own {
        first.action.script(*endpoint, Script::always(Reply::Hangs));
    }
    first.publish(&own).await;
    first.cut().await;
    let others = || async {
        second
            .store
            .nodes()
            .await
            .is_ok_and(|rows| rows.len() == 1 && rows[0].shards == 1_024)
    };
    timeout(TAKEOVER, until("the other has all", others)).await.unwrap();
    let is_told = || async {
        let told = second.store.health().await.node.unwrap();
        (told.nodes, told.shards, told.takeovers) == (1, 1_024, 1)
    };
    until("whoever watches is told of it", is_told).await;
    house.all_arrive_at(&second, own.len()).await;
    house.is_sound().await;
    // The one that was cut off finds out, and writes nothing any more.
    first.mend();
    timeout(TAKEOVER, first.store.ousted()).await.unwrap();
    let refused = first.store.append(house.message(&own)).await;
    assert!(
        matches!(refused, Err(AppendError::Store(StoreError::Unavailable(_)))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_for_longer_than_its_lease_begins_no_attempt_and_its_late_writes_are_refused() {
    let house = House::new("hangs").await;
    let (mut first, second) = (house.node().await, house.node().await);
    share_evenly(&[&first, &second]).await;
    let endpoint = house.endpoint_of(&first).await;
    first.relay.play(Trick::Hang);
    let writing = {
        let (store, message) = (Arc::clone(&first.store), house.message(&[endpoint]));
        let mut set = tokio::task::JoinSet::new();
        set.spawn(async move { store.append(message).await });
        set
    };
    until("it does not know any more whether it may", || async {
        !first.store.may_attempt()
    })
    .await;
    let others = || async {
        second
            .store
            .nodes()
            .await
            .is_ok_and(|rows| rows.len() == 1 && rows[0].shards == 1_024)
    };
    timeout(TAKEOVER, until("the other has all", others)).await.unwrap();
    second.publish(&[endpoint]).await;
    house.all_arrive_at(&second, 1).await;
    first.cut().await;
    first.mend();
    timeout(TAKEOVER, first.store.ousted()).await.unwrap();
    let mut writing = writing;
    assert!(
        writing.join_next().await.unwrap().unwrap().is_err(),
        "what was under way is refused"
    );
    house.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_a_line_is_kept_while_nodes_come_and_go() {
    let house = House::new("in_order").await;
    let first = house.node().await;
    let endpoints = house.endpoints(8).await;
    let mut others = Vec::new();
    let mut published = 0;
    for round in 0..6 {
        match round {
            1 | 3 => others.push(house.node().await),
            4 => others.remove(0).leave().await,
            5 => others.push(house.node().await),
            _ => {}
        }
        for n in 0..40 {
            let publisher = others.get(n % 3).unwrap_or(&first);
            publisher.publish_in_line(&endpoints, "k").await;
            published += endpoints.len();
        }
    }
    house.all_arrive(published).await;
    house.is_in_order();
    house.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_everywhere_when_it_is_answered() {
    let house = House::new("config").await;
    let (first, second) = (house.node().await, house.node().await);
    share_evenly(&[&first, &second]).await;
    for (node, other) in [(&first, &second), (&second, &first)] {
        let endpoint = house.endpoint_by(node).await;
        assert!(other.directory.endpoint_by_id(endpoint).is_some(), "the other knows it");
        node.pause(endpoint).await;
        assert!(other.directory.endpoint_by_id(endpoint).unwrap().endpoint.paused);
        node.directory
            .commit(vec![Change::DeleteEndpoint(endpoint)], None)
            .await
            .unwrap();
        assert!(other.directory.endpoint_by_id(endpoint).is_none());
    }
    // Both at once: none is lost, and both come to the same.
    let made = |node: Arc<bellwire_store::Directory>| {
        let house = &house;
        async move {
            for _ in 0..20 {
                let endpoint = house.new_endpoint();
                node.commit(vec![Change::PutEndpoint(Box::new(endpoint))], None)
                    .await
                    .unwrap();
            }
        }
    };
    tokio::join!(made(Arc::clone(&first.directory)), made(Arc::clone(&second.directory)));
    assert_eq!(first.directory.endpoint_count(), 40);
    assert_eq!(second.directory.endpoint_count(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_do_to_deliveries_works_from_any_node() {
    let house = House::new("by_hand").await;
    let (first, second) = (house.node().await, house.node().await);
    share_evenly(&[&first, &second]).await;
    let endpoint = house.endpoint_of(&first).await;
    first.action.script(endpoint, Script::always(Reply::Status(500)));
    let message = second.publish(&[endpoint]).await;
    until("it failed once", || async { first.begun(message) == 1 }).await;
    first.action.heal();
    let wish = Requeue {
        message,
        endpoint,
        due_at: second.directory.now(),
        trigger: Trigger::Manual,
    };
    until("it is started anew", || async {
        second.store.requeue(vec![wish]).await.unwrap_or(0) == 1 && first.begun(message) > 1
    })
    .await;
    // What waits in line behind one that is out is discarded by the node that has it out; that one stays.
    let ordered = house.endpoint_of(&first).await;
    first.action.script(ordered, Script::always(Reply::Hangs));
    for _ in 0..5 {
        second.publish_in_line(&[ordered], "k").await;
    }
    until("the first one is under way", || async { house.begun_at(ordered) == 1 }).await;
    let discarded = second.store.tend_line(ordered, None, Tending::Discard).await.unwrap();
    assert_eq!(discarded, 4);
    house.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_hear_nothing_find_out_by_looking() {
    let house = House::new("deaf").await;
    let (first, second) = (house.deaf_node().await, house.deaf_node().await);
    share_evenly(&[&first, &second]).await;
    let endpoint = house.endpoint_of(&first).await;
    assert!(second.directory.endpoint_by_id(endpoint).is_some());
    second.publish(&[endpoint]).await;
    house.all_arrive_at(&first, 1).await;
    first.leave().await;
    second.publish(&[endpoint]).await;
    house.all_arrive(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_does_what_is_done_for_all_and_gives_it_up_when_it_is_done() {
    let house = House::new("leads").await;
    let first = house.node().await;
    let lead = first.store.lead().unwrap();
    let second = house.node().await;
    share_evenly(&[&first, &second]).await;
    assert!(second.store.lead().is_none());
    drop(lead);
    first.leave().await;
    until("the other leads", || async { second.store.lead().is_some() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_noted_makes_no_version_of_the_configuration() {
    let house = House::new("noted").await;
    let node = house.node().await;
    node.directory.commit(vec![house.note()], None).await.unwrap();
    let endpoint = house.endpoint_by(&node).await;
    assert!(node.directory.endpoint_by_id(endpoint).is_some());
    // As the database has it: what a node says of itself comes a moment later.
    let version = async || node.store.news(0).await.unwrap().version;
    let before = version().await;
    node.directory.commit(vec![house.note()], None).await.unwrap();
    assert_eq!(version().await, before);
}
