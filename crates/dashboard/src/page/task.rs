//! Work in the background: how far it is, and stopping it.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use crate::{
    answer::Answer,
    frame::{Frame, Section},
    link::{query, segment},
    read::{List, name::Task},
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    frame: Frame,
    tasks: List<Task>,
}

pub(crate) async fn list(visit: Visit) -> Answer {
    let asked = query([
        ("limit", "50"),
        ("order", "descending"),
        ("iterator", visit.asks("iterator")),
    ]);
    let tasks = visit.get(&format!("/api/v1/background-task{asked}")).await?;
    visit.page(&Tasks {
        frame: visit.frame(Section::Tasks, "Tasks"),
        tasks,
    })
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    task: Task,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Answer {
    let task = visit.get(&format!("/api/v1/background-task/{}", segment(&id))).await?;
    visit.page(&TaskPage {
        frame: visit.frame(Section::Tasks, "Task"),
        task,
    })
}

pub(crate) async fn cancel(Path(id): Path<String>, Posted { visit, .. }: Posted) -> Answer {
    let id = segment(&id);
    let path = format!("/api/v1/background-task/{id}");
    let done = visit.send::<Value>(Method::DELETE, &path, None).await;
    done.map_err(|failure| visit.refuse(&failure))?;
    visit.see(&format!("/task/{id}?said=cancelled"))
}
