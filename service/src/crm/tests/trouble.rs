//! Members whom the CRM refuses, jobs that were called off in the middle, and recipients who are the same person.

use domain::crm::ListKind;
use serde_json::json;

use super::{How, World};
use crate::crm::Persons;
use crate::crm::members::Target;
use crate::error::ServiceError;
use crate::jobs::{self, JobState};
use crate::recipients::paging::PageArgs;
use crate::subject::Subject;

impl World {
    async fn add_everybody(&self, target: Target) -> i64 {
        let persons = Persons::Recipients(self.everybody());
        self.marketer().add_to_list(ListKind::Selection, persons, target).await.expect("ordered").id
    }

    async fn remove_everybody(&self) -> i64 {
        let persons = Persons::Recipients(self.everybody());
        self.marketer().remove_from_selection(persons, 1).await.expect("ordered").id
    }

    /// How many members our own tables show of the first selection.
    async fn shown(&self) -> usize {
        let reader = self.services.access(Subject::command_line()).reader();
        let page = reader.list_members(ListKind::Selection, 1, &PageArgs::default()).await.expect("read");
        page.rows.len()
    }

    fn on_list(&self) -> usize {
        self.crm.with(|state| state.lists.values().map(|(_, _, members)| members.len()).sum())
    }

    /// Works at a job until the CRM is busy, and puts it off.
    async fn interrupt(&self, id: i64, moods: &[How]) {
        self.crm.expect(moods.iter().copied());
        let job = self.claim(id).await.expect("a job");
        let error = super::run(&self.services, &job).await.expect_err("the CRM is busy");
        assert!(matches!(error, ServiceError::Later { .. }), "{error:?}");
        assert!(jobs::postpone(&self.services, &job, "later", self.services.now()).await.expect("put off"));
    }

    /// Works at a job that the CRM refuses; what it says.
    async fn fail(&self, id: i64) -> String {
        let job = self.claim(id).await.expect("a job");
        let error = super::run(&self.services, &job).await.expect_err("refused");
        assert!(matches!(error, ServiceError::Refused(_)), "{error:?}");
        let now = self.services.now();
        assert!(jobs::fail(&self.services, &job, &error.to_string(), None, now).await.expect("given up"));
        error.to_string()
    }
}

fn new() -> Target {
    Target::New { name: "Call them".to_owned(), description: None }
}
