//! Promises about background tasks.

use bellwire_core::{
    app::Environment,
    id::{EnvironmentId, Id, TaskId},
    task::{Job, ReplayWhich, Task, TaskStatus},
};
use bellwire_store::Change;

use super::{
    Backend, Bench,
    bench::{ALL, HOUR, NOON},
    pages::walk,
};

fn task<B: Backend>(bench: &Bench<B>, environment: EnvironmentId, status: TaskStatus) -> Task {
    Task {
        id: bench.id(),
        environment,
        job: Job::Replay {
            app: bench.app,
            endpoint: bench.id(),
            which: ReplayWhich::Failed,
            since: NOON,
            until: NOON.plus(HOUR),
        },
        status,
        seen: 3,
        done: 2,
        cursor: 77,
        error: Some("a reason".to_owned()),
        created_at: NOON,
        updated_at: NOON,
    }
}

async fn put<B: Backend>(bench: &Bench<B>, task: &Task) {
    bench.apply(vec![Change::PutTask(Box::new(task.clone()))]).await;
}

/// Across a crash.
pub async fn a_task_is_kept_and_replaced<B: Backend>(mut bench: Bench<B>) {
    let mut one = task(&bench, bench.environment, TaskStatus::Running);
    put(&bench, &one).await;
    bench.crash().await;
    assert_eq!(bench.store().task(one.id).await, Ok(Some(one.clone())));
    one.status = TaskStatus::Finished;
    one.cursor = 99;
    put(&bench, &one).await;
    bench.crash().await;
    assert_eq!(bench.store().task(one.id).await, Ok(Some(one.clone())));
    let never: TaskId = bench.id();
    assert_eq!(bench.store().task(never).await, Ok(None));
    assert_eq!(bench.store().tasks(None, None, ALL).await.unwrap().items, [one]);
}

/// Whoever writes down progress, another end, or a new beginning comes too late; in the same batch as well, and after a crash.
pub async fn a_task_that_has_ended_stays_as_it_ended<B: Backend>(mut bench: Bench<B>) {
    use TaskStatus::{Cancelled, Failed, Finished, Running};
    let mut ended = Vec::new();
    for status in [Cancelled, Finished, Failed] {
        let mut one = task(&bench, bench.environment, Running);
        put(&bench, &one).await;
        one.status = status;
        let later = |status| {
            let later = Task {
                status,
                cursor: one.cursor + 1,
                ..one.clone()
            };
            Change::PutTask(Box::new(later))
        };
        bench
            .apply(vec![Change::PutTask(Box::new(one.clone())), later(Running)])
            .await;
        for late in [Running, Cancelled, Finished, Failed] {
            bench.apply(vec![later(late)]).await;
        }
        assert_eq!(bench.store().task(one.id).await, Ok(Some(one.clone())));
        ended.push(one);
    }
    bench.crash().await;
    let store = bench.store();
    for mut one in ended {
        one.status = Running;
        bench.apply(vec![Change::PutTask(Box::new(one))]).await;
    }
    assert_eq!(store.tasks(None, Some(Running), ALL).await.unwrap().items, []);
}

/// And over all environments.
pub async fn tasks_are_listed_by_environment_and_status<B: Backend>(bench: Bench<B>) {
    let other: EnvironmentId = bench.id();
    let environment = Environment {
        id: other,
        name: "other".to_owned(),
        validate_payloads: false,
        created_at: NOON,
        updated_at: NOON,
    };
    bench.apply(vec![Change::PutEnvironment(environment)]).await;
    let running = task(&bench, bench.environment, TaskStatus::Running);
    let finished = task(&bench, bench.environment, TaskStatus::Finished);
    let elsewhere = task(&bench, other, TaskStatus::Running);
    for task in [&running, &finished, &elsewhere] {
        put(&bench, task).await;
    }
    let store = bench.store();
    let list = async |environment, status| -> Vec<TaskId> {
        store
            .tasks(environment, status, ALL)
            .await
            .unwrap()
            .items
            .iter()
            .map(|task| task.id)
            .collect()
    };
    assert_eq!(list(None, None).await, [running.id, finished.id, elsewhere.id]);
    assert_eq!(list(Some(bench.environment), None).await, [running.id, finished.id]);
    assert_eq!(list(None, Some(TaskStatus::Running)).await, [running.id, elsewhere.id]);
    assert_eq!(list(Some(other), Some(TaskStatus::Finished)).await, []);
}

/// In pages of every size.
pub async fn pages_walk_forth_and_back<B: Backend>(bench: Bench<B>) {
    for n in 0..15 {
        let status = if n % 3 == 0 {
            TaskStatus::Finished
        } else {
            TaskStatus::Running
        };
        put(&bench, &task(&bench, bench.environment, status)).await;
    }
    let store = bench.store();
    let number = |task: &Task| task.id.number();
    walk(15, number, async |page| {
        store.tasks(Some(bench.environment), None, page).await.unwrap()
    })
    .await;
    walk(10, number, async |page| {
        store.tasks(None, Some(TaskStatus::Running), page).await.unwrap()
    })
    .await;
}
