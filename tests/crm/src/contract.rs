//! The test that every CRM passes.

mod changing;
mod lists;
mod persons;
mod tasks;

use domain::Timestamp;
use domain::crm::{Crm, ListKind, Page, Person, SelectionKind};
use futures::future::BoxFuture;

/// What is done to a CRM by others than us, and what they see there.
pub trait World: Send + Sync {
    /// Enters a person, with the company and the owner, whose ids must be those of [`World::companies`] and [`World::owners`]; answers the
    /// id, whatever `person.id` says.
    fn enter<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, String>;

    /// Ids of two companies that are there.
    fn companies(&self) -> BoxFuture<'_, [String; 2]>;

    /// Ids of two users that are there.
    fn owners(&self) -> BoxFuture<'_, [String; 2]>;

    /// Somebody gives a person another address in place of the first one.
    fn readdress<'a>(&'a self, person: &'a str, email: &'a str) -> BoxFuture<'a, ()>;

    /// Somebody removes a person.
    fn remove<'a>(&'a self, person: &'a str) -> BoxFuture<'a, ()>;

    /// Makes a list; answers its id. `None` where the CRM has no lists of this kind.
    fn make_list<'a>(&'a self, kind: ListKind, name: &'a str, how: SelectionKind) -> BoxFuture<'a, Option<String>>;

    /// All tasks, in any order.
    fn tasks(&self) -> BoxFuture<'_, Vec<Task>>;

    /// How many bounces an address has.
    fn bounces<'a>(&'a self, email: &'a str) -> BoxFuture<'a, u32>;

    /// Lets an hour pass, and says what time it is then.
    fn an_hour_later(&self) -> BoxFuture<'_, Timestamp>;
}

/// A task, as it stands in a diary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The CRM's id.
    pub id: String,
    /// In whose diary.
    pub owner: String,
    /// About whom.
    pub person: String,
    /// What is to be done.
    pub title: String,
    /// Why: what we said, and perhaps our key.
    pub description: String,
    /// The day on which it is due, at midnight UTC.
    pub due: Option<Timestamp>,
}

/// Tries everything that is asked of a CRM.
///
/// # Panics
/// Where it is not as it must be.
pub async fn passes(crm: &dyn Crm, world: &dyn World) {
    persons::are_read(crm, world).await;
    persons::that_changed_are_read(crm, world).await;
    lists::are_read(crm, world).await;
    for kind in [ListKind::Selection, ListKind::Project] {
        lists::are_made_once(crm, kind).await;
        lists::gain_and_lose_members(crm, world, kind).await;
    }
    tasks::are_made_once(crm, world).await;
    changing::an_email(crm, world).await;
    changing::marks(crm, world).await;
    changing::bounces(crm, world).await;
    let account = crm.check().await.expect("reached");
    assert!(!account.user.is_empty() && !account.crm.is_empty(), "{account:?}");
    for right in &account.rights {
        assert_ne!(right.allowed, Some(false), "all of this was done before: {right:?}");
        assert!(right.allowed.is_some() || right.reason.is_some(), "why it cannot be told: {right:?}");
    }
    assert!(crm.told(&[], b"{}").is_none(), "what is not signed is not believed");
}

/// Somebody with a name and these addresses.
#[must_use]
pub fn somebody(name: &str, emails: &[&str]) -> Person {
    let emails = emails.iter().map(|email| (*email).to_owned()).collect();
    Person { name: Some(name.to_owned()), emails, ..Person::default() }
}

/// All pages, one after the other.
async fn all<T>(mut read: impl AsyncFnMut(Option<String>) -> Page<T>) -> Vec<T> {
    let (mut rows, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let page = read(after.clone()).await;
        rows.extend(page.rows);
        if page.next.is_none() {
            return rows;
        }
        assert_ne!(page.next, after, "a page that goes on where it began");
        after = page.next;
    }
    panic!("there is no end to the pages");
}
